"""Training on a bad disk, in a process of its own.

`python -m unitrack_tests.bad_disk TROUBLE FOLDER SINKS` prints what came.

Each log call either returns, and then what it logged must arrive, or raises `JournalError`, and then it must not.
"""

from __future__ import annotations

import errno
import json
import os
import random
import resource
import shutil
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import unitrack_probe

import unitrack
from unitrack import JournalError, Run, limits
from unitrack.delivery.report import DeliveryReport
from unitrack.delivery.sync import sync_run
from unitrack.demo.reading import read_back
from unitrack.local.source import LocalSource
from unitrack.plugins.registry import installed
from unitrack.records import Artifact, Metrics, Params, RunStart, Tags
from unitrack.run import housekeeper
from unitrack.runfolder.run_folder import RunFolder

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
)


class Training:
    """Logs, and keeps account of which calls returned and which were told."""

    def __init__(self, folder: Path, sinks: list[Any], **more: Any) -> None:
        self.folder = folder
        self.picture = folder / "picture.png"
        self.picture.write_bytes(PNG)
        self.run: Run = unitrack.start_run("bad", sinks=sinks, root=folder / "runs", **more)
        self.calls = 0
        self.told: list[str] = []
        self.recorded: set[str] = set()
        self._step = 0

    def points(self, count: int) -> None:
        """Log that many points."""
        for _ in range(count):
            step, self._step = self._step, self._step + 1
            self._call(
                f"point {step} {step / 7}", lambda step=step: self.run.log_metrics({"loss": step / 7}, step=step)
            )

    def points_until_told(self) -> None:
        """Log points until one is refused."""
        before = len(self.told)
        while len(self.told) == before:
            self.points(1)
            assert self._step < 100_000

    def everything(self, mark: str) -> None:
        """One call of each kind."""
        run = self.run
        self._call(f"param {mark} {mark!r}", lambda: run.log_params({mark: mark}))
        self._call(f"tag {mark}", lambda: run.set_tags({mark: "x"}))
        self._call(f"artifact {mark}.txt", lambda: run.log_text("text" * 3000, f"{mark}.txt"))
        self._call(f"artifact {mark}.png", lambda: run.log_artifact(self.picture, f"{mark}.png"))
        self._call(f"artifact {mark}-image.png", lambda: run.log_image(self.picture, f"{mark}-image.png"))
        self._call(f"artifact {mark}.json", lambda: run.log_dict({"n": list(range(3000))}, f"{mark}.json"))

    def _call(self, what: str, call: Callable[[], None]) -> None:
        self.calls += 1
        try:
            call()
        except JournalError as error:
            if not (isinstance(error, OSError) and error.filename):
                raise
            self.told.append(str(error))
        else:
            self.recorded.add(what)

    def is_told(self, call: Callable[[], object]) -> str:
        """What a call says that has to raise."""
        self.calls += 1
        try:
            call()
        except unitrack.UnitrackError as error:
            self.told.append(str(error))
            return str(error)
        raise AssertionError("nobody was told")

    def account(self, report: DeliveryReport, probe: Path | None = None) -> dict[str, Any]:
        """What arrived of what was recorded, as the local files, and the probe, have it."""
        arrived = in_local_files(self.run.path)
        if probe is not None:
            points = [f"point {step} {value}" for step, value in unitrack_probe.points(probe, "loss")]
            assert sorted(points) == sorted(one for one in arrived if one.startswith("point")), "not once and the same"
        self._assert_elsewhere_too(arrived)
        return {
            "calls": self.calls,
            "told": len(self.told),
            "recorded": len(self.recorded),
            "lost": sorted(self.recorded - set(arrived)),
            "not_recorded": sorted(set(arrived) - self.recorded),
            "arrived": len(self.recorded & set(arrived)),
            "messages": sorted(set(self.told)),
            "ok": report.ok,
            "report": str(report),
        }

    def _assert_elsewhere_too(self, arrived: list[str]) -> None:
        """Each backend's own reader finds what the local files hold."""
        split = [one.split(" ") for one in arrived if one.startswith("point")]
        logged = {("loss", int(step)): float(value) for _, step, value in split}
        for name, link in self.run.links().items():
            if name not in ("local", "probe"):
                holding = read_back(installed().backend(name), link)
                assert holding.matches(logged) == "exact", (name, len(holding.points), len(logged))
                assert holding.params == sum(one.startswith("param") for one in arrived), name
                assert holding.artifacts == sum(one.startswith("artifact") for one in arrived), name


