"""A run whose training is over and of which nothing is delivered: a journal of many segments, all kinds of records."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from unitrack.journal import JournalWriter
from unitrack.plugins.options import make_lane
from unitrack.plugins.registry import installed
from unitrack.records import Artifact, Metrics, Params, Record, RunEnd, RunStart, Tags
from unitrack.runfolder.manifest import Manifest, SinkEntry
from unitrack.runfolder.run_folder import RunFolder
from unitrack.system.processes import Owner
from unitrack.testing.whole_run import Contents

FIRST_TIME = 1_700_000_000_000
"""ms. The records are a millisecond apart from here on."""
SEGMENT_BYTES = 3000
LATE = 7
"""Each such point lies this many steps before the others: out of order, as an evaluation may be."""


class JournaledRun:
    """A run folder as a training process leaves it that has logged `calls` times and ended its run.

    Its sink is called "sink"; `beside` are others.
    """

    def __init__(
        self, folder: Path, backend: str, options: dict[str, Any], calls: int, *, beside: tuple[SinkEntry, ...] = ()
    ) -> None:
        folder.mkdir(parents=True)
        self.folder = RunFolder(folder.resolve())
        self.folder.prepare()
        self.lane = make_lane("sink", installed().backend(backend), options)
        self.logged = Contents()
        """What the backend must hold in the end."""
        self.lines = 0
        self._journal = JournalWriter(self.folder.spool, SEGMENT_BYTES)
        start = RunStart(seq=0, time=0, run_id=folder.name, name=folder.name, project=f"project {folder.name}")
        owner = Owner.current(self._journal.writer)
        times = itertools.count(FIRST_TIME)
        for number, record in enumerate(
            itertools.chain([start], self._records(calls), [RunEnd(seq=0, time=0, status="killed")])
        ):
            stamped = msgspec.structs.replace(record, seq=number, time=next(times))
            if number == 0:
                self.folder.write_manifest(Manifest(run=stamped, owner=owner, sinks=(self.lane.entry, *beside)))
            self._journal.copy(stamped)
            self.logged.add(stamped)  # type: ignore[arg-type]  # every record is one of AnyRecord
            self.lines += 1
        self._journal.close()

    def _records(self, calls: int) -> Iterator[Record]:
        for call in range(calls):
            late = LATE if call % 10 == 9 else 0
            match call % 25:
                case 3:
                    yield Params(seq=0, time=0, params={"lr": {f"group{call}": call / 8}})
                case 11:
                    yield Tags(seq=0, time=0, tags={f"tag{call}": f"value {call}"})
                case 17:
                    yield self._artifact(call)
                case _:
                    yield Metrics(seq=0, time=0, step=call - late, metrics={"loss": call / 8, "acc": -call / 4})

    def _artifact(self, call: int) -> Artifact:
        name, content = f"notes/{call}.txt", f"written at {call}\n".encode()
        path = self.folder.files / str(call) / f"{call}.txt"
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
        self.logged.files[name] = content
        file = path.relative_to(self.folder.path).as_posix()
        return Artifact(seq=0, time=0, name=name, file=file, type="text", size=len(content))


def options_of(backend: str, store: Path) -> dict[str, Any]:
    """A place below `store` for each backend; one of all runs where making it costs seconds."""
    return {
        "local": {},
        "probe": {"out": str(store / f"probe-{os.urandom(4).hex()}")},
        "mlflow": {"tracking_uri": f"sqlite:///{store / 'mlflow.db'}"},
        "wandb": {"mode": "offline", "dir": str(store / f"wandb-{os.urandom(4).hex()}")},
        "tensorboard": {"logdir": str(store / f"logdir-{os.urandom(4).hex()}")},
        "trackio": {},
        "sql": {"url": f"sqlite:///{store / 'database.db'}"},
    }[backend]
