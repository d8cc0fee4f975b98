"""What goes wrong with a database: it goes away, it locks, statements fail for ever, a courier is killed."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
import sqlalchemy
import sqlalchemy.exc
from sqlalchemy import event
from unitrack_tests.postgres import PASSWORD, Server, serving

import unitrack_sql
from unitrack.errors import RecordRejectedError, SinkMisconfiguredError, SinkUnavailableError, SourceError
from unitrack.records import Artifact
from unitrack.testing import SinkDriver, Trial
from unitrack.testing.conformance.comparing import assert_same
from unitrack.testing.conformance.restarts import log_a_bit_of_all
from unitrack.testing.whole_run import Contents
from unitrack_sql.addresses import Address
from unitrack_sql.engines import Lease
from unitrack_sql.options import SqlOptions
from unitrack_sql.sink import SqlSink
from unitrack_sql.source import SqlSource

[BACKEND] = unitrack_sql.register_backends()


def opened(url: str, run: Any, checkpoint: dict[str, Any] | None = None, **options: Any) -> SinkDriver:
    driver = SinkDriver(SqlSink(SqlOptions(url=url, **options)), run, checkpoint)
    driver.open()
    return driver


def points(driver: SinkDriver, url: str) -> list[tuple[int, int, float]]:
    found = Contents()
    for record in SqlSource(url).records(driver.link.id):
        found.add(record)
    return [(step, time, value) for (step, value), time in zip(found.points["loss"], found.times["loss"], strict=True)]


def check(trial: Trial) -> None:
    source, found = SqlSource(trial.link.location), Contents()
    scratch = trial.folder.path.parent / f"scratch-{time.monotonic_ns()}"
    for number, record in enumerate(source.records(trial.link.id)):
        found.add(record)
        if isinstance(record, Artifact):
            (folder := scratch / str(number)).mkdir(parents=True)
            found.put(record.name, source.fetch(trial.link.id, record, folder))
    assert_same(found, trial.logged, exact_floats=True)
    assert (trial.ledger.state, trial.ledger.dead_lettered) == ("complete", 0)


# -- what the words of a database mean ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda server: server.tcp_url(login="unitrack:wrong-word"), "password authentication failed.* PGPASSWORD"),
        (lambda server: server.tcp_url(), "no password supplied.* PGPASSWORD"),
        (lambda server: server.url("no_such_database"), "does not exist.* mend the url"),
        (lambda server: server.url().replace("unitrack@", "nobody_here@"), "does not exist"),
        (lambda server: server.url() + "&sslmode=always", "sslmode.* mend"),
        (lambda server: server.url() + "&no_such=1", "no_such.* mend the parameters"),
    ],
    ids=["wrong password", "no password", "no such database", "no such user", "bad parameter", "unknown parameter"],
)
def test_a_wrong_setup_parks(
    server: Server, change: Callable[[Server], str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PGPASSWORD", raising=False)
    options = SqlOptions(url=change(server)).anchored(tmp_path)
    with pytest.raises(SinkMisconfiguredError, match=f"(?s){message}") as raised:
        SinkDriver(SqlSink(options), SinkDriver.make_run(tmp_path / "run")).open()
    assert "wrong-word" not in str(raised.value)
    with pytest.raises(SourceError) as refused:
        SqlSource(change(server))
    assert "wrong-word" not in str(refused.value)


def test_the_right_password_is_taken(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = server.make_database().partition("@/")[2].partition("?")[0]
    with_password = SqlOptions(url=server.tcp_url(database, f"unitrack:{quote(PASSWORD)}")).anchored(tmp_path)
    assert (with_password.url, with_password.password) == (server.tcp_url(database), PASSWORD)
    driver = SinkDriver(SqlSink(with_password), SinkDriver.make_run(tmp_path / "run"))
    assert PASSWORD not in repr(driver.open())
    driver.metrics({"loss": 0.5}, 1)
    driver.end()
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    assert [start.run_id for start in SqlSource(driver.link.location).runs()] == [driver.link.id]


@pytest.mark.parametrize("place", ["folder", "text"])
def test_a_path_that_is_no_database_parks(place: str, tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    if place == "folder":
        path.mkdir()
    else:
        path.write_text("this is a text of some length, and no database at all" * 50)
    with pytest.raises(SinkMisconfiguredError, match=r"mend the path|name another file"):
        opened(f"sqlite:///{path}", SinkDriver.make_run(tmp_path / "run"))


def test_a_server_that_is_not_there_is_waited_for(tmp_path: Path) -> None:
    with pytest.raises(SinkUnavailableError, match=r"127\.0\.0\.1:9|127\.0\.0\.1.*port 9"):
        opened("postgresql://somebody@127.0.0.1:9/runs", SinkDriver.make_run(tmp_path / "run"), timeout=2)


def test_a_locked_file_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unitrack.limits.IN_PLACE_TRIES", 1)
    url = f"sqlite:///{tmp_path}/runs.db"
    driver = opened(url, SinkDriver.make_run(tmp_path / "run"), timeout=1)
    with closing(sqlite3.connect(tmp_path / "runs.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(SinkUnavailableError, match="locked"):
            driver.metrics({"loss": 0.5}, 1)
        other.execute("ROLLBACK")
    driver.metrics({"loss": 0.25}, 2)
    driver.end()
    assert [(step, value) for step, _, value in points(driver, url)] == [(2, 0.25)]


def test_a_file_that_is_too_large_is_a_dead_letter(url: str, tmp_path: Path) -> None:
    driver = opened(url, SinkDriver.make_run(tmp_path / "run"), max_artifact_size=10)
    with pytest.raises(RecordRejectedError, match=r"11 bytes, more than the 10 .*max_artifact_size"):
        driver.artifact("large.bin", b"12345678901")
    driver.artifact("small.bin", b"1234567890")
    driver.end()


# -- failures of a database -------------------------------------------------------------------------------------------


@contextmanager
def each_nth_fails(url: str, n: int, when: str) -> Iterator[list[int]]:
    """Let each n-th statement of this process fail for good, before or after the database has carried it out."""
    lease = Lease(Address.parse(url), 10)
    count, failures = [0], [0]

    def fail(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if statement in ("ROLLBACK", "COMMIT"):
            return
        count[0] += 1
        if count[0] % n == 0:
            failures[0] += 1
            raise sqlalchemy.exc.OperationalError(statement, None, OSError("the network"))

    event.listen(lease.engine, f"{when}_cursor_execute", fail)
    try:
        yield failures
    finally:
        event.remove(lease.engine, f"{when}_cursor_execute", fail)
        lease.release()


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("n", [2, 3, 5])
def test_each_nth_statement_fails_for_ever(server: Server, n: int, when: str, tmp_path: Path) -> None:
    """On PostgreSQL each statement that was accepted stays, so everything arrives without going back."""
    url = server.make_database()
    first = opened(url, SinkDriver.make_run(tmp_path / "first", run_id="first"))  # the tables are made at once
    first.close()
    trial = Trial(tmp_path / "run", BACKEND, {"url": url})
    with each_nth_fails(url, n, when) as failures:
        for part in range(3):
            log_a_bit_of_all(trial, part)
            trial.deliver()
        trial.end()
    assert failures[0] > 5
    assert trial.ledger.attempts == 0
    check(trial)
    trial.close()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["stopped", "crashed"])
def test_a_server_that_stops_and_starts(how: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pending while it is away; then everything arrives, once."""
    monkeypatch.setattr("unitrack.limits.IN_PLACE_LASTS_S", 0.2)  # it is away for longer than requests are repeated
    # A commit waits until its log is written: only so it survives the crash of the server. That it is on the disk too
    # would matter in a crash of the machine.
    with serving(settings=("fsync=off",)) as server:
        url = server.make_database()
        trial = Trial(tmp_path / "run", BACKEND, {"url": url, "timeout": 2})
        for part in range(4):
            log_a_bit_of_all(trial, part)
            trial.deliver(tries=5)
            server.stop(how)
            log_a_bit_of_all(trial, part + 10)
            with pytest.raises(AssertionError, match="the sink fails"):
                trial.deliver()
            assert trial.ledger.state == "retrying"
            server.start()
            trial.retry_now()
        trial.log_end()
        trial.deliver(tries=5)
        check(trial)
        trial.close()


