"""A process that imports a backend's SDK once, and forks deliverers that die on their way: hundreds of kills a minute.

The tests' side is `Nursery`. Below it is the process: a forked deliverer steps a real `Lane` as a courier does, until
it is done, until it has lived for a given number of seconds, or until it reaches a given place in the code
(`unitrack_tests.places`).
"""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import msgspec

from unitrack.delivery.ledger import Ledger
from unitrack.plugins.options import load_object
from unitrack.plugins.registry import installed
from unitrack.runfolder.manifest import LaneSpec
from unitrack.runfolder.run_folder import RunFolder
from unitrack.testing.whole_run import Contents

Place = tuple[str, int]
"""Where a deliverer dies, as `unitrack_tests.places` names it, and at which time that it gets there."""


class Order(msgspec.Struct, kw_only=True):
    """One fork, and what becomes of it."""

    do: str
    """"deliver"; "sync", as the command; "add", as `unitrack sync --to` does, which then delivers; or "read"."""
    folder: str
    lane: LaneSpec
    read_bytes: int
    """What a lane takes from the journal at a time: small, so that there are many commits to die between."""
    live: float | None = None
    """Seconds until it is killed."""
    places: bool = False
    """Whether to report the places that it got to."""
    die_at: Place | None = None


class Fate(msgspec.Struct, kw_only=True):
    """What became of it."""

    seconds: float
    died: bool
    result: Any = None


class Held(msgspec.Struct, kw_only=True):
    """What a backend holds of a run: by unitrack's source, and its points by the SDK's own reader."""

    runs: int
    """How many runs the backend shows for it."""
    points: list[tuple[str, int, float]]
    contents: Contents


class Nursery:
    """Forks deliverers for one backend; a context manager, since the process has to end."""

    def __init__(self, folder: Path, read_bytes: int) -> None:
        environment = os.environ | {
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "WANDB_ERROR_REPORTING": "false",
            "TRACKIO_DIR": str(folder / "trackio"),
            "HF_HUB_OFFLINE": "1",
        }
        self._read_bytes = read_bytes
        self._log = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (closed in `__exit__`)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "unitrack_tests.deliverer"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=environment,
            cwd=folder,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *trouble: object) -> None:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()
        self._log.close()

    def deliver(self, folder: RunFolder, lane: LaneSpec, **how: Any) -> Fate:
        """Deliver what is left; `how` as in `Order`. Fails if it neither came to its end nor died as it should."""
        return self._give(Order(do="deliver", folder=str(folder.path), lane=lane, read_bytes=self._read_bytes, **how))

    def sync(self, folder: RunFolder, lane: LaneSpec, **how: Any) -> Fate:
        """Run `unitrack sync` on it; `lane` tells which SDKs it will need."""
        return self._give(Order(do="sync", folder=str(folder.path), lane=lane, read_bytes=self._read_bytes, **how))

    def add(self, folder: RunFolder, lane: LaneSpec, **how: Any) -> Fate:
        """Give the run one more sink, and deliver all of it to that."""
        return self._give(Order(do="add", folder=str(folder.path), lane=lane, read_bytes=self._read_bytes, **how))

    def read(self, folder: RunFolder, lane: LaneSpec) -> Held:
        """Read the run back, in a process that holds nothing of what the deliverers held."""
        fate = self._give(Order(do="read", folder=str(folder.path), lane=lane, read_bytes=self._read_bytes))
        return msgspec.convert(fate.result, Held)

    def _give(self, order: Order) -> Fate:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(msgspec.json.encode(order) + b"\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer or "trouble" in json.loads(answer):
            self._log.seek(0)
            raise AssertionError(f"{json.loads(answer) if answer else 'the process died'}\n{self._log.read().decode()}")
        return msgspec.json.decode(answer, type=Fate)


# -- the process ------------------------------------------------------------------------------------------------------


def main() -> None:
    """Obey orders until there are no more."""
    answers = os.dup(1)
    os.dup2(2, 1)  # what SDKs print is no answer
    for line in sys.stdin.buffer:
        os.write(answers, msgspec.json.encode(_fork(msgspec.json.decode(line, type=Order))) + b"\n")


@functools.cache
def _import_all(sink: str, options: str, source: str | None) -> None:
    """What every fork needs, once."""
    for name in ("unitrack.delivery.lane.lane", "unitrack_tests.places", "unitrack_tests.readers"):
        importlib.import_module(name)
    for path in filter(None, (sink, options, source)):
        load_object(path)


def _fork(order: Order) -> Fate | dict[str, str]:
    _import_all(order.lane.sink, order.lane.options_type, installed().backend(order.lane.backend).source)
    ours, theirs = os.pipe()
    began = time.monotonic()
    gc.freeze()  # else a collection in the fork copies the pages of all that was imported
    pid = os.fork()
    if pid == 0:
        os.close(ours)
        _live(order, theirs)
    os.close(theirs)
    with open(ours, "rb") as pipe:
        if order.live is not None and not select.select([pipe], [], [], order.live)[0]:
            os.kill(pid, signal.SIGKILL)
        told = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    seconds = time.monotonic() - began
    meant_to_die = order.live is not None or order.die_at is not None
    if status == -signal.SIGKILL and meant_to_die:
        return Fate(seconds=seconds, died=True)
    if status != 0 or not told:
        return {"trouble": f"a deliverer ended with {status}: {told.decode()}"}
    result = json.loads(told)
    for name in result.pop("modules"):  # what this one imported late, the next ones are born with
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    return Fate(seconds=seconds, died=False, result=result.get("result"))


def _live(order: Order, answer: int) -> None:
    """The life of a fork. Never returns."""
    status = 1
    try:
        before = set(sys.modules)
        result = {"deliver": _deliver, "sync": _sync, "add": _add, "read": _read}[order.do](order)
        modules = [name for name in sys.modules if name not in before and not name.startswith("_")]
        with open(answer, "wb") as pipe:
            pipe.write(msgspec.json.encode({"result": result, "modules": modules}))
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)  # the fork of a process is no place for exit handlers


