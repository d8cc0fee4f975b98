"""What W&B shows by itself: one row for each medium, at its step, its file where the row says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from stand_in_server import StandInServer
from wandb_reading import Drive, offline_folders, points_of, records_of

from unitrack.errors import SinkUnavailableError
from unitrack.hookspecs import RunContext
from unitrack.media.annotations import annotate
from unitrack.media.audio import audio_bytes
from unitrack.media.histograms import histogram_bytes
from unitrack.media.images import image_bytes
from unitrack.media.pr_curves import pr_curve_bytes
from unitrack.media.tables import table_bytes
from unitrack.media.video import video_bytes
from unitrack.records import Artifact, ArtifactType, MetricDefinition, Tags
from unitrack.validation.metric_definitions import as_tag
from unitrack_wandb.offline_file import read_records
from unitrack_wandb.offline_run import OfflineRun

np = pytest.importorskip("numpy")
Pillow = pytest.importorskip("PIL.Image")

ROWS = [[1, "a", None], [2.5, True, [1, 2]], [None, {"k": 1}, "ü"]]
MEDIA: list[tuple[str, bytes, ArtifactType, str]] = [
    ("figs/roc-3.png", image_bytes(np.zeros((2, 2, 3)), "p.png"), "figure", "image-file"),
    ("figs/plotly.html", b"<h1>a plot</h1>", "figure", "html-file"),
    ("p.PNG", image_bytes(np.zeros((2, 2)), "p.png"), "image", "image-file"),
    ("weights-3.json", histogram_bytes(([1.0, 2.5], [0.0, 0.5, 1.0]), "h", 2), "histogram", "histogram"),
    ("errors.json", table_bytes(ROWS, "t", ["x", "y", "1"]), "table", "table-file"),
    ("a/beep.wav", audio_bytes(np.zeros(8), "s", 8000), "audio", "audio-file"),
    ("clip.gif", video_bytes(np.zeros((2, 4, 4, 3)), "v", 5.0), "video", "video-file"),
    ("clip.webm", b"whatever a browser plays", "video", "video-file"),
    ("page ü #1.html", "<p>ü</p>".encode(), "html", "html-file"),
    ("\U0001f600" * 60 + ".html", b"a name of 245 bytes", "html", "html-file"),
    ("pr.json", pr_curve_bytes([0, 1], [0.25, 0.75], "pr", 3), "pr_curve", "table-file"),
]
PLAIN: list[tuple[str, bytes, ArtifactType]] = [
    ("notes.txt", b"t", "text"),
    ("conf.json", b"{}", "json"),
    ("model/weights.bin", b"w", "model"),
    ("film.avi", b"v", "video"),
    ("score.mid", b"s", "audio"),
    ("curve.svg", b"<svg/>", "figure"),
    ("table.png", b"a picture among the files", "file"),
]


def rows_of(run: RunContext) -> list[dict[str, Any]]:
    """The rows of the one offline run, without W&B's own columns."""
    [folder] = offline_folders(run.folder)
    return [{k: v for k, v in row.items() if not k.startswith("_")} for row in OfflineRun(folder).logged()]


def files_of(run: RunContext) -> Path:
    [folder] = offline_folders(run.folder)
    return folder / "files"


@pytest.mark.parametrize(("name", "content", "type", "shown"), MEDIA, ids=[medium[3] for medium in MEDIA])
def test_each_medium_is_a_row_and_a_file(
    run: RunContext, drive: Drive, name: str, content: bytes, type: ArtifactType, shown: str
) -> None:
    driver = drive(mode="offline")
    driver.artifact(name, content, type=type, step=3)
    driver.metrics({"v": 1.0}, step=4)
    driver.end()
    row, metrics = rows_of(run)
    value = row[f"artifacts/{name}"]
    assert (row["step"], value["_type"]) == (3, shown)
    assert metrics == {"v": 1.0, "step": 4}
    if shown != "histogram":
        media = files_of(run) / value["path"]
        assert media.stat().st_size == value["size"]
        assert value["path"] in OfflineRun(media.parents[len(Path(value["path"]).parts)]).header.files
        assert shown == "table-file" or media.read_bytes() == content
    [record] = records_of(run.folder, Artifact)
    assert (record.name, record.type, record.step, record.size) == (name, type, 3, len(content))
    assert Path(record.file).is_absolute()
    assert Path(record.file).read_bytes() == content
    assert points_of(run.folder) == [(4, {"v": 1.0})]


