"""What the tests of hostile input share: a stranger's run folder, what lies outside of it, and the count of cases."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from unitrack.delivery.report import SinkReport
from unitrack.delivery.sync import sync_run
from unitrack.journal import JournalWriter
from unitrack.plugins.options import make_lane
from unitrack.plugins.registry import installed
from unitrack.records import Metrics, Record, RunEnd, RunStart
from unitrack.runfolder.manifest import Manifest
from unitrack.runfolder.run_folder import RunFolder
from unitrack_tests.bench import dead_owner
from unitrack_tests.faults import figure

CANARY = b"what lies outside of the run folder"


class Stranger:
    """A run folder that somebody else has made, with a local sink, and a file beside it that is not the run's."""

    def __init__(self, root: Path, name: str = "theirs") -> None:
        self.outside = root / "home"
        self.outside.mkdir(exist_ok=True)
        (self.outside / "secret.txt").write_bytes(CANARY)
        self.folder = RunFolder.claim(root / "experiments", name)
        self.journal = JournalWriter(self.folder.spool, writer="000000000000-1-aaaaaa")
        self.spec = make_lane("local", installed().backend("local"), {})
        self.manifest = Manifest(
            run=RunStart(seq=0, time=now(), run_id="theirs-1", name=name, project="p"),
            owner=msgspec.structs.replace(dead_owner(), writer=self.journal.writer),
            sinks=(self.spec.entry,),
        )
        self.folder.write_manifest(self.manifest)
        self.append(self.manifest.run)

    def append(self, *records: Record) -> None:
        """Append to the journal, numbered."""
        for record in records:
            self.journal.copy(record)

    def end(self, *records: Record) -> None:
        """Append these and one good point, and end the run."""
        self.append(*records, Metrics(seq=0, time=now(), step=0, metrics={"loss": 0.5}))
        self.append(RunEnd(seq=0, time=now(), status="finished"))
        self.journal.close()

    def claim_sinks(self, *sinks: dict[str, Any]) -> None:
        """Have run.json say this of its sinks, whatever unitrack would write."""
        file = self.folder.manifest_file
        file.write_bytes(msgspec.json.encode(msgspec.json.decode(file.read_bytes()) | {"sinks": sinks}))

    def edit_manifest(self, **changes: Any) -> None:
        """Write a manifest that no code of ours would: dotted keys -> values, "sinks.0.name" among them."""
        manifest = msgspec.to_builtins(self.manifest)
        for path, value in changes.items():
            *parents, last = path.split("__")
            place: Any = manifest
            for part in parents:
                place = place[int(part) if part.isdecimal() else part]
            place[last] = value
        self.folder.manifest_file.write_bytes(msgspec.json.encode(manifest))

    def sync(self) -> SinkReport:
        """What `unitrack sync` comes to."""
        return sync_run(self.folder, timeout=30)["local"]

    def dead_letters(self) -> str:
        """All that is said of what was refused."""
        file = self.folder.dead_letter_file("local")
        return file.read_text() if file.exists() else ""


@contextmanager
def untouched(*places: Path) -> Iterator[None]:
    """Fail if anything at these places is another thing afterwards."""
    before = fingerprint(places)
    yield
    assert fingerprint(places) == before


def fingerprint(places: Iterable[Path]) -> dict[str, str]:
    """Each path below the places, and a hash of what it is."""
    found: dict[str, str] = {}
    for place in places:
        for path in (place, *place.rglob("*")):
            content = path.read_bytes() if path.is_file() else b""
            found[str(path)] = f"{os.lstat(path).st_mode:o} {hashlib.sha256(content).hexdigest()}"
    return found


def counted(kind: str, cases: int = 1) -> None:
    """Note cases that neither escaped nor crashed anything: a test that gets here has seen to that."""
    figure("Hostile input", kind, cases=cases, escaped=0, crashed=0)


def now() -> int:
    """The wall clock in milliseconds."""
    return time.time_ns() // 1_000_000
