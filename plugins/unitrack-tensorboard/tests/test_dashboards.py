"""What the HParams, text and image dashboards show, read with their own code, and artifacts as files."""

from __future__ import annotations

import json

import pytest
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.hparams import api_pb2
from tensorboard.plugins.hparams.backend_context import Context
from tensorboard.plugins.hparams.get_experiment import Handler as GetExperiment
from tensorboard.plugins.hparams.list_session_groups import Handler as ListSessionGroups
from tensorboard_readers import images, png, texts

from unitrack.errors import RecordRejectedError
from unitrack.testing.driver import SinkDriver


def sessions(reader):
    """Session name -> hparams, metrics and status, as the HParams dashboard lists them."""
    context = Context(TBContext(data_provider=reader))
    statuses = [api_pb2.STATUS_UNKNOWN, api_pb2.STATUS_SUCCESS, api_pb2.STATUS_FAILURE, api_pb2.STATUS_RUNNING]
    request = api_pb2.ListSessionGroupsRequest(allowed_statuses=statuses, slice_size=100)
    groups = ListSessionGroups(RequestContext(), context, "", request).run().session_groups
    return {
        session.name: (
            {name: getattr(value, value.WhichOneof("kind")) for name, value in group.hparams.items()},
            {(metric.name.group, metric.name.tag): metric.value for metric in session.metric_values},
            session.status,
        )
        for group in groups
        for session in group.sessions
    }


def test_hparams_metrics_and_status(open_sink, logdir, reader):
    sink = open_sink()
    sink.params({"lr": 0.1, "model": {"depth": 4, "wide": True, "name": "cnn"}})
    sink.metrics({"loss": 0.5}, 1)
    sink.end("finished")
    with reader(logdir) as opened:
        hparams, metrics, status = sessions(opened)["run-a"]
    assert hparams == {"lr": 0.1, "model.depth": 4.0, "model.wide": True, "model.name": "cnn"}
    assert metrics == {("", "loss"): 0.5}
    assert status == api_pb2.STATUS_SUCCESS


def test_what_hparams_can_not_hold_is_json(open_sink, logdir, reader):
    sink = open_sink()
    sink.params({"list": [1, "ü"], "none": None, "big": 2**53 + 1, "empty": {}})
    sink.flush()
    with reader(logdir) as opened:
        assert sessions(opened)["run-a"][0] == {
            "list": '[1, "ü"]',
            "none": "null",
            "big": "9007199254740993",
            "empty": "{}",
        }


def test_a_changed_param_has_its_last_value_and_a_long_one_is_whole(open_sink, logdir, reader):
    sink = open_sink()
    sink.params({"lr": 0.1, "prompt": "short"})
    sink.flush()
    sink.params({"lr": 0.2, "prompt": "x" * 10_240})
    sink.flush()
    with reader(logdir) as opened:
        assert sessions(opened)["run-a"][0] == {"lr": 0.2, "prompt": "x" * 10_240}


def test_params_that_come_later_are_shown_too(open_sink, logdir, reader):
    sink = open_sink()
    sink.params({"lr": 0.1, "model": {"depth": 4}})
    again = open_sink(sink.flush())
    again.params({"lr": 0.2, "model": {"width": 8}})
    again.flush()
    with reader(logdir) as opened:
        assert sessions(opened)["run-a"][0] == {"lr": 0.2, "model.depth": 4.0, "model.width": 8.0}


@pytest.mark.parametrize(("status", "shown"), [("failed", api_pb2.STATUS_FAILURE), ("killed", api_pb2.STATUS_FAILURE)])
def test_a_run_that_did_not_finish_is_a_failure(open_sink, logdir, reader, status, shown):
    sink = open_sink()
    sink.params({"lr": 0.1})
    sink.end(status)
    with reader(logdir) as opened:
        assert sessions(opened)["run-a"][2] == shown
        assert f"status | {status}" in texts(opened, "run-a")["unitrack/run"][0][1]


