"""What the sink writes, as trackio itself reads it."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest
import trackio

from unitrack.errors import SinkMisconfiguredError
from unitrack.testing.driver import SinkDriver
from unitrack_trackio.check import check
from unitrack_trackio.options import TrackioOptions
from unitrack_trackio.session import with_run


def config(driver: SinkDriver) -> dict[str, object]:
    project, _, run_id = driver.link.id.partition("/")
    [found] = [one for one in trackio.Api().runs(project) if one.id == run_id]
    return found.config


def test_points_at_their_own_steps_bit_for_bit(open_sink, logged):
    """Out of order, repeated, beyond 32 bits."""
    sink = open_sink()
    points = [(0, 0.1 + 0.2), (2**31 + 1, 1e-300), (7, -0.0), (3, 5.0), (3, 6.0)]
    for step, value in points:
        sink.metrics({"loss": value}, step)
    sink.end()
    read = [(step, values["loss"]) for step, values in logged(sink)]
    assert sorted(read) == sorted(points)
    assert [math.copysign(1, value) for step, value in read if step == 7] == [-1]


def test_params_tags_description_and_status_are_in_the_config(open_sink, tmp_path):
    run = SinkDriver.make_run(tmp_path / "r", project=tmp_path.name, tags={"a": "1"}, description="about it")
    sink = open_sink(run=run)
    sink.params({"lr": 0.1, "model": {"depth": 4}, "_hidden": 1, "unitrack": "mine", "~x": None})
    sink.params({"model": {"width": 8}})
    sink.tags({"b": "2"})
    sink.end("failed")
    found = config(sink)
    assert (found["lr"], found["model"]) == (0.1, {"depth": 4, "width": 8})
    assert (found["~_hidden"], found["~unitrack"], found["~~x"]) == (1, "mine", None)
    record = found["unitrack"]
    assert (record["tags"], record["description"], record["status"]) == ({"a": "1", "b": "2"}, "about it", "failed")


def test_a_changed_param_has_its_last_value_and_a_long_one_is_whole(open_sink):
    sink = open_sink()
    sink.params({"lr": 0.1, "prompt": "short"})
    sink.flush()
    sink.params({"lr": 0.2, "prompt": "x" * 10_240})
    sink.end()
    assert (config(sink)["lr"], config(sink)["prompt"]) == (0.2, "x" * 10_240)


def test_artifacts_are_trackios(open_sink, tmp_path):
    """Each content is a version; the same content again is the same version."""
    sink = open_sink()
    sink.artifact("plots/roc.png", b"one", "figure")
    sink.artifact("plots/roc.png", b"two", "figure")
    sink.artifact("plots/roc.png", b"two", "figure")
    sink.end()
    project, _, run_id = sink.link.id.partition("/")
    [name] = [one.name for one in trackio.Api().runs(project) if one.id == run_id]
    reader = trackio.init(project, name, resume="must", embed=False, auto_log_cpu=False, auto_log_gpu=False)
    kept = reader.use_artifact("plots_x2f_roc.png")
    reader.finish()
    assert kept.version == "v1"
    assert (Path(kept.download(tmp_path / "got")) / "roc.png").read_bytes() == b"two"


def test_one_name_with_two_types_of_artifact_in_a_project(open_sink, tmp_path):
    for number, kind in enumerate(("file", "model")):
        run = SinkDriver.make_run(tmp_path / f"r{number}", f"id-{number}", project=tmp_path.name)
        sink = open_sink(run=run)
        sink.artifact("best", f"content {number}".encode(), kind)
        sink.end()
        assert config(sink)["unitrack"]["artifacts"]["best"]["version"] == f"v{number}"


def test_a_crash_after_writing_and_before_the_commit(open_sink, logged):
    """All that came since comes again, and nothing is there twice; two rows that are alike stay two."""
    first = open_sink()
    first.metrics({"loss": 1.0}, 0)
    checkpoint = first.flush()
    late = [first.metrics({"loss": value, "bad": math.nan}, step) for step, value in ((1, 2.0), (1, 2.0), (2, 3.0))]
    first.flush()
    first.close()

    second = open_sink(checkpoint)
    second.batch(late[:1])
    middle = second.flush()
    second.close()

    third = open_sink(middle)
    third.batch(late[1:])
    third.metrics({"loss": 2.0, "bad": math.nan}, 1)
    third.end()
    assert [(step, values["loss"]) for step, values in logged(third)].count((1, 2.0)) == 3
    assert len(logged(third)) == 5


def test_a_crash_before_the_first_commit(open_sink, logged):
    first = open_sink()
    records = [first.metrics({"loss": 1.0}, 0)]
    first.flush()
    first.close()
    second = open_sink(None)
    assert second.link == first.link
    second.batch(records)
    second.end()
    assert logged(second) == [(0, {"loss": 1.0})]


def test_two_runs_of_one_name_are_two(open_sink, logged, tmp_path):
    """trackio would resume the one for the other."""
    sinks = [open_sink(run=SinkDriver.make_run(tmp_path / id, id, project=tmp_path.name)) for id in ("id-1", "id-2")]
    for number, sink in enumerate(sinks):
        sink.metrics({"loss": float(number)}, 0)
        sink.end()
    assert [logged(sink) for sink in sinks] == [[(0, {"loss": 0.0})], [(0, {"loss": 1.0})]]
    assert sorted(one.name for one in trackio.Api().runs(sinks[0].link.id.split("/")[0])) == ["a run", "a run-id-2"]


def test_projects_that_trackio_would_put_in_one_file_are_two(open_sink, tmp_path):
    sinks = []
    for name in (f"my.{tmp_path.name}", f"my{tmp_path.name}"):
        sinks.append(open_sink(run=SinkDriver.make_run(tmp_path / name, name, project=name)))
    assert len({sink.link.id.split("/")[0] for sink in sinks}) == 2


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("TRACKIO_SPACE_ID", "me/space", "TRACKIO_SPACE_ID is set"),
        ("TRACKIO_SERVER_URL", "http://127.0.0.1:9/", "TRACKIO_SERVER_URL is set"),
        ("TRACKIO_STORAGE_MODE", "jsonl", "TRACKIO_STORAGE_MODE is jsonl"),
    ],
)
def test_it_never_logs_to_a_server_or_an_inbox(open_sink, monkeypatch, variable, value, words):
    monkeypatch.setenv(variable, value)
    with pytest.raises(SinkMisconfiguredError, match=words):
        open_sink()


def test_a_run_of_the_users_own_goes_on(open_sink, tmp_path):
    """trackio ends the current run when another one is opened."""
    mine = trackio.init(f"own-{tmp_path.name}", "mine", embed=False, auto_log_cpu=False, auto_log_gpu=False)
    sink = open_sink()
    sink.metrics({"loss": 1.0}, 0)
    sink.end()
    trackio.log({"own": 1.0}, step=5)
    trackio.finish()
    from trackio.sqlite_storage import SQLiteStorage

    [row] = SQLiteStorage.get_logs(f"own-{tmp_path.name}", run_id=mine.id)
    assert (row["step"], row["own"]) == (5, 1.0)


def test_doctor_looks_at_the_package_and_the_folder(folder, monkeypatch):
    found = {finding.subject: finding for finding in check(TrackioOptions())}
    assert found["package"].message == f"trackio {trackio.__version__}"
    assert found["folder"].ok and str(folder) in found["folder"].message
    monkeypatch.setenv("TRACKIO_SPACE_ID", "me/space")
    assert [finding.subject for finding in check(TrackioOptions()) if not finding.ok] == ["environment"]


def test_what_others_print_is_left_alone(open_sink, capsys):
    """trackio's greetings are not shown, and nothing else is lost meanwhile."""
    seen = sys.stdout
    with_run("quiet", "one", {}, lambda _: with_run("quiet", "two", {}, lambda _: print("mine")))
    open_sink().end()
    assert sys.stdout is seen
    assert capsys.readouterr().out == "mine\n"
    trackio.init("quiet", "users own", embed=False).finish()
    assert "Created new run: users own" in capsys.readouterr().out
