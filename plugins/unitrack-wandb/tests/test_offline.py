"""Offline runs, read back from the `.wandb` file that the real SDK wrote."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path
from typing import Any

import pytest
from wandb_reading import Drive, offline_folders, points_of, records_of, wait_until

from unitrack.hookspecs import RunContext
from unitrack.records import GROUP, JOB_TYPE, PARENT, Artifact, Metrics, Params, RunEnd, RunStart, Tags
from unitrack.testing.driver import SinkDriver
from unitrack_wandb.offline_run import OfflineRun
from unitrack_wandb.source import open_source

RELATED = {GROUP: "g", JOB_TYPE: "train", PARENT: "p1"}


def bits(value: float) -> bytes:
    return struct.pack("<d", value)


def test_a_whole_run_reads_back(tmp_path: Path, drive: Drive) -> None:
    run = SinkDriver.make_run(
        tmp_path / "run", "abc", name="my run", project="digits", tags={"team": "a"} | RELATED, description="why"
    )
    driver = drive(run=run, mode="offline")
    driver.params({"lr": 1e-3, "model": {"depth": 4}})
    driver.params({"model": {"width": 8}, "none": None, "list": [1, 2.5, "x"]})
    first = driver.metrics({"loss": 0.5, "acc": 0.1}, step=3, time=1_700_000_000_123)
    driver.metrics({"loss": 0.4}, step=1)
    driver.metrics({"acc": 0.2}, step=3)
    driver.tags({"stage": "dev", "team": "b"})
    driver.artifact("plots/roc.txt", b"curve", type="text", step=7)
    driver.end("failed")

    [start] = open_source(str(run.folder)).runs()
    assert (start.run_id, start.name, start.project) == ("abc", "my run", "digits")
    assert (start.description, start.tags, start.time) == (
        "why",
        {"team": "b", "stage": "dev"} | RELATED,
        run.start.time,
    )
    kinds = [type(record) for record in open_source(str(run.folder)).records("abc")]
    assert kinds == [RunStart, Params, Tags, Metrics, Metrics, Metrics, Artifact, RunEnd]
    [params] = records_of(run.folder, Params)
    assert params.params == {"lr": 1e-3, "model": {"depth": 4, "width": 8}, "none": None, "list": [1, 2.5, "x"]}
    assert points_of(run.folder) == [(3, {"loss": 0.5, "acc": 0.1}), (1, {"loss": 0.4}), (3, {"acc": 0.2})]
    assert records_of(run.folder, Metrics)[0].time == first.time
    [artifact] = records_of(run.folder, Artifact)
    assert (artifact.name, artifact.type, artifact.size, artifact.step) == ("plots/roc.txt", "text", 5, 7)
    assert Path(artifact.file).read_bytes() == b"curve"
    assert records_of(run.folder, RunEnd)[0].status == "failed"
    [folder] = offline_folders(run.folder)
    header = OfflineRun(folder).header
    assert set(header.tags) == {"team:b", "stage:dev"}
    assert (header.group, header.job_type, header.exit_code) == ("g", "train", 1)


@pytest.mark.parametrize(
    "value",
    [0.1, -0.0, 5e-324, 1.7976931348623157e308, 1e22, 123456789.12345679, 3.0, 2.0**53 + 2, math.inf, -math.inf],
)
def test_values_are_exact_to_the_bit(run: RunContext, drive: Drive, value: float) -> None:
    driver = drive(mode="offline")
    driver.metrics({"v": value}, step=0)
    driver.end()
    [(_, points)] = points_of(run.folder)
    assert bits(points["v"]) == bits(value)


def test_nan_is_a_point(run: RunContext, drive: Drive) -> None:
    driver = drive(mode="offline")
    driver.metrics({"v": math.nan, "w": 1.0}, step=0)
    driver.end()
    [(_, points)] = points_of(run.folder)
    assert math.isnan(points["v"])
    assert points["w"] == 1.0


def test_steps_are_exact_in_any_order(run: RunContext, drive: Drive) -> None:
    steps = [5, 5, 4, 0, 2**63 - 1, 2**60 + 1, 5]
    driver = drive(mode="offline")
    for number, step in enumerate(steps):
        driver.metrics({"v": float(number)}, step=step)
    driver.end()
    assert points_of(run.folder) == [(step, {"v": float(number)}) for number, step in enumerate(steps)]


NAMES = [
    "step", "_step", "_timestamp", "_runtime", "_x", "user.step", "user.user._x", "artifacts/x", "train/loss", "a.b",
    "a b", "ü", "a[0]", "a*", "a\\b", "-a-", " ", "a,b", "mean@1", "nested.", "unitrack", "A", "a", "x" * 1000, "a\nb",
]  # fmt: skip


def test_metric_names_read_back(run: RunContext, drive: Drive) -> None:
    driver = drive(mode="offline")
    driver.metrics({name: float(number) for number, name in enumerate(NAMES)}, step=9)
    for name in NAMES:
        driver.metrics({name: 1.5}, step=10)
    driver.end()
    whole, *single = points_of(run.folder)
    assert whole == (9, {name: float(number) for number, name in enumerate(NAMES)})
    assert single == [(10, {name: 1.5}) for name in NAMES]


def test_param_names_read_back(run: RunContext, drive: Drive) -> None:
    params = {name: {name: [name]} for name in [*NAMES, "_wandb", "-", "--x", "y_x2d_", "lr_x2d_-"]}
    driver = drive(mode="offline")
    driver.params(params)
    driver.end()
    [record] = records_of(run.folder, Params)
    assert record.params == params


FILES = [
    "a.txt",
    "plots/a[1].txt",
    "b*.txt",
    "config.yaml",
    "media/x.txt",
    "wandb-summary.json",
    "artifacts/a.txt",
    "ü ö",
]


def test_files_keep_their_names(run: RunContext, drive: Drive) -> None:
    driver = drive(mode="offline")
    for name in FILES:
        driver.artifact(name, name.encode())
    driver.end()
    stored = {record.name: Path(record.file).read_bytes() for record in records_of(run.folder, Artifact)}
    assert stored == {name: name.encode() for name in FILES}


def test_a_folder_and_a_newer_version_of_a_file(run: RunContext, drive: Drive) -> None:
    driver = drive(mode="offline")
    source = run.folder / ".spool" / "folder"
    (source / "deep").mkdir(parents=True)
    (source / "a.txt").write_text("one")
    (source / "deep" / "b.txt").write_text("three")
    folder = Artifact(seq=9, time=1, name="code", file=".spool/folder", type="folder", size=8)
    driver.sink.log_artifacts([folder])
    driver.artifact("model.bin", b"old")
    driver.artifact("model.bin", b"newer")
    driver.end()
    stored = {record.name: record for record in records_of(run.folder, Artifact)}
    assert sorted(stored) == ["code", "model.bin"]
    assert Path(stored["model.bin"].file).read_bytes() == b"newer"
    assert (Path(stored["code"].file) / "deep" / "b.txt").read_text() == "three"
    assert stored["code"].size == 8


def test_files_outlive_the_spool(run: RunContext, drive: Drive) -> None:
    driver = drive(mode="offline")
    record = driver.artifact("a.txt", b"kept")
    driver.end()
    run.locate(record).unlink()
    [artifact] = records_of(run.folder, Artifact)
    assert Path(artifact.file).read_bytes() == b"kept"


def test_images_are_shown_at_their_step(run: RunContext, drive: Drive) -> None:
    image = pytest.importorskip("PIL.Image")
    path = run.folder / "pixel.png"
    image.new("RGB", (2, 2)).save(path)
    driver = drive(mode="offline")
    driver.artifact("figs/p.png", path.read_bytes(), type="figure", step=4)
    driver.artifact("broken.png", b"no picture", type="image", step=5)
    driver.metrics({"v": 1.0}, step=6)
    driver.end()
    [folder] = offline_folders(run.folder)
    shown, broken, _ = OfflineRun(folder).rows()
    assert shown["artifacts/figs/p.png._type"] == '"image-file"'
    assert shown["step"] == "4"
    assert broken["artifacts/broken.png"] == '"broken.png"'
    assert [record.name for record in records_of(run.folder, Artifact)] == ["figs/p.png", "broken.png"]
    assert points_of(run.folder) == [(6, {"v": 1.0})]
    again = drive(mode="offline", checkpoint=driver.checkpoint)
    again.end()
    [folder] = offline_folders(run.folder)
    carried, *_ = OfflineRun(folder).rows()
    columns = [key for key in shown if key not in ("_runtime", "_step")]
    assert {key: carried[key] for key in columns} == {key: shown[key] for key in columns}
    picture = folder / "files" / json.loads(shown["artifacts/figs/p.png.path"])
    assert picture.read_bytes() == path.read_bytes()


@pytest.mark.parametrize(("status", "code"), [("finished", 0), ("failed", 1), ("killed", 137)])
def test_the_status_is_the_exit_code(run: RunContext, drive: Drive, status: Any, code: int) -> None:
    driver = drive(mode="offline")
    driver.end(status)
    [folder] = offline_folders(run.folder)
    assert OfflineRun(folder).header.exit_code == code
    assert records_of(run.folder, RunEnd)[0].status == status


def test_there_is_no_checkpoint_before_the_end(run: RunContext, drive: Drive) -> None:
    driver = drive(mode="offline")
    driver.metrics({"v": 1.0}, step=0)
    assert driver.flush() is None
    driver.end()
    assert driver.checkpoint is not None
    assert driver.checkpoint["rows"] == 1


@pytest.mark.parametrize("damaged", [False, True])
def test_a_torn_file_gives_no_checkpoint(run: RunContext, drive: Drive, damaged: bool) -> None:
    from unitrack.errors import SinkUnavailableError

    driver = drive(mode="offline", finish_timeout=0.5)
    for step in range(50):
        driver.metrics({"v": 1.0}, step=step)
    driver.sink.end_run(status="finished", time=1)
    assert offline_folders(run.folder) == []
    [file] = (run.folder / "wandb").rglob("*.wandb")
    folder = file.parent
    wait_until(lambda: OfflineRun(folder).header.exit_code is not None)
    content = file.read_bytes()
    file.write_bytes(content[:40] + b"?" + content[41:] if damaged else content[:-300])
    with pytest.raises(SinkUnavailableError, match="not whole"):
        driver.flush()
    assert driver.checkpoint is None


def test_links_lead_a_user_and_a_source_there(run: RunContext, drive: Drive) -> None:
    driver = drive(mode="offline")
    link = driver.link
    driver.end()
    assert link.open_with == f"wandb sync {link.location}"
    assert [start.run_id for start in open_source(link.location).runs()] == [run.start.run_id]


def test_a_resumed_run_stays_one_whole_folder(run: RunContext, drive: Drive) -> None:
    driver = drive(mode="offline")
    driver.params({"a": {"b": 1}})
    driver.metrics({"v": -0.0}, step=0)
    driver.artifact("a.txt", b"a")
    driver.end("failed")
    again = drive(mode="offline", checkpoint=driver.checkpoint)
    again.params({"a": {"c": 2}})
    again.metrics({"v": 2.0}, step=1)
    again.artifact("b.txt", b"b")
    again.end()
    assert len(offline_folders(run.folder)) == 1
    points = points_of(run.folder)
    assert points == [(0, {"v": 0.0}), (1, {"v": 2.0})]
    assert bits(points[0][1]["v"]) == bits(-0.0)
    assert records_of(run.folder, Params)[0].params == {"a": {"b": 1, "c": 2}}
    assert [Path(record.file).read_bytes() for record in records_of(run.folder, Artifact)] == [b"a", b"b"]
    assert records_of(run.folder, RunEnd)[0].status == "finished"
    # The second end was not committed: back to the first checkpoint, whose own folder is gone.
    third = drive(mode="offline", checkpoint=driver.checkpoint)
    third.metrics({"v": 3.0}, step=1)
    third.end()
    assert len(offline_folders(run.folder)) == 1
    assert points_of(run.folder) == [(0, {"v": 0.0}), (1, {"v": 3.0})]


def test_the_same_sink_opens_again_after_a_failure(run: RunContext, drive: Drive) -> None:
    driver = drive(mode="offline")
    driver.metrics({"v": 1.0}, step=0)
    driver.open()
    driver.metrics({"v": 1.0}, step=0)
    driver.metrics({"v": 2.0}, step=1)
    driver.end()
    assert len(offline_folders(run.folder)) == 1
    assert points_of(run.folder) == [(0, {"v": 1.0}), (1, {"v": 2.0})]


def test_runs_side_by_side_do_not_mix(tmp_path: Path, drive: Drive) -> None:
    runs = [SinkDriver.make_run(tmp_path / name, name) for name in ("a", "a-1", "b")]
    drivers = [drive(run=run, mode="offline", dir=str(tmp_path / "shared")) for run in runs]
    for step in range(20):
        for number, driver in enumerate(drivers):
            driver.metrics({"v": float(number)}, step=step)
    for driver in drivers:
        driver.end()
    source = open_source(str(tmp_path / "shared"))
    assert sorted(start.run_id for start in source.runs()) == ["a", "a-1", "b"]
    for number, run in enumerate(runs):
        metrics = [record for record in source.records(run.start.run_id) if isinstance(record, Metrics)]
        assert [(record.step, record.metrics) for record in metrics] == [(s, {"v": float(number)}) for s in range(20)]
    with pytest.raises(KeyError):
        source.records("c")


def test_odd_ids_and_projects_are_accepted(tmp_path: Path, drive: Drive) -> None:
    run = SinkDriver.make_run(tmp_path / "run", "a/b:c #1 ", project="team/p#1%", name="x" * 300, tags={"k": "v" * 99})
    driver = drive(run=run, mode="offline")
    driver.end()
    [start] = open_source(str(run.folder)).runs()
    assert (start.project, start.name, start.tags) == ("team/p#1%", "x" * 300, {"k": "v" * 99})


@pytest.mark.usefixtures("nothing_printed")
def test_nothing_is_printed(drive: Drive) -> None:
    driver = drive(mode="offline")
    driver.params({"lr": 1})
    driver.metrics({"v": 1.0}, step=0)
    driver.artifact("a.txt", b"a")
    driver.end()