def test_a_run_that_goes_on_is_running_again(open_sink, logdir, reader):
    sink = open_sink()
    sink.params({"lr": 0.1})
    sink.end("failed")
    open_sink(sink.checkpoint)
    with reader(logdir) as opened:
        assert sessions(opened)["run-a"][2] == api_pb2.STATUS_UNKNOWN
        assert "status | running" in texts(opened, "run-a")["unitrack/run"][0][1]


def test_the_dashboard_has_the_hparams_of_all_runs_of_a_logdir(open_sink, tmp_path, reader):
    shared = tmp_path / "shared"
    for name, params in {"a": {"lr": 0.1}, "b": {"lr": 0.2, "depth": 3}}.items():
        sink = open_sink(run=SinkDriver.make_run(tmp_path / name, run_id=name), logdir=str(shared))
        sink.params(params)
        sink.metrics({"loss": 1.0}, 1)
        sink.end()
    with reader(shared) as opened:
        request = api_pb2.GetExperimentRequest(experiment_name="")
        context = Context(TBContext(data_provider=opened))
        experiment = GetExperiment(RequestContext(), context, "", request).run()
        found = sessions(opened)
    assert {info.name for info in experiment.hparam_infos} == {"lr", "depth"}
    assert {name: session[0] for name, session in found.items()} == {"a": {"lr": 0.1}, "b": {"lr": 0.2, "depth": 3.0}}


def test_tags_and_description_are_texts(open_sink, tmp_path, reader):
    run = SinkDriver.make_run(tmp_path / "run-b", description="A *fine* run", tags={"team": "a|b", "old": "1"})
    sink = open_sink(run=run)
    sink.tags({"old": "2", "new": "<script>"})
    sink.flush()
    with reader(run.folder.parent / "tensorboard") as opened:
        text = texts(opened, "run-b")["unitrack/run"][-1][1]
    assert "A *fine* run" in text
    assert text.endswith("tag | value\n--- | ---\nteam | a&#124;b\nold | 2\nnew | &lt;script&gt;")


def test_params_are_a_table(open_sink, logdir, reader):
    sink = open_sink()
    sink.params({"lr": 0.1, "model": {"layers": [1, 2]}, "note": "two\nlines"})
    sink.flush()
    with reader(logdir) as opened:
        table = texts(opened, "run-a")["unitrack/params"][0][1]
    assert table == "param | value\n--- | ---\nlr | 0.1\nmodel.layers | \\[1, 2\\]\nnote | two lines"


def test_figures_and_images_are_shown_at_their_steps(open_sink, logdir, folder, reader):
    sink = open_sink()
    sink.artifact("plots/roc.png", png(4, 3), "figure", step=5)
    sink.artifact("plots/roc.png", png(6, 2), "image", step=7)
    sink.end()
    with reader(logdir) as opened:
        assert images(opened, "run-a")["plots/roc.png"] == [
            (5, b"4", b"3", png(4, 3)),
            (7, b"6", b"2", png(6, 2)),
        ]
    assert (folder / "artifacts/plots/roc.png").read_bytes() == png(6, 2)


def test_the_steps_of_a_figure_are_one_series(open_sink, folder, logdir, reader):
    sink = open_sink()
    for step in (5, 7):  # named as `log_figure` names them
        sink.artifact(f"plots/roc-{step}.png", png(step, 1), "figure", step=step)
    sink.artifact("plots/roc-9.png", png(9, 1), "figure", step=3)
    sink.end()
    with reader(logdir) as opened:
        shown = images(opened, "run-a")
    assert {tag: [step for step, *_ in series] for tag, series in shown.items()} == {
        "plots/roc.png": [5, 7],
        "plots/roc-9.png": [3],
    }
    assert sorted(path.name for path in (folder / "artifacts/plots").iterdir()) == [f"roc-{n}.png" for n in (5, 7, 9)]


