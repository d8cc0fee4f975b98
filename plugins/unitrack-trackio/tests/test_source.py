"""The source gives back the records that a run was made of, and reads what others wrote."""

from __future__ import annotations

import math
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import trackio

import unitrack
from unitrack.errors import SourceError
from unitrack.records import Artifact, Metrics, Params, RunEnd, RunStart, Tags
from unitrack_trackio.options import TrackioOptions
from unitrack_trackio.source import TrackioSource

AWKWARD = ("loss", "Loss", "step", "time", "__x", "_y", "~z", "a//b", "mean@1", "../x", "\N{FIRE}", "n" * 1000)


def test_a_whole_run_comes_back(open_sink, run):
    sink = open_sink()
    params = {"lr": 0.1, "model": {"depth": 4, "layers": [1, 2]}, "none": None, "big": 2**60, "_p": 1}
    sink.params(params)
    sink.tags({"a": "1"})
    sink.metrics({name: number / 3 for number, name in enumerate(AWKWARD)}, 4)
    sink.metrics({"nan": math.nan, "inf": math.inf, "-inf": -math.inf, "one": 1.0}, 2)
    sink.artifact("models/best.pt", b"weights", "model", step=2)
    sink.end("killed")

    found = list(TrackioSource(sink.link.location).records(sink.link.id))
    assert [type(record) for record in found] == [RunStart, Params, Tags, Metrics, Metrics, Artifact, RunEnd]
    assert [record.seq for record in found] == list(range(7))
    start, given, tags, first, second, kept, end = found
    assert (start.name, start.project, start.time) == (run.start.name, run.start.project, run.start.time)
    assert (given.params, tags.tags) == (params, {"a": "1"})
    assert (first.step, first.values()) == (4, {name: number / 3 for number, name in enumerate(AWKWARD)})
    assert second.step == 2 and repr(second.values()["nan"]) == "nan"
    assert (second.values()["inf"], second.values()["-inf"]) == (math.inf, -math.inf)
    assert (kept.name, kept.type, kept.step, kept.size) == ("models/best.pt", "model", 2, 7)
    assert end.status == "killed"


def test_a_run_that_trackio_wrote(folder, tmp_path):
    theirs = trackio.init(tmp_path.name, "plain", config={"lr": 0.1}, embed=False, auto_log_cpu=False)
    theirs.log({"loss": 0.5, "note": "text", "nested": {"acc": 1.0}})
    theirs.log({"loss": float("nan")})
    theirs.finish()
    found = unitrack.runs(f"trackio:{folder}").find(f"{tmp_path.name}/{theirs.id}")
    assert (found.name, found.project, found.status, found.params) == ("plain", tmp_path.name, "running", {"lr": 0.1})
    assert [(step, repr(value)) for step, value, _ in found.history("loss")] == [(0, "0.5"), (1, "nan")]
    assert found.started > 1_700_000_000_000


def test_a_run_that_is_not_there(folder, open_sink):
    link = open_sink().link
    for missing in ("no/where", f"{link.id}x", "../x/y"):
        with pytest.raises(KeyError):
            TrackioSource(str(folder)).records(missing)


def test_tracking_as_a_user_does(folder, tmp_path):
    """Through a courier, which finds trackio's folder in its environment."""
    with unitrack.start_run("tracked", project=tmp_path.name, sinks=["trackio"], root=tmp_path) as run:
        for step in range(10):
            run.log_metrics({"loss": 1 / (step + 1)}, step=step)
    assert run.finish(timeout=60).ok
    link = run.links()["trackio"]
    found = unitrack.runs(f"trackio:{link.location}").find(link.id)
    assert (found.name, found.status) == ("tracked", "finished")
    assert [(step, value) for step, value, _ in found.history("loss")] == [(n, 1 / (n + 1)) for n in range(10)]


KILLED_WRITER = """
import os, sqlite3, sys

connection = sqlite3.connect(sys.argv[1])
connection.execute("PRAGMA journal_mode = DELETE")
connection.execute("PRAGMA cache_size = 1")  # so that the file is written before the commit
connection.execute("UPDATE metrics SET metrics = '{}', timestamp = hex(randomblob(5000))")
os._exit(1)
"""


def test_a_writer_that_was_killed_is_undone_first(open_sink, run):
    sink = open_sink()
    for step in range(50):
        sink.metrics({"loss": step / 7}, step)
    sink.end()
    [file] = Path(sink.link.location).rglob(f"{run.start.project}.db")
    subprocess.run([sys.executable, "-c", KILLED_WRITER, str(file)], timeout=30)
    assert file.with_name(f"{file.name}-journal").exists()
    found = [one for one in TrackioSource(sink.link.location).records(sink.link.id) if isinstance(one, Metrics)]
    assert [(one.step, one.metrics["loss"]) for one in found] == [(step, step / 7) for step in range(50)]


def test_the_project_by_trackios_own_variable(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("TRACKIO_PROJECT", f"{tmp_path.name}-theirs")
    with unitrack.start_run("tracked", sinks="trackio", root=tmp_path, delivery="thread") as run:
        run.log_metrics({"loss": 0.5}, step=1)
    assert run.finish(timeout=60).ok
    assert run.links()["trackio"].open_with.endswith(f"{tmp_path.name}-theirs")


def test_a_file_from_a_folder_that_is_not_that_of_this_process(open_sink, folder, tmp_path):
    """It is copied from the folder, and trackio does not record that a run has used it."""
    sink = open_sink()
    sink.artifact("notes/a.txt", b"hello", "text")
    sink.end("finished")
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(folder, elsewhere)
    found = unitrack.runs(f"trackio:{elsewhere}").find(sink.link.id)
    before = (elsewhere / f"{found.project}.db").read_bytes()
    assert found.fetch("notes/a.txt", tmp_path / "fetched").read_bytes() == b"hello"
    assert (elsewhere / f"{found.project}.db").read_bytes() == before
    shutil.rmtree(elsewhere / "artifacts")
    with pytest.raises(SourceError, match=r"'a.txt' in notes_x2f_a.txt:v0 is not in .*blobs"):
        found.fetch("notes/a.txt", tmp_path / "again")


def test_a_location_as_the_destination_of_a_copy(folder):
    assert TrackioOptions.at(str(folder)) == TrackioOptions()
    with pytest.raises(ValueError, match=r"set TRACKIO_DIR=.*/other and start again"):
        TrackioOptions.at(str(folder / "other"))