def _deliver(order: Order) -> dict[str, int]:
    from unitrack.delivery.lane.lane import Lane
    from unitrack.delivery.lane.progress import Progress
    from unitrack.journal import JournalReader
    from unitrack_tests.places import Places

    JournalReader.read.__defaults__ = (order.read_bytes,)
    places = Places(order.lane, order.die_at)
    if order.places or order.die_at:
        places.watch()
    lane = Lane(RunFolder(Path(order.folder)), order.lane)
    if not lane.acquire():
        raise AssertionError("somebody else delivers")
    while (progress := lane.step()) is not Progress.DONE:
        if progress is Progress.WAITING:
            raise AssertionError(f"the sink fails: {lane.ledger.last_error}")
    lane.release()
    return places.reached


def _sync(order: Order) -> dict[str, int]:
    from unitrack.cli import main as command
    from unitrack.journal import JournalReader

    JournalReader.read.__defaults__ = (order.read_bytes,)
    sys.argv = ["unitrack", "sync", order.folder]
    try:
        command()
    except SystemExit as ended:
        if ended.code:
            raise
    return {}


def _add(order: Order) -> dict[str, int]:
    from unitrack.config import SinkSettings
    from unitrack.delivery.sync import sync_run
    from unitrack_tests.places import Places

    places = Places(order.lane, order.die_at)
    places.watch()
    sink = SinkSettings(name=order.lane.name, backend=order.lane.backend, options=order.lane.options)
    report = sync_run(RunFolder(Path(order.folder)), timeout=30, to=sink)
    if report[sink.name].state != "complete":
        raise AssertionError(str(report))
    return places.reached


def _read(order: Order) -> Held:
    from unitrack_tests.readers import points_by, read_contents

    folder = RunFolder(Path(order.folder))
    link = Ledger.load(folder.ledger_file(order.lane.name)).link
    assert link is not None
    read_points: Callable[..., Any] = points_by(order.lane.backend)
    runs, points = read_points(order.lane, link)
    return Held(runs=runs, points=points, contents=read_contents(order.lane, link, folder.read_manifest().run))


if __name__ == "__main__":
    main()
