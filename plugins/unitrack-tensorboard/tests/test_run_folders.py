"""Which runs a logdir has, and what listing them reads."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import foreign_logs
import pytest
from foreign_logs import FILE, write
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.plugins.hparams.summary_v2 import hparams_pb
from tensorboard_readers import sourced

from unitrack.hookspecs import Condition, Field
from unitrack.records import Params
from unitrack.testing.driver import SinkDriver
from unitrack_tensorboard import event_reader, layout
from unitrack_tensorboard.overview import Overview
from unitrack_tensorboard.source import TensorBoardSource


def runs(logdir: Path) -> list[str]:
    return [start.run_id for start in TensorBoardSource(str(logdir)).runs()]


@pytest.fixture
def opened(monkeypatch):
    """Paths of event files whose events are read."""
    paths = []
    stretches = event_reader.stretches
    monkeypatch.setattr(event_reader, "stretches", lambda path: (paths.append(path), stretches(path))[1])
    return paths


def test_listing_reads_no_points_and_summaries_read_each_file_once(open_sink, tmp_path, opened):
    for name in ("x/a", "x/b"):
        write(tmp_path / "logs" / name, foreign_logs.torch())
    open_sink(run=SinkDriver.make_run(tmp_path / "own"), logdir=str(tmp_path / "logs")).metrics({"m": 1.0}, 1)
    source = TensorBoardSource(str(tmp_path / "logs"))
    assert [(start.run_id, start.time) for start in source.runs() if "/" in start.run_id] == [
        ("x/a", 1_700_000_000_000),
        ("x/b", 1_700_000_000_000),
    ]
    assert opened == []
    found = list(source.summaries())
    assert found == [(start, source.summary(start.run_id)) for start in source.runs()]
    assert [len(summary.last) for _, summary in found if len(summary.last) > 1] == [3, 3]
    opened.clear()
    list(source.summaries())
    assert len(opened) == len(set(opened))


def test_runs_that_a_query_excludes_by_name_are_not_read(tmp_path, opened):
    for name in ("a", "b", "c"):
        write(tmp_path / name, foreign_logs.torch())
    source = TensorBoardSource(str(tmp_path))
    by_name = Condition(Field("run", "name"), "==", "b")
    by_metric = Condition(Field("metrics", "train/loss", "last"), "<", 0.0)
    assert [start.run_id for start, _ in source.summaries([by_name, by_metric])] == ["b"]
    assert opened == [tmp_path / "b" / FILE]
    for field, value in (("id", "a"), ("project", tmp_path.name)):
        assert "a" in [start.run_id for start, _ in source.summaries([Condition(Field("run", field), "==", value)])]


def test_a_run_whose_name_may_equal_a_number_is_left_to_the_query(tmp_path):
    write(tmp_path / "1.0", foreign_logs.torch())
    source = TensorBoardSource(str(tmp_path))
    for value in (1, 1.0, "1", "1e0", None):
        assert len(list(source.summaries([Condition(Field("run", "name"), "==", value)]))) == 1


def test_a_run_of_unitrack_is_found_by_either_id(open_sink, run, logdir):
    open_sink().metrics({"m": 1.0}, 1)
    [start] = TensorBoardSource(str(logdir)).runs()
    assert (start.run_id, start.unitrack_id) == ("run-a", run.start.run_id)
    source = TensorBoardSource(str(logdir))
    assert [next(iter(source.records(one))) for one in ("run-a", run.start.run_id)] == [start, start]
    by_id = [Condition(Field("run", "id"), "==", run.start.run_id)]
    assert [found for found, _ in source.summaries(by_id)] == [start]
    write(logdir / "theirs", foreign_logs.torch())
    assert [start.unitrack_id for start in source.runs()] == [run.start.run_id, ""]


def test_each_copy_of_a_run_has_an_id(open_sink, logdir, folder):
    open_sink().metrics({"m": 1.0}, 1)
    shutil.copytree(folder, logdir / "copies" / "run-a")
    shutil.copytree(folder, logdir / "0")
    write(logdir / "copies", foreign_logs.torch())
    assert runs(logdir) == ["run-a", "copies", "copies/run-a", "./run-a"]


def test_a_run_in_the_folder_of_a_run_is_a_part_of_it(tmp_path):
    write(tmp_path, foreign_logs.torch())
    write(tmp_path / "exp", foreign_logs.torch())
    write(tmp_path / "exp" / "no events" / "1700000000.5", foreign_logs.torch())
    found = {start.run_id: start.parent for start in TensorBoardSource(str(tmp_path)).runs()}
    assert found == {tmp_path.name: None, "exp": None, "exp/no events/1700000000.5": "exp"}


def test_links_are_followed_once(tmp_path):
    write(tmp_path / "elsewhere" / "exp", foreign_logs.torch())
    logdir = tmp_path / "logdir"
    write(logdir / "run", foreign_logs.torch())
    (logdir / "a link").symlink_to(tmp_path / "elsewhere")
    (logdir / "again").symlink_to(tmp_path / "elsewhere")
    (logdir / "run" / "loop").symlink_to(logdir)
    (logdir / "alias").symlink_to(logdir / "run")
    (logdir / "gone").symlink_to(tmp_path / "nowhere")
    assert runs(logdir) == ["run", "a link/exp"]
    assert len(sourced(logdir, "a link/exp")) == 3


def test_what_is_called_like_an_event_file_and_is_none_is_skipped(tmp_path):
    write(tmp_path / "run", foreign_logs.torch())
    os.mkfifo(tmp_path / "run" / "events.out.tfevents.0.pipe")
    (tmp_path / "run" / "events.out.tfevents.1.folder").mkdir()
    assert runs(tmp_path) == ["run"]
    assert len(sourced(tmp_path, "run")["train/loss"]) == 400


def test_an_overview_that_is_replaced_while_it_is_read_is_read_again(open_sink, folder, monkeypatch):
    sink = open_sink()
    sink.params({"lr": 0.1})
    sink.flush()
    listed = layout.overviews(folder)
    sink.params({"lr": 0.2})
    sink.flush()
    stale = iter([listed])
    overviews = layout.overviews
    monkeypatch.setattr(layout, "overviews", lambda root: next(stale, None) or overviews(root))
    assert Overview.load(folder).params.params == {"lr": 0.2}


def test_a_run_that_was_deleted_since_it_was_listed_is_no_run(tmp_path):
    write(tmp_path / "run", foreign_logs.torch())
    source = TensorBoardSource(str(tmp_path))
    assert len(list(source.runs())) == 1
    shutil.rmtree(tmp_path / "run")
    with pytest.raises(KeyError, match="no run 'run'"):
        source.columns("run")


def test_the_session_of_add_hparams_is_a_run_with_its_params_and_metrics(tmp_path):
    writer = pytest.importorskip("tensorboardX").SummaryWriter(str(tmp_path / "exp"))
    for step in range(50):
        writer.add_scalar("loss", step / 3, step)
    writer.add_scalars("both", {"train": 1.0, "val": 2.0}, 3)
    writer.add_hparams({"lr": 0.1, "net": "cnn", "big": float("inf")}, {"hparam/acc": 0.75}, "session", 7)
    writer.close()
    source = TensorBoardSource(str(tmp_path))
    assert {start.run_id: start.parent for start in source.runs()} == {
        "exp": None,
        "exp/both/train": "exp",
        "exp/both/val": "exp",
        "exp/session": "exp",
    }
    told = source.summary("exp/session")
    assert (dict(told.params), dict(told.last)) == ({"lr": 0.1, "net": "cnn", "big": "inf"}, {"hparam/acc": 0.75})
    assert told.status == "finished"
    assert list(source.columns("exp")["loss"].steps) == list(range(50))


def test_hyperparameters_of_the_plain_form_that_json_lacks(tmp_path):
    write(tmp_path / "run", iter([Event(summary=hparams_pb({"a": float("nan"), "b": True, "c": -1.5}))]))
    [params] = [one for one in TensorBoardSource(str(tmp_path)).records("run") if isinstance(one, Params)]
    assert params.params == {"a": "nan", "b": True, "c": -1.5}
