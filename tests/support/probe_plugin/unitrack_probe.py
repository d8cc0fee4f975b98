"""A plugin for the tests: a sink that writes what it receives into files, and gets into any trouble it is told to.

What is in `stored.jsonl` is what the backend holds: it is cut back to the checkpoint in `open_run`, so a record that is
in it twice was delivered twice after its commit. `calls.jsonl` is the log of hook calls and survives all.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
from unitrack_tests.troubles import make

from unitrack import limits
from unitrack.hookspecs import Backend, Checkpoint, Link, RunContext, SinkOptions, Variable, hookimpl
from unitrack.records import Artifact, Metrics, Params, Tags


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """What goes wrong in a hook ("init" too), in each how manieth call, how often in all, for which metric value
    (None: for any call), and until which file is there.
    """

    hook: str
    kind: str
    every: int = 1
    times: int = 1_000_000
    value: float | None = None
    until: str | None = None


class ProbeOptions(SinkOptions, frozen=True):
    """Where the backend "is", what goes wrong in it, and limits to change in the process that serves it."""

    out: str
    troubles: tuple[Trouble, ...] = ()
    confirms_at_end_only: bool = False
    store_name: str = ""
    limits: dict[str, float] = msgspec.field(default_factory=dict)
    is_off: bool = False

    def is_disabled(self) -> bool:
        """As W&B's mode "disabled"."""
        return self.is_off

    def store(self) -> str:
        """What it is called, for sinks that are told to share one."""
        return self.store_name or super().store()


_inside: dict[str, list[int]] = {}
"""By the name of a store: how many calls of it were under way whenever one came in."""
_busy: dict[str, int] = {}
_count_lock = threading.Lock()


def most_at_once(store: str) -> int:
    """How many calls of a store with a name were under way at the same time in this process, at most."""
    return max(_inside[store])


@contextlib.contextmanager
def _counted(store: str) -> Iterator[None]:
    """Count a call while it lasts, and have it last long enough to meet others."""
    if not store:
        yield
        return
    with _count_lock:
        _busy[store] = _busy.get(store, 0) + 1
        _inside.setdefault(store, []).append(_busy[store])
    time.sleep(0.005)
    try:
        yield
    finally:
        with _count_lock:
            _busy[store] -= 1


@hookimpl
def register_backends() -> list[Backend]:
    """Two backends of one sink, so that two couriers can be had; one that takes what is alike together."""
    backend = Backend(
        name="probe",
        summary="for tests",
        sink="unitrack_probe:ProbeSink",
        options=ProbeOptions,
        variables=(
            Variable("PROBE_OUT", option="out"),
            Variable("PROBE_FOLDER", option="out"),
            Variable("PROBE_STORE", option="store_name", key="experiment.project", words={"old": "new"}),
            Variable("PROBE_GROUP", key="experiment.group"),
            Variable("PROBE_TAGS", key="experiment.tags"),
            Variable("PROBE_OFF", option="is_off"),
        ),
    )
    return [
        backend,
        msgspec.structs.replace(backend, name="probe2"),
        msgspec.structs.replace(backend, name="probe_together", kinds_in_order=False),
        msgspec.structs.replace(backend, name="probe_turns", lanes_at_once=2),
    ]


class ProbeSink:
    """See the module."""

    def __init__(self, options: ProbeOptions) -> None:
        for name, value in options.limits.items():
            setattr(limits, name, type(getattr(limits, name))(value))  # bytes are whole numbers
        self.options = options
        self.out = Path(options.out)
        self.out.mkdir(parents=True, exist_ok=True)
        self._ended = False
        if any(trouble.hook == "init" for trouble in options.troubles):
            self._called("init")

    @hookimpl
    def open_run(self, run: RunContext, checkpoint: Checkpoint | None) -> Link:
        """Cut the store back to the checkpoint."""
        self._called("open_run")
        self._folder = run.folder
        committed = (checkpoint or {}).get("bytes", 0)
        self._store = open(self.out / "stored.jsonl", "ab", buffering=0)  # noqa: SIM115 (closed by close)
        self._store.truncate(committed)
        return Link(id=run.start.run_id, location=str(self.out))

    @hookimpl
    def log_params(self, params: list[Params]) -> None:
        """Store."""
        self._take("log_params", params)

    @hookimpl
    def log_metrics(self, metrics: list[Metrics]) -> None:
        """Store."""
        self._take("log_metrics", metrics)

    @hookimpl
    def set_tags(self, tags: list[Tags]) -> None:
        """Store."""
        self._take("set_tags", tags)

    @hookimpl
    def log_artifacts(self, artifacts: list[Artifact]) -> None:
        """Store."""
        for artifact in artifacts:
            content = self._folder / artifact.file
            assert content.exists()
            if content.is_file():
                kept = self.out / "files" / artifact.name
                kept.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(content, kept)
        self._take("log_artifacts", artifacts)

    @hookimpl
    def flush(self) -> Checkpoint | None:
        """Confirm, unless told to do so only at the end."""
        self._called("flush")
        if self.options.confirms_at_end_only and not self._ended:
            return None
        return {"bytes": os.fstat(self._store.fileno()).st_size}

    @hookimpl
    def end_run(self, status: str, time: int) -> None:
        """Note how the run ended."""
        self._called("end_run")
        self._ended = True
        writing = self.out / "ended.json.writing"
        writing.write_text(json.dumps({"status": status, "time": time}))
        writing.replace(self.out / "ended.json")  # tests wait for the file, and read it at once

    @hookimpl
    def close(self) -> None:
        """Close the store."""
        self._called("close")
        store = getattr(self, "_store", None)
        if store is not None:
            store.close()

    def _take(self, hook: str, records: Iterable[Any]) -> None:
        taken = list(records)
        with _counted(self.options.store_name):
            self._called(hook, taken)
            self._store.write(b"".join(msgspec.json.encode(record) + b"\n" for record in taken))

    def _called(self, hook: str, records: Iterable[Any] = ()) -> None:
        seqs = [record.seq for record in records]
        with (self.out / "calls.jsonl").open("a") as calls:
            calls.write(json.dumps({"hook": hook, "seqs": seqs, "time": time.monotonic(), "pid": os.getpid()}) + "\n")
        for number, trouble in enumerate(self.options.troubles):
            if trouble.hook == hook and self._concerns(trouble, records):
                had, early = divmod(self._count(number), trouble.every)
                if not early and had <= trouble.times:
                    make(trouble.kind, records)

    def _count(self, number: int) -> int:
        """How often this trouble was due, kept in a file since processes die of it."""
        file = self.out / f"trouble-{number}"
        with file.open("a") as counted:
            counted.write("x")
        return file.stat().st_size

    @staticmethod
    def _concerns(trouble: Trouble, records: Iterable[Any]) -> bool:
        if trouble.until is not None and os.path.exists(trouble.until):
            return False
        if trouble.value is None:
            return True
        return any(trouble.value in record.values().values() for record in records if isinstance(record, Metrics))


def stored(out: Path) -> list[dict[str, Any]]:
    """What the backend holds."""
    return _lines(out / "stored.jsonl")


def calls(out: Path) -> list[dict[str, Any]]:
    """The log of hook calls."""
    return _lines(out / "calls.jsonl")


def points(out: Path, metric: str) -> list[tuple[int, float]]:
    """The points of one metric that the backend holds: step and value."""
    return [
        (record["step"], record["metrics"][metric])
        for record in stored(out)
        if record["kind"] == "metrics" and metric in record["metrics"]
    ]


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
