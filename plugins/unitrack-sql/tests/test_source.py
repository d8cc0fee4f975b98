"""What the database searches, and what plain SQL finds in its tables."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from sqlalchemy import event, select

import unitrack
from unitrack.errors import SourceError
from unitrack.hookspecs import Condition, Field, RunSummary
from unitrack.query.comparing import compare
from unitrack.query.evaluation import MISSING
from unitrack.query.fields import read_field
from unitrack.testing import SinkDriver
from unitrack_sql.addresses import Address
from unitrack_sql.engines import Lease
from unitrack_sql.options import SqlOptions
from unitrack_sql.schema import BLOBS, CHUNKS, RUNS
from unitrack_sql.searching import filtered
from unitrack_sql.sink import SqlSink
from unitrack_sql.source import SqlSource

PARAMS = (0.1, 1, 2**60 + 1, "adam", "0.1", "1", True, False, None, [1, 2], "True", "nan", "a_x0_b", "nul\0")
LAST = (0.5, 1.0, math.nan, math.inf, -math.inf, -0.0, 3.0, 1e300, 0.1, 2.0**60, 7.0, 8.0, 9.0, 10.0)
VALUES = (0.1, 1, 2**60 + 1, "adam", "0.1", True, None, math.nan, math.inf, "a_x0_b", "nul\0", ("adam", "1"), "failed")
OPERATORS = ("==", "!=", "<", "<=", ">", ">=", "in", "not in", "has")
FIELDS = (
    Field("params", "p"),
    Field("tags", "t"),
    Field("metrics", "m"),
    Field("metrics", "m", "min"),
    Field("metrics", "m", "count"),
    Field("run", "status"),
    Field("run", "name"),
    Field("run", "started"),
    Field("run", "ended"),
    Field("run", "duration"),
)


@pytest.fixture
def filled(url: str, tmp_path: Path) -> str:
    """Runs with params and values of all kinds, one without any, and one that goes on."""
    for number, (param, value) in enumerate(zip(PARAMS, LAST, strict=True)):
        run = SinkDriver.make_run(tmp_path / str(number), run_id=f"run{number}", name=str(param))
        driver = SinkDriver(SqlSink(SqlOptions(url=url)), run)
        driver.open()
        driver.params({"p": param})
        driver.tags({"t": str(param)})
        driver.metrics({"m": value}, 1)
        driver.end("failed" if number % 2 else "finished")
    for name in ("empty", "open"):
        driver = SinkDriver(SqlSink(SqlOptions(url=url)), SinkDriver.make_run(tmp_path / name, run_id=name))
        driver.open()
        driver.end() if name == "empty" else driver.close()
    return url


def test_what_is_left_out_is_not_meant(filled: str) -> None:
    """Each condition, as the database searches it, against the answer of the query itself for every run."""
    source = SqlSource(filled)
    every = list(source.summaries())
    fewer = 0
    lease = Lease(Address.parse(filled), 10)
    with lease.engine.connect() as connection:
        for field in FIELDS:
            for operator in OPERATORS:
                for value in VALUES:
                    condition = Condition(field, operator, value)  # type: ignore[arg-type]
                    found = set(connection.execute(filtered(select(RUNS.c.id), [condition])).scalars())
                    meant = {start.run_id for start, summary in every if _holds(condition, start, summary)}
                    assert meant <= found, condition
                    fewer += len(found) < len(every)
    lease.release()
    assert fewer > 200, "the database searches for next to nothing"


def _holds(condition: Condition, start: unitrack.records.RunStart, summary: RunSummary) -> bool:
    value = read_field(condition.field, start, summary)
    return value is not MISSING and any(
        compare(value, condition.operator, condition.value, numeric_texts=numeric) for numeric in (True, False)
    )


def test_a_summary_is_what_the_records_come_to(filled: str) -> None:
    source = SqlSource(filled)
    for start, summary in source.summaries():
        assert repr(summary) == repr(RunSummary.of(source.records(start.run_id))), start.run_id


def test_listing_asks_as_often_for_many_runs_as_for_few(filled: str) -> None:
    source, asked = SqlSource(filled), []
    event.listen(source._engine, "before_cursor_execute", lambda *call: asked.append(call[2]))
    assert len(list(source.summaries())) == len(PARAMS) + 2
    assert len(asked) <= 8


def test_plain_sql_finds_curves(url: str, tmp_path: Path) -> None:
    driver = SinkDriver(SqlSink(SqlOptions(url=url)), SinkDriver.make_run(tmp_path / "run", name="a run"))
    driver.open()
    for step, value in enumerate((0.5, math.nan, 0.25)):
        driver.metrics({"loss": value}, step, time=1000 + step)
    driver.hooks.rewind(steps={"loss": 2})
    driver.metrics({"loss": 0.125}, 2, time=2000)
    driver.end()
    lease = Lease(Address.parse(url), 10)
    with lease.engine.connect() as connection:
        rows = connection.exec_driver_sql(
            "SELECT step, value, time FROM unitrack_curves WHERE run_name = 'a run' AND metric = 'loss' ORDER BY step"
        ).all()
        summary = connection.exec_driver_sql("SELECT points, last, min, max FROM unitrack_metrics").one()
    lease.release()
    assert [(step, time) for step, _, time in rows] == [(0, 1000), (1, 1001), (2, 2000)]
    assert (rows[0][1], rows[2][1], tuple(summary)) == (0.5, 0.125, (3, 0.125, 0.125, 0.5))
    assert rows[1][1] is None or math.isnan(rows[1][1])


def test_a_content_is_stored_once_and_goes_with_its_last_artifact(url: str, tmp_path: Path) -> None:
    drivers = []
    for number in range(2):
        run = SinkDriver.make_run(tmp_path / str(number), run_id=f"run{number}")
        drivers.append(SinkDriver(SqlSink(SqlOptions(url=url)), run))
        drivers[-1].open()
        drivers[-1].artifact("model.pt", b"the same weights" * 100_000)
    lease = Lease(Address.parse(url), 10)

    def stored() -> tuple[int, int]:
        with lease.engine.connect() as connection:
            blobs = connection.execute(select(BLOBS.c.digest)).all()
            return len(blobs), len(connection.execute(select(CHUNKS.c.digest)).all())

    assert stored() == (1, 2)
    drivers[0].artifact("model.pt", b"others")
    assert stored() == (2, 3)
    drivers[1].artifact("model.pt", b"others")
    assert stored() == (1, 1)
    for driver in drivers:
        driver.end()
    lease.release()


def test_a_damaged_content_is_not_taken_for_the_file(url: str, tmp_path: Path) -> None:
    driver = SinkDriver(SqlSink(SqlOptions(url=url)), SinkDriver.make_run(tmp_path / "run"))
    driver.open()
    driver.artifact("model.pt", b"weights")
    driver.end()
    lease = Lease(Address.parse(url), 10)
    with lease.engine.connect() as connection:
        connection.execute(CHUNKS.update().values(data=b"wieghts"))
    lease.release()
    [run] = unitrack.runs(f"sql:{url}")
    with pytest.raises(SourceError, match="damaged"):
        run.fetch("model.pt", tmp_path / "fetched")


def test_two_sinks_of_one_run_in_one_database_are_two_runs(url: str, tmp_path: Path) -> None:
    sinks = [{"sql": {"url": url}}, {"sql": {"url": url}}]
    with unitrack.start_run("twice", sinks=sinks, root=tmp_path, delivery="inline") as run:
        run.log_metrics({"loss": 0.5}, step=1)
    assert run.finish().ok
    found = unitrack.runs(f"sql:{url}")
    assert sorted(one.id for one in found) == sorted([run.id, f"{run.id}:sql-2"])
    assert [one.summary for one in found] == [{"loss": 0.5}] * 2
