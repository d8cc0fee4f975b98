"""Each kind of artifact: what MLflow's own readers make of it, and what the source gives back."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient
from PIL import Image
from sklearn.ensemble import RandomForestClassifier

from unitrack.hookspecs import RunContext
from unitrack.media.images import image_bytes
from unitrack.media.models import save_model
from unitrack.media.pr_curves import pr_curve_bytes
from unitrack.media.tables import table_bytes
from unitrack.records import Artifact, ArtifactType
from unitrack_mlflow import limits
from unitrack_mlflow.source import MlflowSource

OpenSink = Callable[..., Any]

KINDS: list[tuple[str, ArtifactType, int | None]] = [
    ("notes.txt", "text", None),
    ("config.json", "json", None),
    ("plots/roc-7.png", "figure", 7),
    ("weights-3.json", "histogram", 3),
    ("pr-2.json", "pr_curve", 2),
    ("words.json", "embedding", None),
    ("net.json", "graph", None),
    ("page.html", "html", None),
    ("tone-0.wav", "audio", 0),
    ("clip.gif", "video", None),
    ("data.bin", "file", None),
]


def artifacts(uri: str, run_id: str) -> dict[str, Artifact]:
    return {one.name: one for one in MlflowSource(uri).records(run_id) if isinstance(one, Artifact)}


def picture(shade: int) -> bytes:
    return image_bytes(np.full((300, 400, 3), shade, dtype=np.uint8), "x.png")


def test_type_step_time_and_size_of_each_kind_come_back(open_sink: OpenSink, uri: str, run: RunContext) -> None:
    opened = open_sink(uri, run)
    logged = [opened.driver.artifact(name, name.encode(), kind, step) for name, kind, step in KINDS]
    opened.driver.flush()

    found = artifacts(uri, opened.link.id)
    assert {one.name: (one.type, one.step, one.time, one.size) for one in logged} == {
        name: (one.type, one.step, one.time, one.size) for name, one in found.items()
    }


def test_the_index_goes_on_after_a_restart_and_on_further_pages(
    open_sink: OpenSink, database: str, run: RunContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "INDEX_PAGE", 3)
    first = open_sink(database, run)
    for number in range(5):
        first.driver.artifact(f"{number}.txt", b"", "text", number)
    checkpoint = first.driver.flush()
    second = open_sink(database, run, checkpoint)
    for number in (4, 5, 6):
        second.driver.artifact(f"{number}.txt", b"", "text", number)
    second.driver.artifact("0.txt", b"later", "json", 9)
    second.driver.flush()

    found = artifacts(database, first.link.id)
    expected = {f"{number}.txt": ("text", number) for number in range(1, 7)} | {"0.txt": ("json", 9)}
    assert {name: (one.type, one.step) for name, one in found.items()} == expected
    assert len(second.client.list_artifacts(first.link.id, "unitrack/index")) == 3


def test_an_artifact_whose_index_was_not_written_yet_comes_again(
    open_sink: OpenSink, database: str, run: RunContext
) -> None:
    crashed = open_sink(database, run)
    lost = crashed.driver.artifact("page.html", b"<p>", "html")
    again = open_sink(database, run)
    again.sink.log_artifacts([lost])
    again.driver.flush()
    assert artifacts(database, again.link.id)["page.html"].type == "html"


def test_a_folder_comes_back_as_a_folder(open_sink: OpenSink, uri: str, run: RunContext) -> None:
    opened = open_sink(uri, run)
    staged = run.folder / ".spool" / "data"
    names = {"a.txt", "sub #1/b?.txt", "sub #1/b_x3f_.txt", "sub #2/é%41.txt", "mean_x40_1"}
    for name in names:  # "#" and "?" end a path in a URL
        (staged / name).parent.mkdir(parents=True, exist_ok=True)
        (staged / name).write_text(name)
    opened.sink.log_artifacts([Artifact(seq=1, time=5, name="sets/1", file=".spool/data", type="folder", size=2)])
    opened.driver.artifact("sets/2.txt", b"two")
    opened.driver.flush()

    found = artifacts(uri, opened.link.id)
    assert {name: (one.type, one.size) for name, one in found.items()} == {
        "sets/1": ("folder", 2),
        "sets/2.txt": ("file", 3),
    }
    target = run.folder / "down"
    target.mkdir()
    folder = MlflowSource(uri).fetch(opened.link.id, found["sets/1"], target)
    there = {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}
    assert there == {name: name for name in names}


def test_an_image_at_a_step_is_in_mlflows_image_view_once(open_sink: OpenSink, uri: str, run: RunContext) -> None:
    opened = open_sink(uri, run)
    logged = [opened.driver.artifact(f"val/digit #1-{step}.png", picture(step), "image", step) for step in (1, 2)]
    opened.driver.artifact("still.png", picture(9), "image")
    opened.driver.artifact("vector-1.svg", b"<svg/>", "image", 1)
    opened.driver.flush()
    again = open_sink(uri, run)
    again.sink.log_artifacts(logged)
    again.driver.flush()

    assert opened.stored.data.tags["mlflow.loggedImages"] == "True"
    views = sorted(file.path for file in opened.client.list_artifacts(opened.link.id, "images"))
    assert len(views) == 4
    for step, (small, full) in zip((1, 2), (views[:2], views[2:]), strict=True):
        prefix = f"images/val~digit _x23_1+step+{step}+timestamp+{logged[step - 1].time}+"
        assert small.startswith(prefix)
        assert small.endswith("+compressed.webp")
        assert full == small.replace("+compressed.webp", ".png")
        content = Path(opened.client.download_artifacts(opened.link.id, full, str(run.folder))).read_bytes()
        assert content == picture(step)
        thumbnail = opened.client.download_artifacts(opened.link.id, small, str(run.folder))
        with Image.open(thumbnail) as image:
            assert image.size == (256, 192)
    found = artifacts(uri, opened.link.id)
    assert {name: (one.type, one.step) for name, one in found.items()} == {
        "val/digit #1-1.png": ("image", 1),
        "val/digit #1-2.png": ("image", 2),
        "still.png": ("image", None),
        "vector-1.svg": ("image", 1),
    }


@pytest.mark.parametrize(("mode", "suffix"), [("CMYK", "jpeg"), ("P", "gif"), ("I;16", "tiff"), ("LA", "png")])
def test_an_image_of_any_mode_has_a_view(
    open_sink: OpenSink, database: str, run: RunContext, mode: str, suffix: str
) -> None:
    buffer = io.BytesIO()
    Image.new(mode, (20, 10)).save(buffer, suffix)
    opened = open_sink(database, run)
    opened.driver.artifact(f"odd-1.{suffix}", buffer.getvalue(), "image", 1)
    paths = [file.path for file in opened.client.list_artifacts(opened.link.id, "images")]
    assert sorted(Path(path).suffix for path in paths) == [".png", ".webp"]


def test_tables_are_loaded_by_mlflow(
    open_sink: OpenSink, uri: str, run: RunContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = open_sink(uri, run)
    for step in (1, 2):
        data = table_bytes([{"n": step, "word": "é"}, {"n": None, "word": "b"}], "t", None)
        opened.driver.artifact(f"eval/t-{step}.json", data, "table", step)
    opened.driver.artifact("no, table.json", b'{"columns": [], "data": []}', "table")
    opened.driver.artifact("eval/pr.json", pr_curve_bytes([0, 1], [0.25, 0.75], "pr", 3), "pr_curve")
    opened.driver.flush()
    again = open_sink(uri, run)
    again.driver.artifact("eval/t-2.json", data, "table", 2)
    again.driver.flush()

    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    experiment = opened.stored.info.experiment_id
    for step in (1, 2):
        table = opened.client.load_table(experiment, f"eval/t-{step}.json", run_ids=[opened.link.id])
        assert table["word"].to_list() == ["é", "b"]
        assert table["n"][0] == step
    curve = opened.client.load_table(experiment, "eval/pr.json", run_ids=[opened.link.id])
    assert curve["recall"].to_list() == [1.0, 1.0, 0.0]
    assert opened.stored.data.tags["mlflow.loggedArtifacts"].count("eval/t-2.json") == 1
    found = artifacts(uri, opened.link.id)
    assert {one.type for one in found.values()} == {"table", "pr_curve"}
    assert len(found) == 4


def test_more_tables_than_the_tag_holds_leave_the_newest(open_sink: OpenSink, database: str, run: RunContext) -> None:
    opened = open_sink(database, run)
    batch = [opened.driver.artifact(f"{'t' * 200}-{step}.json", b"{}", "table", step) for step in range(25)]
    tag = opened.stored.data.tags["mlflow.loggedArtifacts"]
    assert len(tag) <= limits.TAG_LENGTH
    assert batch[-1].name in tag
    opened.driver.flush()
    assert len(artifacts(database, opened.link.id)) == 25


@pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType")  # mlflow.pyfunc of itself
def test_a_skops_model_is_a_logged_model_once(
    open_sink: OpenSink, uri: str, run: RunContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = np.arange(20.0).reshape(10, 2)
    forest = RandomForestClassifier(n_estimators=2, random_state=0).fit(samples, samples[:, 0] > 9)
    staged = run.folder / ".spool" / "model"
    staged.mkdir(parents=True)
    save_model(forest, staged)
    record = Artifact(seq=1, time=5, name="best/model.skops", file=".spool/model/model.skops", type="model", size=7)
    opened = open_sink(uri, run)
    for _ in range(2):
        opened.sink.log_artifacts([record])
    opened.driver.flush()
    again = open_sink(uri, run)
    again.sink.log_artifacts([record])
    again.driver.artifact("torch/model.pt", b"state dict", "model")
    again.driver.artifact("damaged/model.skops", b"no model", "model")
    again.driver.flush()

    assert [output.model_id for output in opened.stored.outputs.model_outputs] == [
        model.model_id for model in opened.client.search_logged_models([opened.stored.info.experiment_id])
    ]
    (output,) = opened.stored.outputs.model_outputs
    model = opened.client.get_logged_model(output.model_id)
    assert (model.name, model.status) == ("best", "READY")
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "true")  # MLflow's switch for loading of any kind
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    loaded = mlflow.sklearn.load_model(f"models:/{output.model_id}")
    by_run = mlflow.pyfunc.load_model(f"runs:/{opened.link.id}/best")
    assert (loaded.predict(samples) == forest.predict(samples)).all()
    assert (by_run.predict(samples) == forest.predict(samples)).all()
    found = artifacts(uri, opened.link.id)
    assert {name: one.type for name, one in found.items()} == {
        "best/model.skops": "model",
        "torch/model.pt": "model",
        "damaged/model.skops": "model",
    }


def test_images_and_tables_of_others_are_known_for_what_they_are(uri: str, tmp_path: Path) -> None:
    client = MlflowClient(uri)
    run_id = client.create_run(client.create_experiment(f"theirs {tmp_path.name}")).info.run_id
    client.log_image(run_id, np.zeros((4, 4, 3), dtype=np.uint8), key="val/dog", step=3, timestamp=77, synchronous=True)
    client.log_table(run_id, {"a": [1]}, "t.json")
    client.log_text(run_id, "x", "unitrack/index/000000.json")
    found = artifacts(uri, run_id)
    (image,) = (name for name in found if name.startswith("images/"))
    assert (found[image].type, found[image].step, found[image].time) == ("image", 3, 77)
    assert found["t.json"].type == "table"
    assert found["unitrack/index/000000.json"].type == "file"
    assert len(found) == 3
