"""Every source copied to every sink, and each copy compared with its source, point by point."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path

import pytest

import unitrack
from unitrack.manager.verification.allowances import Allowances
from unitrack.manager.verification.differ import compare_runs
from unitrack.plugins.registry import installed

BACKENDS = ("local", "mlflow", "tensorboard", "wandb", "trackio", "sql")
SOURCES = (*BACKENDS, *(f"plain-{name}" for name in BACKENDS if name != "sql"))  # only unitrack writes its tables
MISSING = [name for name in BACKENDS[1:] if importlib.util.find_spec(f"unitrack_{name}") is None]

pytestmark = [
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
]


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    from unitrack_tests.histories import write_all

    return write_all(tmp_path_factory.mktemp("stores"))


@pytest.fixture(scope="module")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with MLflow's tables, which take seconds to create."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("template") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}")
    return path


@pytest.fixture
def places(root: Path, empty_database: Path) -> dict[str, str]:
    """A new location of each backend; of trackio, which has one in a process, that one emptied."""
    shutil.copy(empty_database, root / "copies.db")
    shutil.rmtree(os.environ["TRACKIO_DIR"], ignore_errors=True)
    at = {
        "mlflow": f"sqlite:///{root}/copies.db",
        "trackio": os.environ["TRACKIO_DIR"],
        "sql": f"sqlite:///{root}/copies-sql.db",
    }
    return {backend: f"{backend}:{at.get(backend, root / 'copies')}" for backend in BACKENDS}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("source", SOURCES)
def test_a_copy_holds_what_its_source_holds(
    source: str, backend: str, stores: dict[str, str], places: dict[str, str]
) -> None:
    destination = places[backend]
    originals = {run.id: run for run in unitrack.runs(stores[source])}
    report = unitrack.copy(stores[source], destination)
    assert {run.state for run in report.runs} == {"copied"}
    assert report.ok, [(run.error, run.refused, run.missing) for run in report.runs]
    assert {run.id for run in report.runs} == set(originals)
    copies = unitrack.runs(destination)
    for run in report.runs:
        copy = copies.find(run.copy_id)
        differences = [
            one
            for one in compare_runs(originals[run.id], copy, Allowances.of(installed().backend(backend)))
            if not one.allowed
        ]
        assert not differences, "\n".join(map(str, differences))
    assert {run.state for run in unitrack.copy(stores[source], destination).runs} == {"already there"}


def test_what_artifacts_were_logged_with_is_in_every_backend(root: Path, empty_database: Path) -> None:
    """Captions, boxes and versions are read back as they were logged."""
    import numpy as np

    shutil.copy(empty_database, root / "annotations.db")
    sinks = [
        "local",
        {"mlflow": {"tracking_uri": f"sqlite:///{root}/annotations.db"}},
        {"wandb": {"mode": "offline"}},
        {"sql": {"url": f"sqlite:///{root}/annotations-sql.db"}},
        "tensorboard",
        "trackio",
    ]
    with unitrack.start_run("r", project="p", root=root / "annotated", sinks=sinks, delivery="inline") as run:
        box = {"position": {"minX": 0.1, "maxX": 0.2, "minY": 0.3, "maxY": 0.4}, "class_id": 1}
        run.log_image(np.zeros((4, 4), np.uint8), "cat", 1, caption="a cat", boxes={"truth": {"box_data": [box]}})
        run.log_dict({"lr": 1}, "settings.json")
        (root / "model.pt").write_text("weights")
        run.log_artifact(root / "model.pt", name="model", aliases=["best"])
    found = unitrack.verify(run.path)
    assert found.ok, found
    assert [one for check in found.checks for one in check.differences] == []
