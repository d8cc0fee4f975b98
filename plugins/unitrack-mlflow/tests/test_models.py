"""Models of each framework that `log_model` saves, loaded again by MLflow."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

import unitrack
from unitrack.delivery.sync import sync_run
from unitrack.errors import DeliveryWarning
from unitrack.hookspecs import RunContext
from unitrack.manager.editing import edit_run
from unitrack.media.models import save_model
from unitrack.records import ALIAS, Artifact
from unitrack.runfolder.run_folder import RunFolder
from unitrack_mlflow.model_flavors import flavor_of
from unitrack_mlflow.source import MlflowSource

OpenSink = Callable[..., Any]
Predict = Callable[[Any], Any]

SAMPLES = np.arange(20, dtype=np.float32).reshape(10, 2)
LABELS = (SAMPLES[:, 0] > 9).astype(int)

pytestmark = pytest.mark.filterwarnings("ignore::Warning")  # of MLflow's and the frameworks' while they import and load


def logistic(monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Predict]:
    return LogisticRegression().fit(SAMPLES, LABELS), lambda model: model.predict(SAMPLES)


def pickled_forest(monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Predict]:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "skops" else find(name, *rest))
    forest = RandomForestClassifier(n_estimators=2, random_state=0).fit(SAMPLES, LABELS)
    return forest, lambda model: model.predict_proba(SAMPLES)


def xgboost_classifier(monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Predict]:
    xgboost = pytest.importorskip("xgboost", reason="its wheels are large")
    return xgboost.XGBClassifier(n_estimators=2).fit(SAMPLES, LABELS), lambda model: model.predict_proba(SAMPLES)


def xgboost_booster(monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Predict]:
    xgboost = pytest.importorskip("xgboost", reason="its wheels are large")
    data = xgboost.DMatrix(SAMPLES, LABELS)
    return xgboost.train({}, data, 2), lambda model: model.predict(data)


def lightgbm_booster(monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Predict]:
    lightgbm = pytest.importorskip("lightgbm", reason="no requirement of the tests")
    params = {"min_data_in_leaf": 1, "min_data_in_bin": 1, "verbose": -1, "num_threads": 1}
    return lightgbm.train(params, lightgbm.Dataset(SAMPLES, LABELS), 2), lambda model: model.predict(SAMPLES)


def keras_sequential(monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Predict]:
    monkeypatch.setenv("KERAS_BACKEND", os.environ.get("KERAS_BACKEND", "numpy"))
    keras = pytest.importorskip("keras", reason="needs a backend of its own", exc_type=ImportError)
    model = keras.Sequential([keras.Input([2]), keras.layers.Dense(2)])
    return model, lambda model: model.predict(SAMPLES, verbose=0)


def torch_scripted(monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Predict]:
    torch = pytest.importorskip("torch", reason="its wheels are large")
    return torch.jit.script(torch.nn.Linear(2, 1)), lambda model: model(torch.from_numpy(SAMPLES)).detach().numpy()


def torch_exported(monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Predict]:
    torch = pytest.importorskip("torch", reason="its wheels are large")
    export = pytest.importorskip("torch.export", reason="its wheels are large")
    program = export.export(torch.nn.Linear(2, 1), (torch.from_numpy(SAMPLES),))

    def predict(model: Any) -> Any:
        model = model.module() if hasattr(model, "module") else model
        return model(torch.from_numpy(SAMPLES)).detach().numpy()

    return program, predict


CASES = [
    pytest.param(logistic, "sklearn", id="skops"),
    pytest.param(pickled_forest, "sklearn", id="pickled"),
    pytest.param(xgboost_classifier, "xgboost", id="xgboost classifier"),
    pytest.param(xgboost_booster, "xgboost", id="xgboost booster"),
    pytest.param(lightgbm_booster, "lightgbm", id="lightgbm"),
    pytest.param(keras_sequential, "keras", id="keras"),
    pytest.param(torch_scripted, "pytorch", id="TorchScript"),
    pytest.param(torch_exported, "pytorch", id="exported"),
]


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Point MLflow's global functions at a store, as a user's script does."""
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "true")  # MLflow's switch for loading of any kind

    def point(uri: str) -> None:
        mlflow.set_tracking_uri(uri)
        mlflow.set_registry_uri(uri)

    return point


def log(opened: Any, model: Any, run: RunContext) -> Artifact:
    staged = run.folder / ".spool" / "model"
    staged.mkdir(parents=True)
    saved = save_model(model, staged)
    place = saved.relative_to(run.folder).as_posix()
    record = Artifact(seq=1, time=5, name=f"best/{saved.name}", file=place, type="model", size=saved.stat().st_size)
    opened.sink.log_artifacts([record])
    opened.driver.flush()
    return record