def in_local_files(path: Path) -> list[str]:
    """What the local sink holds, in the words of `Training`."""
    found = []
    for record in LocalSource(str(path)).records(path.name):
        if isinstance(record, Metrics):
            found += [f"point {record.step} {value}" for value in record.values().values()]
        elif isinstance(record, Params):
            found += [f"param {name} {value!r}" for name, value in record.params.items()]
        elif isinstance(record, Tags | RunStart):
            found += [f"tag {name}" for name in record.tags]
        elif isinstance(record, Artifact):
            assert (path / record.file).stat().st_size == record.size, record
            found.append(f"artifact {record.name}")
    return found


def fill(disk: Path) -> Path:
    """Take all the room there is, to the last byte."""
    filler = disk / "filler"
    size = 1 << 20
    with open(filler, "ab", buffering=0) as file:
        while size:
            try:
                file.write(b"x" * size)
            except OSError:
                size //= 2
    return filler


def full_disk(folder: Path, sinks: list[Any]) -> dict[str, Any]:
    """Everything of a run lies on the disk that gets full: journal, ledgers, and what the backends write."""
    training = Training(folder, sinks)
    training.everything("before")
    training.points(50)
    before = training.run.flush(timeout=100)
    assert {sink.state for sink in before.sinks.values()} == {"delivering"}, str(before)  # some confirm only at the end
    filler = fill(folder)
    training.points_until_told()
    for _ in range(5):
        training.points(20)
        training.everything("full")
        time.sleep(0.3)
    started = training.is_told(lambda: unitrack.start_run("another", sinks=["local"], root=folder / "runs"))
    assert "make room" in started, started
    assert not (folder / "runs" / "another").exists()
    training.run.flush(timeout=0.2)
    ended = training.is_told(training.run.finish)
    assert "make room" in ended, ended
    filler.unlink()
    training.points(50)
    training.everything("after")
    report = training.run.finish(timeout=100)
    return training.account(report, probe_of(sinks))


def read_only(folder: Path, sinks: list[Any]) -> dict[str, Any]:
    """The run's folders lose the right to write for a while; files that are open stay so."""
    limits.PARKED_RETRY_S = 0.5
    training = Training(folder, sinks, delivery="thread")
    training.everything("before")
    training.points(50)
    assert training.run.flush(timeout=60).ok
    closed = [path for path in [folder / "runs", *(folder / "runs").rglob("*")] if path.is_dir()]
    for path in closed:
        path.chmod(0o500)
    training.points(50)
    training.everything("read-only")
    time.sleep(1.5)
    training.is_told(lambda: unitrack.start_run("another", sinks=["local"], root=folder / "runs"))
    for path in closed:
        path.chmod(0o700)
    training.points(50)
    training.everything("after")
    report = training.run.finish(timeout=30)
    if not report.ok:  # a parked sink is not waited for
        time.sleep(2)
        report = sync_run(RunFolder(training.run.path), timeout=30)
    return training.account(report, probe_of(sinks))


def few_descriptors(folder: Path, sinks: list[Any]) -> dict[str, Any]:
    """No more file can be opened for a while: in the trainer, at a rotation, at a start, and at the end."""
    training = Training(folder, sinks)
    training.everything("before")
    assert training.run.flush(timeout=60).ok
    training.run._parts.recorder.open()._segment_bytes = 2000
    with no_more_files():
        training.points(200)
        training.everything("out of files")
        training.is_told(lambda: unitrack.start_run("another", sinks=["local"], root=folder / "runs"))
    training.points(200)
    training.everything("after")
    with no_more_files():
        began = time.monotonic()
        at_end = training.run.finish(timeout=1)
        assert time.monotonic() - began < 10
        assert all(sink.unknown for sink in at_end.sinks.values()), str(at_end)
    deadline = time.monotonic() + 60
    report = sync_run(RunFolder(training.run.path), timeout=1)
    while not (report.ok and all(sink.state == "complete" for sink in report.sinks.values())):
        assert time.monotonic() < deadline, str(report)
        time.sleep(0.2)
        report = sync_run(RunFolder(training.run.path), timeout=30)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 12, hard))
    with unitrack.start_run("few", sinks=["local"], root=folder / "runs") as few:  # with a courier of its own
        few.log_metrics({"loss": 1.0})
    assert few.finish().ok
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return training.account(report, probe_of(sinks))


