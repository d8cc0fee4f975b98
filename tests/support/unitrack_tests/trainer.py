"""A training loop to kill: it logs everything there is and reports each call that has returned.

Calls are numbered from 0, and the number says what is logged; so from the number of calls that returned follows what
every sink must hold. `train` runs in a process of `unitrack_tests.zygote`.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import struct
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec

import unitrack
import unitrack.delivery.modes  # what starts a run imports it late; a zygote has it already
import unitrack.local.sink
from unitrack.records import AnyRecord, Artifact, Metrics, Params, RunEnd, RunStart, Tags, flatten

Report = Callable[[bytes], object]

_KINDS = (
    *("metrics", "metrics", "params", "metrics", "metrics", "text", "metrics", "metrics", "tags", "metrics", "image"),
    *("metrics", "metrics", "histogram", "metrics", "metrics", "artifact", "metrics", "metrics", "metrics"),
)
_FILES = {"text": "note-{}.txt", "image": "shot-{}.png", "histogram": "weights-{}.json", "artifact": "model-{}.bin"}


class Held(msgspec.Struct):
    """What a backend holds of a run."""

    calls: list[str] = []
    """Each logged thing that is there and is as it was logged, "<kind> <number>"; one that is there twice, twice."""
    status: str = "running"


def kind_of(number: int) -> str:
    """What the call of this number logs."""
    return _KINDS[number % len(_KINDS)]


def calls_up_to(last: int) -> list[str]:
    """What the calls 0 ... `last` log, as in `Held.calls`."""
    return [f"{kind_of(number)} {number}" for number in range(last + 1)]


def log(run: unitrack.Run, number: int, folder: Path) -> None:
    """Make the call of this number. `folder`: where files are before they are logged."""
    kind = kind_of(number)
    match kind:
        case "metrics":
            run.log_metrics({"loss": number / 7}, step=number)
        case "params":
            run.log_params({"layer": {f"p{number}": number}})
        case "tags":
            run.set_tags({f"t{number}": str(number)})
        case "text":
            run.log_text(_text(number), f"note-{number}.txt")
        case "histogram":
            run.log_histogram(([number, 1], [0, 1, 2]), f"weights-{number}")
        case "image":
            (folder / "shot.png").write_bytes(_png(number))
            run.log_image(folder / "shot.png", f"shot-{number}")
        case "artifact":
            (folder / "model.bin").write_bytes(_text(number).encode() * 50)
            run.log_artifact(folder / "model.bin", f"model-{number}.bin")


def held(records: Iterable[AnyRecord]) -> Held:
    """What the records of a source amount to. Files that lie on this machine are compared byte by byte."""
    found = Held()
    params: dict[str, Any] = {}
    tags: dict[str, str] = {}
    for record in records:
        match record:
            case Metrics(step=step):
                found.calls += [f"metrics {step}" for value in record.values().values() if value == step / 7]
            case Params():
                params |= flatten(record.params)
            case Tags() | RunStart():
                tags |= record.tags
            case Artifact(name=name, file=file):
                kind, number = _file_of(name)
                path = Path(file)
                if not (path.is_absolute() and path.suffix == Path(name).suffix) or _is_whole(kind, number, path):
                    found.calls.append(f"{kind} {number}")
            case RunEnd(status=status):
                found.status = status
    found.calls += [f"params {value}" for name, value in params.items() if name == f"layer.p{value}"]
    found.calls += [f"tags {value}" for name, value in tags.items() if name == f"t{value}"]
    return found


def _file_of(name: str) -> tuple[str, int]:
    number = int(name.rpartition(".")[0].rpartition("-")[2])
    return next(kind for kind, form in _FILES.items() if form.format(number) == name), number


def _is_whole(kind: str, number: int, path: Path) -> bool:
    content = path.read_bytes()
    if kind == "histogram":
        return bool(json.loads(content) == {"counts": [number, 1], "edges": [0, 1, 2]})
    return content == (_png(number) if kind == "image" else _text(number).encode() * (50 if kind == "artifact" else 1))


def _text(number: int) -> str:
    return f"call {number}, and what a note says\n"


def _png(number: int) -> bytes:
    """A picture of one pixel."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    pixel = b"\0" + number.to_bytes(8, "big")[-3:]
    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(pixel)) + chunk(b"IEND", b"")


def train(
    report: Report,
    root: str,
    sinks: list[Any],
    delivery: str = "process",
    pause: float = 0.0,
    end: str = "",
    calls: int = 1_000_000_000,
    block: bool = False,
    group: str = "",
) -> None:
    """Log until somebody kills us, or `calls` calls and then the end of this name in `ENDS`.

    `pause`: seconds of training between two calls. `block`: with a `with` block around it. `group`: the file of a
    control group to join first.
    """
    if group:
        Path(group).write_text(str(os.getpid()))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    folder = Path(root)
    report(b"born\n")
    run = unitrack.start_run("a", sinks=sinks, root=folder / "runs", delivery=delivery)
    report(b"started\n")

    def loop() -> None:
        for number in range(calls):
            log(run, number, folder)
            report(b"%b %d\n" % (kind_of(number).encode(), number))
            if pause:
                time.sleep(pause)

    _PREPARATIONS.get(end, lambda: None)()
    if block:
        with run:
            loop()
            ENDS[end]()
    else:
        loop()
        ENDS[end]()


def _go_on() -> None:
    """Train on until a signal comes."""
    time.sleep(60)
    os._exit(99)


def _raise() -> None:
    raise ValueError("the loss is a banana")


def _raise_in_thread() -> None:
    thread = threading.Thread(target=_raise)
    thread.start()
    thread.join()


def _exhaust_memory() -> None:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**26, resource.RLIM_INFINITY))
    _eat()


def _eat() -> None:
    """Take memory until there is none."""
    eaten = []
    while True:
        eaten.append(bytearray(os.urandom(1) * 2**22))


def _segfault() -> None:
    import ctypes

    ctypes.string_at(0)


def _exit_on_sigterm() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(9))


_PREPARATIONS: dict[str, Callable[[], None]] = {"own handler": _exit_on_sigterm}

ENDS: dict[str, Callable[[], object]] = {
    "own handler": _go_on,
    "exit(0)": sys.exit,
    "exit(1)": lambda: sys.exit(1),
    "exception": _raise,
    "exception in a thread": _raise_in_thread,
    "memory limit": _exhaust_memory,
    "memory": _eat,
    "_exit": lambda: os._exit(5),
    "abort": os.abort,
    "segfault": _segfault,
    "": lambda: None,
}
"""What ends training after the last call."""
