"""The plugin as unitrack meets it: registration, options, what `doctor` says, what happens to a bad disk."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points, version
from pathlib import Path

import msgspec
import pluggy
import pytest
from tensorboard_readers import sourced

import unitrack_tensorboard
from unitrack.errors import RecordRejectedError, SinkMisconfiguredError
from unitrack.hookspecs import PluginSpec
from unitrack.records import Metrics
from unitrack_tensorboard.check import check
from unitrack_tensorboard.event_file import EventFile, frame, payloads
from unitrack_tensorboard.options import TensorBoardOptions


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)


def test_the_entry_point_registers_one_backend():
    [entry] = entry_points(group="unitrack", name="tensorboard")
    manager = pluggy.PluginManager("unitrack")
    manager.add_hookspecs(PluginSpec)
    manager.register(entry.load())
    manager.check_pending()
    [[backend]] = manager.hook.register_backends()
    assert backend.name == "tensorboard"
    assert backend.options is TensorBoardOptions
    for reference in (backend.sink, backend.source, backend.check):
        module, _, name = reference.partition(":")
        assert callable(getattr(__import__(module, fromlist=[name]), name))


def test_importing_the_plugin_imports_no_sdk():
    code = "import sys, unitrack_tensorboard; print(*{name.partition('.')[0] for name in sys.modules})"
    assert not {"tensorboard", "numpy", "PIL", "google"} & set(run_python(code).stdout.split())


def test_the_sink_needs_neither_tensorflow_nor_torch():
    code = (
        "import sys; sys.modules.update(tensorflow=None, torch=None); "
        "import unitrack_tensorboard.sink, unitrack_tensorboard.source; print('fine')"
    )
    assert run_python(code).stdout.strip() == "fine"


def test_a_relative_logdir_is_anchored(tmp_path):
    assert TensorBoardOptions(logdir="logs").anchored(tmp_path).logdir == str(tmp_path / "logs")
    assert TensorBoardOptions(logdir="/logs").anchored(tmp_path).logdir == "/logs"
    assert TensorBoardOptions(logdir="~/logs").anchored(tmp_path).logdir == str(Path.home() / "logs")
    assert TensorBoardOptions().anchored(tmp_path).logdir is None


@pytest.mark.parametrize("wrong", [{"logdir": ""}, {"logdir": 3}, {"logdir": "s3://bucket/logs"}, {"log_dir": "x"}])
def test_wrong_options_are_refused(wrong):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(wrong, TensorBoardOptions)


def test_doctor_finds_everything_in_order(tmp_path):
    findings = list(check(TensorBoardOptions(logdir=str(tmp_path / "new" / "logs"))))
    assert [finding.subject for finding in findings] == ["package", "data server", "logdir"]
    assert all(finding.ok for finding in findings)
    assert not (tmp_path / "new").exists()


def test_doctor_finds_a_logdir_that_can_not_be_written(tmp_path):
    (tmp_path / "file").write_text("in the way")
    finding = list(check(TensorBoardOptions(logdir=str(tmp_path / "file" / "logs"))))[-1]
    assert not finding.ok
    assert "set another logdir" in finding.message


def test_a_file_in_the_way_of_the_logdir_is_misconfigured(open_sink, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SinkMisconfiguredError, match="set another logdir"):
        open_sink(logdir=str(tmp_path / "file"))


def test_a_full_disk_is_unavailable_and_loses_nothing(tmp_path):
    # A limit on the size of a file stands in for a full disk: the write stops in the middle of a frame.
    code = f"""
import resource, signal
from pathlib import Path
from unitrack.errors import SinkUnavailableError
from unitrack.testing.driver import SinkDriver
from unitrack_tensorboard.options import TensorBoardOptions
from unitrack_tensorboard.sink import TensorBoardSink
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
sink = SinkDriver(TensorBoardSink(TensorBoardOptions()), SinkDriver.make_run(Path({str(tmp_path)!r}) / "run-a"))
sink.open()
sink.metrics({{"x": 0.0}}, 0)
sink.flush()
for step in range(1, 1001):
    sink.metrics({{"x": float(step)}}, step)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, resource.RLIM_INFINITY))
try:
    sink.flush()
except SinkUnavailableError as error:
    print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
sink.end()
"""
    done = run_python(code)
    assert "can't write to" in done.stdout, done.stderr
    assert sourced(tmp_path) == {"x": [(step, float(step)) for step in range(1001)]}


@pytest.mark.parametrize("bad", [{"metrics": {"\ud800": 1.0}, "step": 1}, {"metrics": {"x": 1.0}, "step": 2**63}])
def test_what_can_not_be_written_is_rejected_before_anything_is(open_sink, logdir, bad):
    sink = open_sink()
    good = Metrics(seq=1, time=1000, step=1, metrics={"fine": 1.0})
    with pytest.raises(RecordRejectedError):
        sink.batch([good, Metrics(seq=2, time=1000, **bad)])
    sink.batch([good])
    sink.end()
    assert sourced(logdir) == {"fine": [(1, 1.0)]}


def test_frames_come_back_up_to_the_first_damaged_one(tmp_path):
    path = tmp_path / "file"
    good = [b"", b"a", b"b" * 1000]
    data = b"".join(map(frame, good))
    for damage in (frame(b"torn")[:-1], frame(b"x" * 40)[:20], b"\0" * 30):
        path.write_bytes(data + damage + frame(b"hidden"))
        assert list(payloads(path)) == good


def test_an_event_file_with_nothing_in_it_is_not_created(tmp_path):
    file = EventFile(tmp_path / "events", 1.0)
    file.flush()
    assert not file.path.exists()


def test_version_is_the_distributions():
    assert unitrack_tensorboard.__version__ == version("unitrack-tensorboard")