@contextmanager
def no_more_files() -> Iterator[None]:
    """The process may open none beyond those that it has."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def failing_writes(folder: Path, sinks: list[Any], code: int) -> dict[str, Any]:
    """The operating system's calls fail now and then: simulated in this process, since no disk can be told to."""
    dice = random.Random(code)
    training = Training(folder, sinks)
    write, sync, journal = os.write, unitrack.journal.segments.sync_data, training.run._parts.recorder.open()
    housekeeper.SYNC_INTERVAL_S = housekeeper.HOUSEKEEPING_S = 0.05

    def failing_write(descriptor: int, data: bytes) -> int:
        if descriptor == journal._fd and dice.random() < 0.2:
            if dice.random() < 0.5:
                raise OSError(code, os.strerror(code))
            return write(descriptor, data[: dice.randrange(len(data))])
        return write(descriptor, data)

    def failing_sync(descriptor: int) -> None:
        raise OSError(code, os.strerror(code))

    os.write, unitrack.journal.segments.sync_data = failing_write, failing_sync
    for number in range(20):
        training.points(20)
        training.everything(f"round {number}")
    time.sleep(1.5)
    os.write, unitrack.journal.segments.sync_data = write, sync
    training.points(20)
    training.everything("after")
    return training.account(training.run.finish(timeout=60), probe_of(sinks))


def deleted_folder(folder: Path, sinks: list[Any]) -> dict[str, Any]:
    """`rm -rf` of the run while it runs: there is nothing to save, but nothing crashes or hangs, and it is said."""
    housekeeper.HOUSEKEEPING_S = 0.05
    training = Training(folder, sinks)
    training.everything("before")
    training.points(50)
    assert training.run.flush(timeout=60).ok
    while training.run.path.exists():  # a courier may write its ledger at that very moment
        shutil.rmtree(training.run.path, ignore_errors=True)
    for _ in range(10):
        training.points(20)
        training.everything("deleted")
        time.sleep(0.05)
    training.run.flush(timeout=1)
    began = time.monotonic()
    report = training.run.finish(timeout=5)
    assert time.monotonic() - began < 5
    assert training.run.links() == {}
    time.sleep(2)
    assert not training.run.path.exists(), sorted(training.run.path.rglob("*"))
    with unitrack.start_run("bad", sinks=["local"], root=folder / "runs") as again:
        again.log_metrics({"loss": 1.0})
    return {
        "calls": training.calls,
        "told": len(training.told),
        "messages": sorted(set(training.told)),
        "ok": report.ok,
        "report": str(report),
        "again": again.finish().ok,
    }


def probe_of(sinks: list[Any]) -> Path | None:
    """Where the probe sink stores."""
    return next((Path(sink["probe"]["out"]) for sink in sinks if isinstance(sink, dict) and "probe" in sink), None)


def main() -> None:
    """Get into the trouble that is named."""
    trouble, folder, sinks = sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3])
    troubles: dict[str, Callable[[], dict[str, Any]]] = {
        "full": lambda: full_disk(folder, sinks),
        "read-only": lambda: read_only(folder, sinks),
        "descriptors": lambda: few_descriptors(folder, sinks),
        "EIO": lambda: failing_writes(folder, sinks, errno.EIO),
        "EDQUOT": lambda: failing_writes(folder, sinks, errno.EDQUOT),
        "deleted": lambda: deleted_folder(folder, sinks),
    }
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        account = troubles[trouble]()
    account["warnings"] = sorted({str(one.message) for one in caught})
    print(json.dumps(account))


if __name__ == "__main__":
    main()