def test_an_image_without_a_step_is_the_next_revision(open_sink, logdir, reader):
    sink = open_sink()
    for width in (1, 2, 3):
        sink.artifact("a.png", png(width, 1), "image")
    sink.end()
    with reader(logdir) as opened:
        assert [(step, width) for step, width, *_ in images(opened, "run-a")["a.png"]] == [
            (0, b"1"),
            (1, b"2"),
            (2, b"3"),
        ]


def test_a_late_image_is_in_a_sibling_folder(open_sink, logdir, reader):
    sink = open_sink()
    sink.artifact("a.png", png(1, 1), "image", step=9)
    sink.artifact("a.png", png(2, 1), "image", step=4)
    sink.end()
    with reader(logdir) as opened:
        assert images(opened, "run-a")["a.png"][0][0] == 9
        assert images(opened, "run-a/late-1")["a.png"][0][0] == 4


@pytest.mark.parametrize("content", [b"<svg/>", b"", png(4, 3)[:20]])
def test_what_no_browser_shows_is_kept_as_a_file(open_sink, logdir, folder, reader, content):
    sink = open_sink()
    sink.metrics({"x": 1.0}, 1)
    sink.artifact("a.png", content, "image")
    sink.end()
    with reader(logdir) as opened:
        assert images(opened, "run-a") == {}
    assert (folder / "artifacts/a.png").read_bytes() == content


def test_texts_and_json_are_shown(open_sink, logdir, folder, reader):
    sink = open_sink()
    sink.artifact("notes.md", b"# Title", "text", step=3)
    sink.artifact("log.txt", "a\n```\nünï".encode(), "text")
    sink.artifact("env.yaml", b"a: 1", "text")
    sink.artifact("config.json", json.dumps({"a": 1}).encode(), "json")
    sink.end()
    with reader(logdir) as opened:
        shown = texts(opened, "run-a")
    assert shown["notes.md"] == [(3, "# Title")]
    assert shown["log.txt"] == [(0, "````\na\n```\nünï\n````")]
    assert shown["env.yaml"] == [(0, "```yaml\na: 1\n```")]
    assert shown["config.json"] == [(0, '```json\n{"a": 1}\n```')]
    assert (folder / "artifacts/log.txt").read_text() == "a\n```\nünï"


def test_other_artifacts_are_files(open_sink, folder):
    sink = open_sink()
    sink.artifact("models/best.pt", b"\x80weights", "model")
    sink.artifact("models/best.pt", b"\x80better", "model")
    sink.end()
    assert (folder / "artifacts/models/best.pt").read_bytes() == b"\x80better"
    assert [path.name for path in (folder / "artifacts/models").iterdir()] == ["best.pt"]


def test_a_folder_replaces_what_lay_there(open_sink, folder, run):
    sink = open_sink()
    record = sink.artifact("data", b"a file at first")
    copy = run.folder / record.file
    copy.unlink()
    (copy / "sub").mkdir(parents=True)
    (copy / "sub/x.bin").write_bytes(b"x")
    sink.batch([record])
    (copy / "sub/x.bin").rename(copy / "sub/y.bin")
    sink.batch([record])
    sink.end()
    kept = folder / "artifacts/data"
    assert [path.relative_to(kept).as_posix() for path in kept.rglob("*")] == ["sub", "sub/y.bin"]


@pytest.mark.parametrize("name", ["../out", "/tmp/out", "a/../../out", "."])
def test_no_artifact_leaves_its_folder(open_sink, run, name):
    sink = open_sink()
    record = sink.artifact("fine", b"x")
    bad = type(record)(seq=9, time=0, name=name, file=record.file)
    with pytest.raises(RecordRejectedError, match="leads out"):
        sink.batch([bad])


def test_an_artifact_whose_copy_is_gone_is_rejected_alone(open_sink, run, folder):
    sink = open_sink()
    record = sink.artifact("fine", b"x")
    gone = type(record)(seq=9, time=0, name="gone", file="nowhere")
    with pytest.raises(RecordRejectedError, match="is gone"):
        sink.batch([gone])
    sink.end()
    assert [path.name for path in (folder / "artifacts").iterdir()] == ["fine"]