def test_connections_that_an_administrator_ends(server: Server, tmp_path: Path) -> None:
    url = server.make_database()
    trial = Trial(tmp_path / "run", BACKEND, {"url": url})
    for part in range(3):
        log_a_bit_of_all(trial, part)
        trial.deliver(tries=2)
        server.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'unitrack'")
    trial.log_end()
    trial.deliver(tries=2)
    check(trial)
    trial.close()


# -- couriers that die ------------------------------------------------------------------------------------------------


DELIVER = """
import sys
from pathlib import Path
import msgspec
from unitrack.delivery.lane.lane import Lane
from unitrack.delivery.lane.progress import Progress
from unitrack.runfolder.manifest import LaneSpec
from unitrack.runfolder.run_folder import RunFolder
import unitrack_sql.sink
import os, random, signal, sqlalchemy
lane = Lane(RunFolder(Path(sys.argv[1])), msgspec.json.decode(sys.argv[2], type=LaneSpec), owner_is_here=True)
seed = int(sys.argv[3])
for attempt in range(60):  # forks, so that SQLAlchemy is imported once
    child = os.fork()
    if child == 0:
        dies_at = random.Random(seed * 1000 + attempt).randrange(1, 25 * (attempt + 1))
        count = [0]
        def die(*rest):
            count[0] += 1
            if count[0] == dies_at:
                os.kill(os.getpid(), signal.SIGKILL)
        when = "before_cursor_execute" if attempt % 2 else "after_cursor_execute"
        sqlalchemy.event.listen(sqlalchemy.Engine, when, die)
        assert lane.acquire()
        while (progress := lane.step()) is Progress.MADE:
            pass
        os._exit(0 if progress is Progress.DONE else 3)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status):
        print(attempt, flush=True)
        sys.exit(os.WEXITSTATUS(status))
sys.exit(4)
"""


