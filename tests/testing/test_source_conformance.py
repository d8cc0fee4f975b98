"""`SourceConformance`, on a source that is right and on ones that are wrong in a way that it has to find."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from unitrack.hookspecs import Backend, Columns, RunSummary, Source
from unitrack.records import AnyRecord, Metrics, Params, RunEnd, RunStart
from unitrack.testing import Contents, SourceConformance

START = RunStart(seq=0, time=5, run_id="1", name="one", project="p")
RECORDS: list[AnyRecord] = [
    START,
    Params(seq=1, time=5, params={"lr": 0.1}),
    Metrics(seq=2, time=6, step=1, metrics={"loss": 0.5}),
    Metrics(seq=3, time=7, step=2, metrics={}, special={"loss": "nan"}),
    RunEnd(seq=4, time=8, status="finished"),
]
EXPECTED = {
    "1": Contents(
        name="one",
        project="p",
        params={"lr": 0.1},
        points={"loss": [(1, 0.5), (2, math.nan)]},
        times={"loss": [6, 7]},
        status="finished",
    )
}


class Right(Source):
    """One run, in a file that says nothing."""

    def __init__(self, location: str) -> None:
        if not Path(location).exists():
            raise FileNotFoundError(location)
        self.file = Path(location)

    def runs(self) -> Iterator[RunStart]:
        yield START

    def records(self, run_id: str) -> Iterator[AnyRecord]:
        if run_id != "1":
            raise KeyError(run_id)
        yield from RECORDS


class LosesAPoint(Right):
    """In `columns` alone."""

    def columns(self, run_id: str, metrics: Any = None) -> Mapping[str, Columns]:
        found = super().columns(run_id, metrics)
        return {name: Columns(one.steps[1:], one.values[1:], one.times[1:]) for name, one in found.items()}


class ForgetsParams(Right):
    """In `summary` alone."""

    def summary(self, run_id: str) -> RunSummary:
        return RunSummary.of(record for record in self.records(run_id) if not isinstance(record, Params))


class Rounds(Right):
    def records(self, run_id: str) -> Iterator[AnyRecord]:
        for record in super().records(run_id):
            yield record.with_values({"loss": 0.5000001}) if isinstance(record, Metrics) else record


class FindsAnything(Right):
    def records(self, run_id: str) -> Iterator[AnyRecord]:
        yield from RECORDS


class OpensAnything(Right):
    def __init__(self, location: str) -> None:
        self.file = Path(location)


class Writes(Right):
    def records(self, run_id: str) -> Iterator[AnyRecord]:
        self.file.write_text("an index")
        yield from super().records(run_id)


def suite_of(source: type[Source]) -> type[SourceConformance]:
    backend = Backend(name="museum", summary="old runs", source=f"{__name__}:{source.__name__}")

    class TestIt(SourceConformance):
        plugin = SimpleNamespace(__name__="json", register_backends=lambda: [backend])  # type: ignore[assignment]

        @pytest.fixture
        def location(self, tmp_path: Path) -> str:
            (tmp_path / "store").write_text("")
            return str(tmp_path / "store")

        @pytest.fixture
        def expected(self) -> Mapping[str, Contents]:
            return EXPECTED

    return TestIt


class TestRight(suite_of(Right)):  # type: ignore[misc]
    """All of it passes."""


@pytest.mark.parametrize(
    ("source", "test"),
    [
        (LosesAPoint, "test_shorter_ways_agree_with_the_records"),
        (ForgetsParams, "test_shorter_ways_agree_with_the_records"),
        (Rounds, "test_contents"),
        (FindsAnything, "test_unknown_run_is_a_key_error"),
        (OpensAnything, "test_nothing_there_is_a_file_not_found_error"),
        (Writes, "test_reading_changes_nothing"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_what_is_wrong_is_found(source: type[Right], test: str, tmp_path: Path) -> None:
    suite = suite_of(source)()
    (tmp_path / "store").write_text("")
    place = str(tmp_path / "store")
    given: dict[str, Callable[[], Any]] = {
        "location": lambda: place,
        "source": lambda: suite.open_source(place),
        "expected": lambda: EXPECTED,
        "tmp_path": lambda: tmp_path,
    }
    method = getattr(suite, test)
    names = method.__code__.co_varnames[1 : method.__code__.co_argcount]
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        method(**{name: given[name]() for name in names})