def test_a_table_holds_its_cells(run: RunContext, drive: Drive) -> None:
    driver = drive(mode="offline")
    driver.artifact("t.json", table_bytes(ROWS, "t", ["x", "y", "1"]), type="table", step=0)
    driver.end()
    [row] = rows_of(run)
    shown = row["artifacts/t.json"]
    assert (shown["nrows"], shown["ncols"]) == (3, 3)
    assert json.loads((files_of(run) / shown["path"]).read_text()) == {"columns": ["x", "y", "1"], "data": ROWS}


def test_a_histogram_keeps_its_counts(run: RunContext, drive: Drive) -> None:
    samples = np.random.default_rng(0).normal(size=5000)
    driver = drive(mode="offline")
    driver.artifact("few.json", histogram_bytes(samples, "h", 512), type="histogram", step=0)
    driver.artifact("many.json", histogram_bytes(samples, "h", 1030), type="histogram", step=0)
    driver.end()
    few, many = (row["artifacts/" + name] for row, name in zip(rows_of(run), ("few.json", "many.json"), strict=True))
    counts, edges = np.histogram(samples, bins=512)
    assert few["values"] == counts.tolist()
    assert few["bins"] == edges.tolist()
    exact, edges = np.histogram(samples, bins=1030)
    assert (len(many["values"]), len(many["bins"])) == (344, 345)
    assert many["values"][:2] == [exact[:3].sum(), exact[3:6].sum()]
    assert sum(many["values"]) == 5000
    assert (many["bins"][0], many["bins"][1], many["bins"][-1]) == (edges[0], edges[3], edges[-1])


@pytest.mark.parametrize(
    ("name", "type", "content"),
    [
        ("a.json", "histogram", b"no JSON"),
        ("b.json", "histogram", b'{"counts": [1], "edges": []}'),
        ("c.json", "table", b'{"columns": ["x"], "data": [[1, 2]]}'),
        ("d.json", "table", b"[]"),
        ("e.html", "html", b"\xff\xfe no UTF-8"),
        ("f.HTML", "html", b"<p>"),
        ("g.png", "image", b"no picture"),
    ],
)
def test_what_is_not_what_it_says_is_a_row_with_its_name(
    run: RunContext, drive: Drive, name: str, type: ArtifactType, content: bytes
) -> None:
    driver = drive(mode="offline")
    driver.artifact(name, content, type=type, step=5)
    driver.end()
    assert rows_of(run) == [{f"artifacts/{name}": name, "step": 5}]
    [record] = records_of(run.folder, Artifact)
    assert Path(record.file).read_bytes() == content


def test_other_files_are_no_rows(run: RunContext, drive: Drive) -> None:
    driver = drive(mode="offline")
    for name, content, type in PLAIN:
        driver.artifact(name, content, type=type, step=1)
    driver.end()
    assert rows_of(run) == []
    stored = {record.name: (record.type, record.step) for record in records_of(run.folder, Artifact)}
    assert stored == {name: (type, 1) for name, _, type in PLAIN}


def test_media_of_a_resumed_run_move_to_its_new_folder(run: RunContext, drive: Drive) -> None:
    first = drive(mode="offline")
    for name, content, type, _ in MEDIA:
        first.artifact(name, content, type=type, step=3)
    first.end("failed")
    before = rows_of(run)
    again = drive(mode="offline", checkpoint=first.checkpoint)
    again.metrics({"v": 1.0}, step=4)
    again.end()
    assert rows_of(run) == [*before, {"v": 1.0, "step": 4}]
    paths = [value["path"] for row in before for value in row.values() if isinstance(value, dict) and "path" in value]
    assert len(paths) == len(MEDIA) - 1
    for path in paths:
        assert (files_of(run) / path).is_file()


