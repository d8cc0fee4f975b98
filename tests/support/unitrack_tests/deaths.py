"""What is left of a trainer that died: what it had reported, what each sink holds, and the figures of both."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path

import msgspec

import unitrack
from unitrack.delivery.ledger import Ledger
from unitrack.delivery.report import read_report
from unitrack.delivery.sync import sync_run
from unitrack.journal.lines import decode_record
from unitrack.local.source import LocalSource
from unitrack.runfolder.manifest import LaneSpec
from unitrack.runfolder.run_folder import RunFolder
from unitrack_tests.faults import figure
from unitrack_tests.trainer import Held, held
from unitrack_tests.zygote import Child

DELIVERED_WITHIN_S = 90.0
"""A busy machine takes a while to import four SDKs."""


class Death(msgspec.Struct, frozen=True, kw_only=True):
    """A trainer's, and what came of its run."""

    returned: list[str]
    """The calls that it had reported, as in `Held.calls`."""
    sinks: dict[str, Held]
    incomplete: list[str]
    """The sinks that lack anything by their own account."""

    def lost(self) -> list[str]:
        """The calls that had returned and are not in each sink."""
        return [call for call in self.returned if not all(call in sink.calls for sink in self.sinks.values())]

    def doubled(self) -> list[str]:
        """What is in a sink more than once."""
        return [call for sink in self.sinks.values() for call, times in Counter(sink.calls).items() if times > 1]

    def unlogged(self) -> list[str]:
        """What is in a sink and was not logged: all but the calls reported and the one under way."""
        return [call for sink in self.sinks.values() for call in sink.calls if _number(call) > len(self.returned)]

    def differing(self) -> bool:
        """Whether the sinks hold different things."""
        contents = [sorted(sink.calls) for sink in self.sinks.values()]
        return any(one != contents[0] for one in contents)

    def statuses(self) -> set[str]:
        """How the run ended, by each sink."""
        return {sink.status for sink in self.sinks.values()}

    def account(self, row: str, status: str) -> None:
        """Print it, then fail unless the run is whole in every sink and ended as `status`."""
        figure(
            "Kill the trainer",
            row,
            deaths=1,
            calls_returned=len(self.returned),
            lost=len(self.lost()),
            doubled=len(self.doubled()),
            sinks_incomplete=len(self.incomplete),
            status="/".join(sorted(self.statuses())),
        )
        assert not self.lost()
        assert not self.doubled()
        assert not self.unlogged()
        assert not self.differing()
        assert not self.incomplete
        assert self.statuses() == {status}


def _number(call: str) -> int:
    return int(call.partition(" ")[2])


def calls_of(child: Child) -> list[str]:
    """What a dead trainer had reported."""
    return [line for line in child.reports() if " " in line]


def probe_of(root: Path) -> dict[str, object]:
    """The probe sink of a trainer's run."""
    return {"probe": {"out": str(root / "probe")}}


def _held_by(folder: RunFolder, sink: LaneSpec, root: Path) -> Held:
    """What the backend holds, by its own reader."""
    if sink.backend == "local":
        return held(LocalSource(str(folder.path)).records(folder.path.name))
    if sink.backend == "probe":
        return _held_by_probe(root)
    link = Ledger.load(folder.ledger_file(sink.name)).link
    assert link is not None
    return held(unitrack.runs(f"{sink.backend}:{link.location}").find(link.id).records())


def _held_by_probe(root: Path) -> Held:
    found = held(decode_record(line) for line in (root / "probe" / "stored.jsonl").read_bytes().splitlines())
    found.status = json.loads((root / "probe" / "ended.json").read_text())["status"]
    return found


def left_by(child: Child, root: Path, *, sync: bool) -> Death:
    """Wait until all is delivered, by the couriers or by `sync_run`, and look what is where."""
    folder = RunFolder(root / "runs" / "a")
    deliver(folder, sync=sync)
    report = read_report(folder)
    return Death(
        returned=calls_of(child),
        sinks={sink.name: _held_by(folder, sink, root) for sink in folder.read_manifest().sinks},
        incomplete=[name for name, sink in report.sinks.items() if sink.state != "complete" or not sink.ok],
    )


def deliver(folder: RunFolder, *, sync: bool) -> None:
    """Come back once all sinks are complete, or it takes too long."""
    deadline = time.monotonic() + DELIVERED_WITHIN_S
    while any(sink.state != "complete" for sink in read_report(folder).sinks.values()):
        if time.monotonic() > deadline:
            if sync:
                return
            sync, deadline = True, deadline + DELIVERED_WITHIN_S  # a busy machine: couriers left it, as they may
        if sync:
            sync_run(folder, timeout=30)
        else:
            time.sleep(0.02)
