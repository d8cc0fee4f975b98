"""The source of journals: runs that were logged and never delivered."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from unitrack_tests.journaled import JournaledRun

import unitrack
import unitrack.sources.journal
from unitrack.errors import SourceError
from unitrack.hookspecs import Source
from unitrack.journal import JournalWriter, find_writers, segment_path
from unitrack.records import Artifact, Metrics, RunEnd, RunStart
from unitrack.sources.journal.source import JournalSource
from unitrack.testing import Contents, SourceConformance


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Contents]]:
    """A folder of runs, and what was logged to each."""
    root = tmp_path_factory.mktemp("root")
    runs = [JournaledRun(root / name, "local", {}, calls) for name, calls in (("a", 250), ("b", 30))]
    return root, {run.folder.path.name: run.logged for run in runs}


class TestJournal(SourceConformance):
    """The conformance suite, on runs of many segments with all kinds of records."""

    plugin = unitrack.sources.journal

    @pytest.fixture
    def location(self, store: tuple[Path, dict[str, Contents]]) -> str:
        return str(store[0])

    @pytest.fixture
    def expected(self, store: tuple[Path, dict[str, Contents]]) -> Mapping[str, Contents]:
        return store[1]


@pytest.fixture
def run(tmp_path: Path) -> JournaledRun:
    return JournaledRun(tmp_path / "root" / "a", "local", {}, 100)


def test_a_run_folder_its_spool_and_a_folder_of_runs_are_the_same_run(run: JournaledRun, tmp_path: Path) -> None:
    read = [list(_read(place)) for place in (run.folder.path, run.folder.spool, run.folder.path.parent)]
    assert read[0] == read[1] == read[2]
    moved = tmp_path / "rescued"
    shutil.copytree(run.folder.spool, moved)
    [text, *_] = [record for record in _read(moved) if isinstance(record, Artifact)]
    assert Path(text.file).is_relative_to(moved)
    assert Path(text.file).read_text() == "written at 17\n"


def test_unitrack_runs_reads_what_a_killed_process_has_logged(root: Path) -> None:
    """No courier ran, and nothing was ended: the run is there, as failed."""
    code = (
        "import os, unitrack\n"
        "run = unitrack.start_run('dies', sinks=['local'], params={'lr': 0.1}, delivery='thread')\n"
        "run.log_metrics({'loss': 0.25}, step=3)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=root, check=False, timeout=60)
    [found] = unitrack.runs("journal:experiments")
    assert (found.name, found.status, found.params) == ("dies", "failed", {"lr": 0.1})
    assert [(point.step, point.value) for point in found.history("loss")] == [(3, 0.25)]


def test_damaged_lines_are_skipped_and_counted(run: JournaledRun) -> None:
    [writer] = find_writers(run.folder.spool)
    segment = segment_path(run.folder.spool, writer, 0)
    lines = segment.read_bytes().splitlines(keepends=True)
    lines[5] = lines[5].replace(b'"loss"', b'"lOss"')
    segment.write_bytes(b"".join(lines))
    whole = JournalSource(str(run.folder.path))
    with pytest.warns(UserWarning, match=r"1 record is lost, the first at .*000000\.journal, byte \d+: the checksum"):
        left = [record for record in whole.records("a") if isinstance(record, Metrics)]
    assert len(left) == len(run.logged.points["loss"]) - 1
    list(whole.records("a"))  # it warns once


def test_points_that_a_resume_superseded_are_left_out(tmp_path: Path) -> None:
    """One curve, as in each backend; system metrics go on."""
    spool = tmp_path / "a" / ".spool"
    spool.mkdir(parents=True)
    journal = JournalWriter(spool)
    for session, steps in ((0, range(6)), (1, range(3, 5)), (2, range(4, 8))):
        if session:
            journal.begin_segment()
        journal.copy(RunStart(seq=0, time=0, run_id="a", name="a", project="", tags={"session": str(session)}))
        for step in steps:
            journal.copy(Metrics(seq=0, time=0, step=step, metrics={"loss": session, "system/cpu": 1.0}))
        journal.copy(RunEnd(seq=0, time=0, status="killed"))
    journal.close()
    [found] = unitrack.runs(f"journal:{tmp_path}")
    points = [(0, 0), (1, 0), (2, 0), (3, 1), (4, 2), (5, 2), (6, 2), (7, 2)]
    assert [(point.step, point.value) for point in found.history("loss")] == points
    assert len(found.history("system/cpu")) == 12
    assert (found.status, found.tags) == ("killed", {"session": "2"})


def test_segments_that_were_delivered_and_deleted_are_no_damage(run: JournaledRun) -> None:
    """The identity then comes from the manifest."""
    [(writer, segments)] = find_writers(run.folder.spool).items()
    assert len(segments) > 2
    segment_path(run.folder.spool, writer, 0).unlink()
    first, *_, last = _read(run.folder.path)
    assert isinstance(first, RunStart)
    assert (first.name, first.project) == ("a", "project a")
    assert isinstance(last, RunEnd)


def test_a_place_without_a_journal_says_what_to_give(root: Path) -> None:
    with unitrack.start_run("done", sinks=["local"], delivery="inline") as run:
        run.log_metrics({"loss": 1.0})
    with pytest.raises(SourceError, match=r"all of it was delivered.*read local:"):
        unitrack.runs(f"journal:{run.path}")
    with pytest.raises(SourceError, match="there is nothing of this name"):
        unitrack.runs("journal:nowhere")


def test_a_file_outside_of_the_spool_is_not_read(run: JournaledRun, tmp_path: Path) -> None:
    """A journal may come from a stranger."""
    (tmp_path / "secret").write_text("x")
    journal = JournalWriter(run.folder.spool)
    for file in (str(tmp_path / "secret"), "../../secret"):
        journal.copy(Artifact(seq=0, time=0, name="stolen", file=file, size=1))
    journal.close()
    stolen = [one for one in _read(run.folder.path) if isinstance(one, Artifact) and one.name == "stolen"]
    assert len(stolen) == 2
    [found] = unitrack.runs(f"journal:{run.folder.path}")
    with pytest.raises(SourceError):
        found.fetch(stolen[1], tmp_path / "out")


def _read(place: Path) -> list[object]:
    source: Source = JournalSource(str(place))
    [start] = source.runs()
    return list(source.records(start.run_id))