def test_media_arrive_on_a_server(server: StandInServer, online: dict[str, Any], run: RunContext, drive: Drive) -> None:
    driver = drive(**online)
    for name, content, type, _ in MEDIA:
        driver.artifact(name, content, type=type, step=3)
    driver.end()
    arrived = server.runs[run.start.run_id]
    shown = [row[f"artifacts/{name}"] for row, (name, *_) in zip(arrived.history, MEDIA, strict=True)]
    assert [value["_type"] for value in shown] == [medium[3] for medium in MEDIA]
    for value, (name, content, *_) in zip(shown, MEDIA, strict=True):
        assert arrived.files[name] == content
        assert "path" not in value or len(arrived.files[value["path"]]) == value["size"]
    assert server.unanswered == []


def test_a_media_file_that_did_not_arrive_comes_again(
    server: StandInServer, online: dict[str, Any], run: RunContext, drive: Drive
) -> None:
    name, content, type, _ = MEDIA[5]
    server.uploads_lost = "media/"
    first = drive(**online | {"finish_timeout": 1})
    first.artifact(name, content, type=type, step=3)
    with pytest.raises(SinkUnavailableError, match=r"the file 'media/audio/a/beep.*' is not"):
        first.end()
    assert first.checkpoint is None
    server.uploads_lost = None
    first.open()
    first.artifact(name, content, type=type, step=3)
    first.end()
    arrived = server.runs[run.start.run_id]
    [row] = arrived.history
    assert arrived.files[row[f"artifacts/{name}"]["path"]] == content


def test_nothing_of_a_table_goes_to_the_home_folder(run: RunContext, drive: Drive) -> None:
    before = {path for path in Path.home().rglob("*") if path.is_file()}
    driver = drive(mode="offline")
    driver.artifact("t.json", table_bytes(ROWS, "t", ["x", "y", "1"]), type="table", step=0)
    driver.end()
    assert {path for path in Path.home().rglob("*") if path.is_file()} - before == set()


def test_what_is_said_about_a_picture_is_shown(run: RunContext, drive: Drive) -> None:
    box = {"position": {"minX": 0.1, "maxX": 0.2, "minY": 0.3, "maxY": 0.4}, "class_id": 1}
    told = annotate(
        "p",
        "a car",
        {"predicted": {"box_data": [box], "class_labels": {1: "car"}}},
        {"truth": {"mask_data": np.ones((2, 2), dtype=int), "class_labels": {1: "car"}}},
    )
    driver = drive(mode="offline")
    driver.artifact("p.png", image_bytes(np.zeros((2, 2)), "p.png"), type="image", annotations=told)
    driver.artifact("a.wav", audio_bytes(np.zeros(8), "s", 8000), type="audio", annotations=annotate("a", "silence"))
    driver.end()
    picture, sound = (row[f"artifacts/{name}"] for row, name in zip(rows_of(run), ("p.png", "a.wav"), strict=True))
    assert (picture["caption"], sound["caption"]) == ("a car", "silence")
    shown = json.loads((files_of(run) / picture["boxes"]["predicted"]["path"]).read_text(encoding="utf-8"))
    assert [one["position"] for one in shown["box_data"]] == [box["position"]]
    mask = Pillow.open(files_of(run) / picture["masks"]["truth"]["path"])
    assert np.asarray(mask).tolist() == [[1, 1], [1, 1]]
    assert [record.annotations for record in records_of(run.folder, Artifact)] == [told, {"caption": "silence"}]


def test_definitions_of_metrics_are_wandbs_own(run: RunContext, drive: Drive) -> None:
    """Those that come before the metric, after it, and after a restart."""
    driver = drive(mode="offline")
    driver.metrics({"val/acc": 1.0, "epoch": 0.0}, step=0)
    tags = as_tag("val/*", MetricDefinition("epoch", "max")) | as_tag("loss", MetricDefinition(None, "min"))
    driver.tags(tags)
    driver.metrics({"val/acc": 2.0, "loss": 3.0, "epoch": 1.0, "plain": 1.0}, step=1)
    driver.end()
    [folder] = offline_folders(run.folder)
    metrics = [one.metric for one in read_records(OfflineRun(folder).file) if one.WhichOneof("record_type") == "metric"]
    defined = {one.name: (one.step_metric, one.summary.max, one.summary.min) for one in metrics if one.name}
    assert defined["val/acc"] == ("epoch", True, False)
    assert defined["loss"] == ("step", False, True)
    assert OfflineRun(folder).header.tags == ()
    assert records_of(run.folder, Tags)[0].tags == tags
