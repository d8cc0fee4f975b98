"""What `wandb sync` makes of an offline run: the consumer that offline mode is for."""

from __future__ import annotations

from pathlib import Path

from stand_in_server import StandInServer
from wandb_reading import Drive, offline_folders, points_of, records_of, sync_folder, wandb_sync

from unitrack.hookspecs import RunContext
from unitrack.records import Artifact
from unitrack.testing.driver import SinkDriver


def test_a_synced_run_is_the_run(server: StandInServer, tmp_path: Path, drive: Drive) -> None:
    run = SinkDriver.make_run(tmp_path / "run", "abc", name="my run", tags={"team": "a"}, description="why")
    driver = drive(run=run, mode="offline")
    driver.params({"model": {"depth": 4}})
    driver.metrics({"v": 1.0, "_x": float("inf")}, step=5)
    driver.metrics({"v": 2.0}, step=2)
    driver.metrics({"v": 3.0}, step=2)
    driver.artifact("plots/a[1].txt", b"curve")
    driver.end("failed")
    sync_folder(driver.link.location, server, tmp_path)
    arrived = server.runs["abc"]
    assert [(row["_step"], row["step"], row["v"]) for row in arrived.history] == [(0, 5, 1.0), (1, 2, 2.0), (2, 2, 3.0)]
    assert arrived.history[0]["user._x"] == float("inf")
    assert arrived.files["plots/a[1].txt"] == b"curve"
    assert arrived.config["model"] == {"value": {"depth": 4}}
    assert arrived.attributes["tags"] == ["team:a"]
    assert arrived.exit_code == 1


def test_a_run_that_is_not_whole_is_not_synced(
    server: StandInServer, run: RunContext, tmp_path: Path, drive: Drive
) -> None:
    """Neither by a glob, nor by `wandb sync` without a path, which is what a user types after a crash."""
    driver = drive(mode="offline")
    for step in range(100):
        driver.metrics({"v": float(step)}, step=step)
    assert list((run.folder / "wandb").glob("*run-*")) == []
    told = wandb_sync("--yes", "--include-online", folder=run.folder, server=server, home=tmp_path)
    assert "No runs to sync" in told
    driver.end()
    wandb_sync(*map(str, offline_folders(run.folder)), folder=run.folder, server=server, home=tmp_path)
    assert [row["v"] for row in server.runs[run.start.run_id].history] == [float(step) for step in range(100)]


def test_a_run_that_is_continued_after_a_sync(
    server: StandInServer, run: RunContext, tmp_path: Path, drive: Drive
) -> None:
    first = drive(mode="offline")
    first.metrics({"v": 1.0}, step=0)
    first.metrics({"v": 2.0}, step=1)
    first.artifact("a.txt", b"a")
    first.end("failed")
    sync_folder(first.link.location, server, tmp_path)
    second = drive(mode="offline", checkpoint=first.checkpoint)
    second.metrics({"v": 3.0}, step=2)
    second.artifact("b.txt", b"b")
    second.end("failed")
    third = drive(mode="offline", checkpoint=second.checkpoint)
    third.metrics({"v": 4.0}, step=3)
    third.end()
    assert offline_folders(run.folder) == [Path(first.link.location), Path(third.link.location)]
    points = [(0, {"v": 1.0}), (1, {"v": 2.0}), (2, {"v": 3.0}), (3, {"v": 4.0})]
    assert points_of(run.folder) == points
    assert [record.name for record in records_of(run.folder, Artifact)] == ["a.txt", "b.txt"]
    sync_folder(third.link.location, server, tmp_path)
    arrived = server.runs[run.start.run_id]
    assert [(row["step"], {"v": row["v"]}) for row in arrived.history] == points
    assert sorted(name for name in arrived.files if name.endswith(".txt")) == ["a.txt", "b.txt"]
    assert arrived.exit_code == 0
