"""The plugin as unitrack meets it: registration, options, what `doctor` says, what happens to a bad disk."""

from __future__ import annotations

import errno
import os
import shutil
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
from unitrack_tensorboard.artifacts import keep
from unitrack_tensorboard.check import check
from unitrack_tensorboard.event_file import EventFile
from unitrack_tensorboard.frame_reader import payloads
from unitrack_tensorboard.options import TensorBoardOptions
from unitrack_tensorboard.tfrecord import frame


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


FULL_DISK = """
import os, resource, signal, sys
from pathlib import Path
from unitrack.errors import SinkUnavailableError
from unitrack.records import Artifact
from unitrack.testing.driver import SinkDriver
from unitrack_tensorboard.layout import parts
from unitrack_tensorboard.options import TensorBoardOptions
from unitrack_tensorboard.sink import TensorBoardSink

def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
folder = Path(sys.argv[1])
sink = SinkDriver(TensorBoardSink(TensorBoardOptions()), SinkDriver.make_run(folder / "run-a"))
sink.open()
sink.metrics({"x": 0.0}, 0)
sink.flush()
[(_, _, events)] = parts(folder / "tensorboard/run-a")
committed = events.stat().st_size
for step in range(1, 1001):
    sink.metrics({"x": float(step)}, step)
def refuse(source, target, **_):
    raise OSError("no hard links here")

os.link = refuse
(folder / "run-a/big").mkdir()
(folder / "run-a/big/file").write_bytes(bytes(20_000))
limit(10_000)
try:
    sink.batch([Artifact(seq=9, time=0, name="big", file="big", type="folder")])
except SinkUnavailableError:
    assert list((folder / "tensorboard/run-a/artifacts").iterdir()) == []
    print("unavailable")
try:
    sink.flush()
except SinkUnavailableError:
    assert events.stat().st_size == committed, "a torn frame was left"
    print("unavailable")
limit(resource.RLIM_INFINITY)
sink.end()
"""


def test_a_full_disk_is_unavailable_and_loses_nothing(tmp_path):
    # A limit on the size of a file stands in for a full disk: the write stops in the middle of a frame.
    command = [sys.executable, "-c", FULL_DISK, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.returncode) == ("unavailable\nunavailable\n", 0), done.stderr
    assert sourced(tmp_path) == {"x": [(step, float(step)) for step in range(1001)]}


def no_links(source: str, target: str, **_: object) -> None:
    raise OSError(errno.EXDEV, "the artifacts are on another disk")


def test_a_folder_is_copied_where_it_can_not_be_linked(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "link", no_links)
    source = tmp_path / "folder"
    source.mkdir()
    (source / "a").write_text("fine")
    keep(source, tmp_path / "artifacts", "folder")
    assert (tmp_path / "artifacts/folder/a").read_text() == "fine"
    assert (source / "a").stat().st_nlink == 1


def test_nothing_is_left_of_an_artifact_that_could_not_be_copied(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "link", no_links)
    source = tmp_path / "folder"
    source.mkdir()
    (source / "a").write_text("fine")
    os.mkfifo(source / "pipe")
    with pytest.raises(shutil.SpecialFileError):
        keep(source, tmp_path / "artifacts", "folder")
    assert list((tmp_path / "artifacts").iterdir()) == []


@pytest.mark.parametrize("bad", [{"metrics": {"\ud800": 1.0}, "step": 1}, {"metrics": {"x": 1.0}, "step": 2**63}])
def test_what_can_not_be_written_is_rejected_before_anything_is(open_sink, logdir, bad):
    sink = open_sink()
    good = Metrics(seq=1, time=1000, step=1, metrics={"fine": 1.0})
    with pytest.raises(RecordRejectedError):
        sink.batch([good, Metrics(seq=2, time=1000, **bad)])
    sink.batch([good])
    sink.end()
    assert sourced(logdir) == {"fine": [(1, 1.0)]}


def test_frames_come_back_up_to_and_past_a_damaged_one(tmp_path):
    path = tmp_path / "file"
    good = [b"", b"a", b"b" * 1000]
    data = b"".join(map(frame, good))
    for damage in (frame(b"torn")[:-1], frame(b"x" * 40)[:20], b"\0" * 30):
        path.write_bytes(data + damage + frame(b"after"))
        assert list(payloads(path)) == [*good, b"after"]


def test_an_event_file_with_nothing_in_it_is_not_created(tmp_path):
    file = EventFile(tmp_path / "events", 1.0)
    file.flush()
    assert not file.path.exists()


def test_version_is_the_distributions():
    assert unitrack_tensorboard.__version__ == version("unitrack-tensorboard")