@pytest.mark.parametrize(("make", "flavor"), CASES)
def test_mlflow_loads_it(
    make: Callable[[pytest.MonkeyPatch], tuple[Any, Predict]],
    flavor: str,
    open_sink: OpenSink,
    database: str,
    run: RunContext,
    at: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By its flavour, under the run and under the model's own id; and the artifacts of the run are what was logged."""
    model, predict = make(monkeypatch)
    opened = open_sink(database, run)
    record = log(opened, model, run)

    at(database)
    (output,) = opened.stored.outputs.model_outputs
    module = __import__(f"mlflow.{flavor}", fromlist=[flavor])
    for uri in (f"runs:/{opened.link.id}/best", f"models:/{output.model_id}"):
        assert (predict(module.load_model(uri)) == predict(model)).all()
    described = mlflow.models.get_model_info(f"models:/{output.model_id}")
    assert set(described.flavors) == {flavor, "python_function"}
    assert None not in described.flavors[flavor].values() or flavor == "sklearn"  # its list of types, maybe
    found = [one for one in MlflowSource(database).records(opened.link.id) if isinstance(one, Artifact)]
    assert [(one.name, one.type, one.size) for one in found] == [(record.name, "model", record.size)]


@pytest.mark.parametrize(
    "make", [logistic, xgboost_booster, lightgbm_booster, keras_sequential], ids=lambda it: it.__name__
)
def test_mlflow_serves_it(
    make: Callable[[pytest.MonkeyPatch], tuple[Any, Predict]],
    open_sink: OpenSink,
    database: str,
    run: RunContext,
    at: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, predict = make(monkeypatch)
    opened = open_sink(database, run)
    log(opened, model, run)
    at(database)
    served = mlflow.pyfunc.load_model(f"runs:/{opened.link.id}/best")
    assert (np.asarray(served.predict(SAMPLES)) == predict(model)).all()


def test_a_state_dict_is_loaded_by_mlflow(
    open_sink: OpenSink, database: str, run: RunContext, at: Callable[[str], None]
) -> None:
    torch = pytest.importorskip("torch", reason="its wheels are large")
    model = torch.nn.Linear(2, 1)
    opened = open_sink(database, run)
    log(opened, model, run)
    at(database)
    (output,) = opened.stored.outputs.model_outputs
    loaded = mlflow.pytorch.load_state_dict(f"models:/{output.model_id}", weights_only=True)
    assert all(torch.equal(loaded[name], tensor) for name, tensor in model.state_dict().items())


def test_what_is_no_model_has_no_flavor(tmp_path: Path) -> None:
    """A file that a suffix promises too much of, and a pickle of anybody's object, which loading would execute."""
    for suffix in ("skops", "pkl", "json", "txt", "keras", "pt", "pt2"):
        for content in (b"", b'{"learner": 1}', b"tree", b"PK\x03\x04", b"\x80\x05cposix\nsystem\n."):
            file = tmp_path / f"model.{suffix}"
            file.write_bytes(content)
            assert flavor_of(file) is None
    assert flavor_of(tmp_path) is None
    assert flavor_of(tmp_path / "model.onnx") is None


def test_a_pickled_torch_module_stays_a_file(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="its wheels are large")
    torch.save(torch.nn.Linear(2, 1), tmp_path / "model.pt")
    assert flavor_of(tmp_path / "model.pt") is None
    torch.save({"weights": torch.nn.Linear(2, 1).state_dict(), "epoch": 3}, tmp_path / "model.pt")
    assert flavor_of(tmp_path / "model.pt") is not None


def versioned(root: Path, uri: str, **settings: Any) -> unitrack.Run:
    return unitrack.start_run("m", project="p/q", root=root, sinks=[{"mlflow": {"tracking_uri": uri}}], **settings)


def test_a_version_of_a_model_is_one_of_a_registered_model(
    database: str, at: Callable[[str], None], tmp_path: Path
) -> None:
    models = [LogisticRegression(C=c).fit(SAMPLES, LABELS) for c in (1.0, 0.001)]
    with versioned(tmp_path / "runs", database, delivery="inline") as run:
        run.log_model(models[0], aliases=["best"], input_example=SAMPLES)
        run.log_model(models[1], aliases=["smooth"], input_example=SAMPLES)
    at(database)
    client = mlflow.MlflowClient()
    (registered,) = client.search_registered_models()
    assert registered.name == "p_x2f_q.model"
    assert {one.version: one.tags["unitrack.version"] for one in client.search_model_versions("")} == {
        1: "v0",
        2: "v1",
    }
    assert registered.aliases == {"best": 1, "smooth": 2}
    for number, model in enumerate(models, start=1):
        loaded = mlflow.sklearn.load_model(f"models:/{registered.name}/{number}")
        assert (loaded.predict_proba(SAMPLES) == model.predict_proba(SAMPLES)).all()
    best = f"models:/{registered.name}@best"
    info = mlflow.models.get_model_info(best)
    assert info.signature.inputs.inputs[0].shape == (-1, 2)
    assert info.signature.outputs.inputs[0].type == np.dtype("int64")
    folder = mlflow.artifacts.download_artifacts(best)
    assert (mlflow.models.Model.load(folder).load_input_example(folder) == SAMPLES).all()
    versions = {one.name: one.version for one in next(iter(unitrack.runs(f"mlflow:{database}"))).artifacts}
    assert {name: (one.number, one.aliases) for name, one in versions.items()} == {
        "model/v0/model.skops": (0, ("best",)),
        "model/v1/model.skops": (1, ("smooth",)),
    }


def test_an_alias_moves_in_the_registry(database: str, at: Callable[[str], None], tmp_path: Path) -> None:
    with versioned(tmp_path / "runs", database, delivery="inline") as run:
        for c in (1.0, 0.001):
            run.log_model(LogisticRegression(C=c).fit(SAMPLES, LABELS), aliases=["best", "1.2"])
        # as `unitrack artifacts alias` does
        run.set_tags({f"{ALIAS}model:{alias}": "v0" for alias in ("best", "1.2")} | {f"{ALIAS}other:best": "v0"})
    at(database)
    client = mlflow.MlflowClient()
    for alias in ("best", "1_x2e_2"):  # MLflow has no dots in aliases
        assert client.get_model_version_by_alias("p_x2f_q.model", alias).version == 1


def test_a_late_run_moves_no_alias_back(database: str, at: Callable[[str], None], tmp_path: Path) -> None:
    """Neither with what it logged nor with a move that was asked for before; a later one may go to an older version."""
    models = [LogisticRegression(C=c).fit(SAMPLES, LABELS) for c in (1.0, 0.001)]
    place = tmp_path / "later"
    place.write_text("in the way")
    first = versioned(tmp_path / "runs", f"sqlite:///{place}/m.db")
    first.log_model(models[0], aliases=["best", "first"])
    with pytest.warns(DeliveryWarning):
        first.finish(timeout=0)
    with versioned(tmp_path / "runs", database, delivery="inline") as second:
        second.log_model(models[1], aliases=["best"])
    place.unlink()
    place.mkdir()
    shutil.copyfile(database.removeprefix("sqlite:///"), place / "m.db")
    assert sync_run(RunFolder(first.path), timeout=60).ok
    at(f"sqlite:///{place}/m.db")
    client = mlflow.MlflowClient()

    def aliases() -> dict[str, str]:
        (registered,) = client.search_registered_models()
        labels = {one.version: one.tags["unitrack.version"] for one in client.search_model_versions("")}
        return {alias: labels[version] for alias, version in registered.aliases.items()}

    assert aliases() == {"best": "v1", "first": "v0"}
    edit_run(RunFolder(first.path), tags={f"{ALIAS}model:best": "v0"})
    assert aliases() == {"best": "v0", "first": "v0"}
    edit_run(RunFolder(first.path), tags={f"{ALIAS}model:first": "-v1"})  # it has moved on
    assert aliases() == {"best": "v0", "first": "v0"}
    edit_run(RunFolder(first.path), tags={f"{ALIAS}model:first": "-v0"})
    assert aliases() == {"best": "v0"}


@pytest.mark.parametrize("template", ["model", "{projct}.{name}", "{project}/{name}", "it's {name}"])
def test_a_template_that_makes_no_name_is_refused_at_the_start(tmp_path: Path, template: str) -> None:
    sink = {"mlflow": {"tracking_uri": f"sqlite:///{tmp_path / 'm.db'}", "registered_model": template}}
    with pytest.raises(unitrack.UnitrackError, match=r"registered_model .*\{name\}"):
        unitrack.start_run("m", root=tmp_path, sinks=[sink])


def test_what_mlflow_cannot_load_is_not_registered(database: str, at: Callable[[str], None], tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(b"weights")
    with versioned(tmp_path / "runs", database, delivery="inline") as run:
        run.log_model(tmp_path / "weights.bin", aliases=["best"])
        run.log_artifact(tmp_path / "weights.bin", name="data", aliases=["best"])
        assert run.use_artifact("model:best").path.read_bytes() == b"weights"
    at(database)
    assert list(mlflow.MlflowClient().search_registered_models()) == []


def test_a_plain_torch_module_is_loaded_by_mlflow(database: str, at: Callable[[str], None], tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="its wheels are large")

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(2, 3)
            self.dropout = torch.nn.Dropout()

        def forward(self, values: Any) -> Any:
            return self.dropout(torch.relu(self.layer(values)))

    model = Net()
    with versioned(tmp_path / "runs", database, delivery="inline") as run:
        run.log_model(model, aliases=["best"], input_example=torch.from_numpy(SAMPLES[:1]))
        assert model.training
    at(database)
    loaded = mlflow.pytorch.load_model("models:/p_x2f_q.model@best")
    loaded = loaded.module() if hasattr(loaded, "module") else loaded
    values = torch.from_numpy(SAMPLES)
    assert torch.equal(loaded(values), model.eval()(values))
    info = mlflow.models.get_model_info("models:/p_x2f_q.model@best")
    assert [one.shape for one in (*info.signature.inputs.inputs, *info.signature.outputs.inputs)] == [(-1, 2), (-1, 3)]
