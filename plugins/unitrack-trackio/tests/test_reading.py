"""Reading what trackio's own SDK wrote: many runs at once, in columns, and files that are damaged or being written."""

from __future__ import annotations

import math
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trackio

import unitrack
from unitrack.errors import SourceError
from unitrack.records import Artifact, Metrics
from unitrack_trackio.source import TrackioSource


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A run of the SDK: nested config, media, system metrics, a file, and steps out of order."""
    project = tmp_path_factory.mktemp("plain").name
    config = {"lr": 0.1, "model": {"depth": 4, "opt": {"betas": [1, 2]}}}
    run = trackio.init(project, "plain", config=config, embed=False, auto_log_cpu=False, auto_log_gpu=False)
    image = trackio.Image(np.zeros((4, 4, 3), dtype="uint8"))
    run.log({"loss": 1.0, "image": image, "hist": trackio.Histogram([1, 2]), "note": "text", "flag": True, "no": None})
    run.log({"loss": math.inf, "acc": 1, "nested": {"acc": 0.5}}, step=10)
    run.log({"loss": 0.25, "acc": math.nan}, step=3)
    run.log({"loss": 0.5}, step=3)
    run.log_system({"cpu": 12.0})
    file = tmp_path_factory.mktemp("files") / "weights.bin"
    file.write_bytes(b"weights")
    artifact = trackio.Artifact("best", type="model")
    artifact.add_file(file, name="sub/weights.bin")
    run.log_artifact(artifact)
    run.finish()
    return run


@pytest.fixture
def copied(folder: Path, plain: Any, tmp_path: Path) -> Path:
    """The database of the plain run, alone in a folder."""
    target = tmp_path / f"{plain.project}.db"
    target.write_bytes((folder / target.name).read_bytes())
    return target


def test_a_plain_run(folder, plain, tmp_path):
    found = unitrack.runs(f"trackio:{folder}").find(f"{plain.project}/{plain.id}")
    assert found.params == {"lr": 0.1, "model.depth": 4, "model.opt.betas": [1, 2]}
    assert (found.unitrack_id, found.status, found.tags) == (None, "running", {})
    assert list(found.metrics) == ["loss", "acc"]
    assert [(step, repr(value)) for step, value, _ in found.history("loss")] == [
        (0, "1.0"), (10, "inf"), (3, "0.25"), (3, "0.5"),
    ]  # fmt: skip
    [best] = found.artifacts
    assert (best.type, best.size) == ("model", 7)
    assert (found.fetch("best", tmp_path) / "sub/weights.bin").read_bytes() == b"weights"


def test_columns_and_history_are_what_records_say(folder, plain):
    source, run_id = TrackioSource(str(folder)), f"{plain.project}/{plain.id}"
    records = [one for one in source.records(run_id) if isinstance(one, Metrics)]
    expected = {
        name: [(one.step, repr(one.values()[name]), one.time) for one in records if name in one.values()]
        for name in ("loss", "acc")
    }
    for wanted in (None, ["loss", "acc", "missing"]):
        columns = source.columns(run_id, wanted)
        points = {
            name: [(s, repr(v), t) for s, v, t in zip(one.steps, one.values, one.times, strict=True)]
            for name, one in columns.items()
        }
        assert points == expected
    assert next((one.step, one.values()) for one in source.history(run_id, ["acc"])) == (10, {"acc": 1.0})
    assert list(source.columns(run_id, ["acc"])) == ["acc"]


def test_many_runs_are_summed_up_in_one_pass(folder, plain, open_sink, run, monkeypatch):
    """As each for itself, with artifacts; no project is opened again for each of its runs."""
    sink = open_sink()
    sink.params({"lr": 0.5})
    sink.metrics({"step": 2.0, "loss": math.nan}, 3)
    sink.artifact("a.txt", b"a", "text")
    sink.end("failed")
    for name in ("one", "two", "three"):
        other = trackio.init(plain.project, name, embed=False, auto_log_cpu=False, auto_log_gpu=False)
        other.log({"loss": 1.0})
        other.finish()
    source = TrackioSource(str(folder))
    expected = [(start, source.summary(start.run_id)) for start in source.runs()]
    opened = []
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda path, **how: opened.append(path) or connect(path, **how))
    found = list(source.summaries())
    # in text NaN is equal to itself; a record's number counts points, which a summary has none of
    found_text, expected_text = (re.sub(r"seq=\d+", "", repr(pairs)) for pairs in (found, expected))
    assert found_text == expected_text
    assert len(opened) == 3 * len(list(folder.glob("*.db"))) and len(found) >= 5
    [ours] = [summary for start, summary in found if start.unitrack_id == run.start.run_id]
    assert ours.metrics["step"].last == 2.0 and ours.status == "failed"


def test_a_database_that_is_written_is_read_and_nothing_is_left(copied, plain):
    """The rows that a writer has committed are read; once it has gone, the file is alone again."""
    location, run_id = f"trackio:{copied.parent}", f"{plain.project}/{plain.id}"
    with closing(sqlite3.connect(copied)) as writer:
        row = (plain.id, "2026-01-01T00:00:00+00:00", "plain", 11, '{"loss": 7.0}')
        writer.execute("INSERT INTO metrics (run_id, timestamp, run_name, step, metrics) VALUES (?, ?, ?, ?, ?)", row)
        assert len(unitrack.runs(location).find(run_id).history("loss")) == 4
        writer.commit()
        assert unitrack.runs(location).find(run_id).history("loss")[-1].value == 7.0
    assert len(unitrack.runs(location).find(run_id).history("loss")) == 5
    assert [path.name for path in copied.parent.iterdir()] == [copied.name]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            "ALTER TABLE metrics RENAME COLUMN metrics TO payload",
            "another layout.*lacks metrics.*upgrade unitrack-trackio",
        ),
        ("DROP TABLE configs", "another layout.*the table configs lacks"),
        ("UPDATE metrics SET metrics = '{\"loss\": 0.' WHERE id = 2", "row 2 of metrics in .* is damaged"),
    ],
)
def test_one_clear_error_for_what_can_not_be_read(copied, change, words):
    with closing(sqlite3.connect(copied)) as writer:
        writer.execute(change)
        writer.commit()
    with pytest.raises(SourceError, match=words) as caught:
        [run.summary for run in unitrack.runs(f"trackio:{copied.parent}")]
    assert str(copied) in str(caught.value)


def test_a_file_that_is_no_database(tmp_path):
    (tmp_path / "notes.db").write_text("no database, " * 1000)
    with pytest.raises(SourceError, match=r"can't read .*notes.db: file is not a database"):
        list(unitrack.runs(f"trackio:{tmp_path}"))


def test_an_artifact_that_leads_out_of_its_folder(copied, plain, tmp_path):
    with closing(sqlite3.connect(copied)) as writer:
        writer.execute("UPDATE artifact_versions SET manifest = replace(manifest, 'sub/', '../../')")
        writer.commit()
    source, run_id = TrackioSource(str(tmp_path)), f"{plain.project}/{plain.id}"
    [artifact] = [one for one in source.records(run_id) if isinstance(one, Artifact)]
    with pytest.raises(ValueError, match="leads out of the artifact's folder"):
        source.fetch(run_id, artifact, tmp_path / "fetched")