def test_couriers_killed_between_statements(url: str, tmp_path: Path) -> None:
    """Each one dies before or after one of its statements, until one comes to the end: all is there once."""
    trial = Trial(tmp_path / "run", BACKEND, {"url": url})
    for part in range(5):
        log_a_bit_of_all(trial, part)
    trial.log_end()
    command = [sys.executable, "-c", DELIVER, str(trial.folder.path), msgspec.json.encode(trial.spec).decode(), "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=140)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 3, "too few died for this test to say anything"
    check(trial)
    trial.close()


def test_a_statement_that_arrives_late_changes_nothing(url: str, tmp_path: Path) -> None:
    """A courier was declared dead, and its statement is carried out after another one has opened the run."""
    run = SinkDriver.make_run(tmp_path / "run")
    dead = opened(url, run)
    dead.metrics({"loss": 1.0}, 1)
    dead.flush()
    other = opened(url, run, dead.checkpoint)
    with pytest.raises(SinkUnavailableError, match="opened by another process") as raised:
        dead.metrics({"loss": 99.0}, 2)
    assert raised.value.reopen
    with pytest.raises(SinkUnavailableError):
        dead.params({"late": True})
    with pytest.raises(SinkUnavailableError):
        dead.artifact("late.txt", b"late")
    other.metrics({"loss": 2.0}, 2)
    other.end()
    assert [(step, value) for step, _, value in points(other, url)] == [(1, 1.0), (2, 2.0)]
    summary = SqlSource(url).summary(other.link.id)
    assert (summary.params, summary.artifacts, dict(summary.last)) == ({}, {}, {"loss": 2.0})
    dead.close()


def test_many_writers_at_once(url: str, tmp_path: Path) -> None:
    """Eight runs from eight threads, each with a sink of its own."""
    drivers: list[SinkDriver] = []

    def train(number: int) -> None:
        run = SinkDriver.make_run(tmp_path / f"run{number}", run_id=f"run{number}")
        driver = opened(url, run, timeout=60)
        drivers.append(driver)
        for step in range(5):
            driver.metrics({"loss": number + step / 8}, step)
            driver.params({f"p{step}": step})
            driver.artifact("same.txt", b"the same in all runs")
        driver.end()

    threads = [threading.Thread(target=train, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(100)
    summaries = {start.run_id: summary for start, summary in SqlSource(url).summaries()}
    assert len(drivers) == len(summaries) == 8
    for number in range(8):
        summary = summaries[f"run{number}"]
        assert (summary.status, summary.last["loss"], len(summary.params)) == ("finished", number + 0.5, 5)
