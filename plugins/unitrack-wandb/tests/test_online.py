"""Online runs of the real SDK against the stand-in server, failures included."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from stand_in_server import API_KEY, StandInServer, StoredRun
from wandb_reading import Drive

from unitrack.errors import SinkMisconfiguredError, SinkUnavailableError
from unitrack.hookspecs import RunContext
from unitrack.records import GROUP, JOB_TYPE
from unitrack.testing.driver import SinkDriver

Online = dict[str, Any]
OURS_THEN_THEIRS = """
import sys, unitrack, wandb
with unitrack.start_run(project="p", name="ours", delivery="thread", sinks=["wandb"]) as run:
    run.log_metrics({"loss": 1.0}, step=0)
assert len(unitrack.runs("wandb:team/p")) == 1
sys.stderr.write("THEIRS")
with wandb.init(project="p", name="theirs", settings=wandb.Settings(x_disable_stats=True)) as run:
    run.log({"loss": 1.0})
"""


def stored(server: StandInServer, run: RunContext) -> StoredRun:
    return server.runs[run.start.run_id]


def rows(server: StandInServer, run: RunContext) -> list[tuple[int, int, float]]:
    return [(row["_step"], row["step"], row["v"]) for row in stored(server, run).history]


def deliver(driver: SinkDriver, count: int) -> None:
    for step in range(count):
        driver.metrics({"v": float(step)}, step=step * 10)


def test_a_whole_run_arrives(server: StandInServer, online: Online, tmp_path: Path, drive: Drive) -> None:
    tags = {"team": "a", GROUP: "g", JOB_TYPE: "train"}
    run = SinkDriver.make_run(tmp_path / "run", "abc", name="my run", tags=tags, description="why")
    driver = drive(run=run, **online, entity="team")
    driver.params({"lr": 0.1, "model": {"depth": 4}})
    driver.tags({"stage": "dev"})
    driver.metrics({"v": 1.0, "_x": 2.0}, step=5, time=1_700_000_000_123)
    driver.metrics({"v": float("nan"), "step": 3.0}, step=2)
    driver.artifact("plots/a[1].txt", b"curve")
    assert driver.flush() is None
    driver.end("failed")

    arrived = stored(server, run)
    first, second = arrived.history
    assert (first["_step"], first["step"], first["v"], first["user._x"]) == (0, 5, 1.0, 2.0)
    assert round(first["_timestamp"] * 1000) == 1_700_000_000_123
    assert (second["_step"], second["step"], second["user.step"]) == (1, 2, 3.0)
    assert second["v"] != second["v"]
    assert arrived.files["plots/a[1].txt"] == b"curve"
    assert arrived.exit_code == 1
    assert arrived.config["model"] == {"value": {"depth": 4}}
    assert arrived.config["unitrack"]["value"]["tags"] == tags | {"stage": "dev"}
    attributes = arrived.attributes
    assert set(attributes["tags"]) == {"team:a", "stage:dev"}
    assert (attributes["displayName"], attributes["notes"]) == ("my run", "why")
    assert (attributes["groupName"], attributes["jobType"]) == ("g", "train")
    assert driver.checkpoint is not None
    assert driver.checkpoint["rows"] == 2
    link = driver.link
    assert (link.id, link.location, link.url) == ("abc", "team/tests/abc", f"{server.url}/team/tests/runs/abc")
    assert server.unanswered == []


def test_redelivery_from_the_start_adds_nothing(
    server: StandInServer, online: Online, run: RunContext, drive: Drive
) -> None:
    first = drive(**online)
    deliver(first, 10)
    first.artifact("a.txt", b"a")
    first.close()
    assert first.checkpoint is None
    second = drive(**online)
    deliver(second, 15)
    second.artifact("a.txt", b"a")
    second.end()
    assert rows(server, run) == [(n, n * 10, float(n)) for n in range(15)]
    assert second.checkpoint is not None
    third = drive(**online)
    deliver(third, 15)
    third.artifact("a.txt", b"a")
    third.end()
    assert rows(server, run) == [(n, n * 10, float(n)) for n in range(15)]


def test_a_finished_run_is_continued(server: StandInServer, online: Online, run: RunContext, drive: Drive) -> None:
    first = drive(**online)
    first.params({"a": {"b": 1}})
    deliver(first, 3)
    first.end("failed")
    second = drive(**online, checkpoint=first.checkpoint)
    second.params({"a": {"c": 2}})
    second.metrics({"v": 3.0}, step=30)
    second.end()
    assert rows(server, run) == [(n, n * 10, float(n)) for n in range(4)]
    assert stored(server, run).config["a"] == {"value": {"b": 1, "c": 2}}
    assert stored(server, run).exit_code == 0


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410])
def test_a_stream_that_dies_gives_no_checkpoint(
    server: StandInServer, online: Online, run: RunContext, drive: Drive, status: int
) -> None:
    driver = drive(**online | {"finish_timeout": 0.5})
    server.stream_status = status
    deliver(driver, 3)
    with pytest.raises(SinkUnavailableError, match="0 of 3 rows"):
        driver.end()
    assert driver.checkpoint is None

    server.stream_status = 200
    driver.open()
    deliver(driver, 3)
    driver.end()
    assert driver.checkpoint is not None
    assert rows(server, run) == [(n, n * 10, float(n)) for n in range(3)]


def test_a_server_that_loses_rows_gives_no_checkpoint(server: StandInServer, online: Online, drive: Drive) -> None:
    server.rows_lost_after = 2
    driver = drive(**online | {"finish_timeout": 0.5})
    deliver(driver, 3)
    with pytest.raises(SinkUnavailableError, match="2 of 3 rows"):
        driver.end()


def test_a_file_that_did_not_arrive_gives_no_checkpoint(server: StandInServer, online: Online, drive: Drive) -> None:
    server.upload_status = 403
    driver = drive(**online | {"finish_timeout": 0.5})
    driver.artifact("a.txt", b"a")
    with pytest.raises(SinkUnavailableError, match=r"a\.txt"):
        driver.end()


def test_a_finish_that_blocks_is_bounded(server: StandInServer, online: Online, run: RunContext, drive: Drive) -> None:
    driver = drive(**online | {"finish_timeout": 1})
    server.stream_status = 500
    deliver(driver, 3)
    began = time.monotonic()
    with pytest.raises(SinkUnavailableError):
        driver.end()
    assert time.monotonic() - began < 5
    server.stream_status = 200
    driver.open()
    deliver(driver, 3)
    driver.end()
    assert rows(server, run) == [(n, n * 10, float(n)) for n in range(3)]


def test_a_server_that_is_down(online: Online, run: RunContext, drive: Drive) -> None:
    began = time.monotonic()
    with pytest.raises(SinkUnavailableError):
        drive(**online | {"base_url": "http://127.0.0.1:9", "init_timeout": 1})
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    ("status", "error", "text"),
    [
        (401, SinkMisconfiguredError, "wandb login"),
        (403, SinkMisconfiguredError, "may not write"),
        (404, SinkMisconfiguredError, "no such entity"),
        (500, SinkUnavailableError, "asking the W&B server"),
        (429, SinkUnavailableError, "asking the W&B server"),
    ],
)
def test_a_server_that_refuses(
    server: StandInServer, online: Online, run: RunContext, drive: Drive, status: int, error: type[Exception], text: str
) -> None:
    server.graphql_status = status
    with pytest.raises(error, match=text):
        drive(**online | {"init_timeout": 1})
    server.graphql_status = 200
    driver = drive(**online)
    deliver(driver, 2)
    driver.end()
    assert rows(server, run) == [(0, 0, 0.0), (1, 10, 1.0)]


def test_an_init_that_fails_after_the_key_was_accepted(
    server: StandInServer, online: Online, run: RunContext, drive: Drive
) -> None:
    server.refused = {"UpsertBucket": 403, "RunResumeStatus": 403}
    with pytest.raises(SinkMisconfiguredError, match="403"):
        drive(**online)
    server.refused = {}
    driver = drive(**online)
    deliver(driver, 2)
    driver.end()
    assert rows(server, run) == [(0, 0, 0.0), (1, 10, 1.0)]


def test_no_key_is_a_matter_of_configuration(server: StandInServer, online: Online, drive: Drive) -> None:
    del online["api_key"]
    with pytest.raises(SinkMisconfiguredError, match=r"no W&B API key.*wandb login"):
        drive(**online)


def test_a_malformed_key_is_a_matter_of_configuration(online: Online, drive: Drive) -> None:
    with pytest.raises(SinkMisconfiguredError, match="40"):
        drive(**online | {"api_key": "short"})


def test_the_key_is_found_where_the_sdk_keeps_it(
    server: StandInServer, online: Online, drive: Drive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = online.pop("api_key")
    path = tmp_path / "netrc"
    path.write_text(f"machine 127.0.0.1\n  login user\n  password {key}\n")
    path.chmod(0o600)
    monkeypatch.setenv("NETRC", str(path))
    drive(**online).end()
    monkeypatch.delenv("NETRC")
    monkeypatch.setenv("WANDB_API_KEY", key)
    drive(**online).end()


def test_the_key_is_not_written_to_disk(online: Online, run: RunContext, drive: Drive, tmp_path: Path) -> None:
    driver = drive(**online)
    deliver(driver, 2)
    driver.end()
    key = online["api_key"].encode()
    files = [path for place in (tmp_path, Path.home()) for path in place.rglob("*") if path.is_file()]
    written = [path for path in files if path.name != "netrc" and key in path.read_bytes()]
    assert any(run.folder in path.parents for path in files)
    assert written == []


def test_two_sinks_of_one_run_take_turns(
    server: StandInServer, online: Online, run: RunContext, drive: Drive, tmp_path: Path
) -> None:
    first = drive(**online)
    with pytest.raises(SinkUnavailableError, match="another W&B sink"):
        drive(mode="offline", dir=str(tmp_path / "other"))
    deliver(first, 2)
    first.end()
    second = drive(mode="offline", dir=str(tmp_path / "other"))
    deliver(second, 2)
    second.end()
    assert first.checkpoint is not None
    assert second.checkpoint is not None


def test_a_run_of_the_users_own_keeps_its_messages(
    server: StandInServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", server.url)
    monkeypatch.setenv("WANDB_API_KEY", API_KEY)
    script = [sys.executable, "-c", OURS_THEN_THEIRS]
    printed = subprocess.run(script, cwd=tmp_path, check=True, capture_output=True, text=True, timeout=60).stderr
    ours, theirs = printed.split("THEIRS")
    assert "wandb:" not in ours.replace("in wandb: http", "")
    assert "Syncing run theirs" in theirs
    assert f"View run theirs at: {server.url}/team/p/runs/" in theirs


@pytest.mark.usefixtures("nothing_printed")
def test_nothing_is_printed(online: Online, drive: Drive) -> None:
    driver = drive(**online)
    deliver(driver, 2)
    driver.end()
