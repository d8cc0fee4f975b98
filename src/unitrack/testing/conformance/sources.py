"""Sources: a store is read, and gives exactly what the conformance file says that it holds."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from unitrack.hookspecs import RunSummary, Source, columns_of
from unitrack.records import Artifact, Metrics, RunEnd, RunStart
from unitrack.testing.conformance.comparing import assert_same
from unitrack.testing.conformance.declared import PluginConformance
from unitrack.testing.whole_run import Contents

UNKNOWN = "0123456789abcdef0123456789abcdef"
"""An id that no run has."""


class SourceConformance(PluginConformance):
    """The suite for a backend that can only be read. Set `plugin`, and override the fixtures `location` and `expected`.

    The store should hold what the format can: several runs, points out of order, NaN and infinity, artifacts, a run
    that has not ended.
    """

    @pytest.fixture
    def location(self, tmp_path: Path) -> str:
        """Return a location with a store at it, written by the program whose format it is."""
        raise NotImplementedError("override the fixture `location`")

    @pytest.fixture
    def expected(self) -> Mapping[str, Contents]:
        """Return everything that the store holds, by the id of the run."""
        raise NotImplementedError("override the fixture `expected`")

    @pytest.fixture
    def source(self, location: str) -> Source:
        """The source of the store."""
        return self.open_source(location)

    def test_nothing_there_is_a_file_not_found_error(self, tmp_path: Path) -> None:
        """The constructor raises `FileNotFoundError` for a location at which nothing is."""
        with pytest.raises(FileNotFoundError):
            self.open_source(str(tmp_path / "nothing" / "here"))

    def test_runs_are_listed(self, source: Source, expected: Mapping[str, Contents]) -> None:
        """Each run is listed once, under its id, with its name and project."""
        listed = list(source.runs())
        assert sorted(start.run_id for start in listed) == sorted(expected)
        assert {start.run_id: (start.name, start.project) for start in listed} == {
            run_id: (run.name, run.project) for run_id, run in expected.items()
        }

    def test_contents(self, source: Source, expected: Mapping[str, Contents], tmp_path: Path) -> None:
        """Params with their types, tags, each point with its step, value and time, files and status are as expected."""
        for run_id, run in expected.items():
            assert_same(self._read(source, run_id), run, exact_floats=self.backend.exact_floats)

    def test_unknown_run_is_a_key_error(self, source: Source) -> None:
        """An unknown id raises `KeyError`, at the call or at the first record."""
        with pytest.raises(KeyError):
            list(source.records(UNKNOWN))
        with pytest.raises(KeyError):
            source.summary(UNKNOWN)

    def test_records_begin_and_end(self, source: Source) -> None:
        """The records of a run begin with the start that `runs` gives; an end, where there is one, is the last."""
        for start in source.runs():
            records = list(source.records(start.run_id))
            assert records[0] == start
            assert not any(isinstance(record, RunStart) for record in records[1:])
            assert not any(isinstance(record, RunEnd) for record in records[:-1])

    def test_reading_twice_gives_the_same(self, source: Source, location: str) -> None:
        """Reading twice gives the same records, with one source and with another one."""
        for start in source.runs():
            first = list(source.records(start.run_id))
            assert first == list(source.records(start.run_id))
            assert first == list(self.open_source(location).records(start.run_id))

    def test_shorter_ways_agree_with_the_records(self, source: Source) -> None:
        """`summary`, `summaries`, `history` and `columns` give what the records come to."""
        summaries = {start.run_id: summary for start, summary in source.summaries()}
        for start in source.runs():
            records = list(source.records(start.run_id))
            whole = RunSummary.of(records)
            for summary in (source.summary(start.run_id), summaries.pop(start.run_id)):
                assert _spelled(summary) == _spelled(whole)
            points = columns_of(record for record in records if isinstance(record, Metrics))
            assert _bytes(source.columns(start.run_id)) == _bytes(points)
            for name in points:
                assert _bytes(source.columns(start.run_id, (name,))) == _bytes({name: points[name]})
                assert _bytes(columns_of(source.history(start.run_id, (name,)))) == _bytes({name: points[name]})
            assert not source.columns(start.run_id, ("no such metric",))
        assert not summaries

    def test_reading_changes_nothing(self, source: Source, location: str) -> None:
        """A store that is a file or a folder is the same after it was read."""
        if not Path(location).exists():
            pytest.skip("the store is not a path of this machine")
        before = _digest(Path(location))
        for start in source.runs():
            list(source.records(start.run_id))
        assert _digest(Path(location)) == before

    def _read(self, source: Source, run_id: str) -> Contents:
        found = Contents()
        with tempfile.TemporaryDirectory(prefix="unitrack-conformance-") as scratch:
            for number, record in enumerate(source.records(run_id)):
                found.add(record)
                if isinstance(record, Artifact):
                    folder = Path(scratch, str(number))
                    folder.mkdir()
                    is_here = Path(record.file).is_absolute() and Path(record.file).exists()
                    found.put(record.name, Path(record.file) if is_here else source.fetch(run_id, record, folder))
        return found


def _spelled(summary: RunSummary) -> str:
    """Return the part of a summary that each source has at hand, with NaN equal to NaN."""
    known = (dict(summary.params), dict(summary.tags), dict(sorted(summary.last.items())))
    return repr((*known, summary.status, summary.ended))


def _bytes(columns: Mapping[str, msgspec.Struct]) -> dict[str, list[bytes]]:
    return {name: [bytes(column) for column in msgspec.structs.astuple(one)] for name, one in columns.items()}


def _digest(path: Path) -> dict[str, str]:
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
