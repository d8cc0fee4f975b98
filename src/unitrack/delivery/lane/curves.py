"""One curve for each metric, though training went back to a checkpoint: which points are superseded.

A *session* is a stretch of training that begins with a `RunStart`: the first one, one for each resume, one for each
`load_state_dict` that goes back. Where a metric's first point in a session is not above all its steps so far, the
session begins that curve anew from there, and earlier points from that step on are *superseded*. A backend that can
withdraw them shows the new ones (`SinkSpec.rewind`). In one that can't, what it has stays, and new points up to there
are held back: one curve either way. The rule goes by metric, since each may have an axis of its own.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

from unitrack.delivery.ledger import CurvesState
from unitrack.journal import Chunk, JournalReader, Position
from unitrack.records import SYSTEM_PREFIX, AnyRecord, Metrics, RunStart


class Rewinder(Protocol):
    """An open sink, asked to withdraw points; see the hooks of these names in `SinkSpec`."""

    def can_rewind(self) -> bool:
        """Return whether it can withdraw points now."""
        ...

    def must_repeat(self) -> bool:
        """Return whether uncommitted points must come again just as they were."""
        ...

    def rewind(self, steps: Mapping[str, int]) -> None:
        """Withdraw the points of each metric from its step on."""
        ...


class Curves:
    """What a lane knows of the curves of a run: how far they go, and from where on they are not for this sink."""

    def __init__(self, state: CurvesState) -> None:
        self._session = state.session
        self._tops = dict(state.tops)
        self._before = dict(state.before)
        self._stays = dict(state.stays)
        self.left_out = dict(state.left_out)
        """See `CurvesState`."""

    def state(self) -> CurvesState:
        """Return what must be remembered across a restart."""
        return CurvesState(
            session=self._session,
            tops=dict(self._tops),
            before=dict(self._before),
            stays=dict(self._stays),
            left_out=dict(self.left_out),
        )

    def begin_session(self, writer: str) -> None:
        """Begin a session: a metric that now starts at or below its highest step goes back."""
        self._session = writer
        self._before = {name: top for name, top in self._tops.items() if not name.startswith(SYSTEM_PREFIX)}
        self._stays = {}

    @property
    def may_go_back(self) -> bool:
        """Whether there are metrics of earlier sessions that this one has not logged yet."""
        return bool(self._before)

    def go_back(self, firsts: Mapping[str, int], sink: Rewinder) -> None:
        """Given the first step of metrics in this session: have the sink withdraw what they supersede."""
        starts = {name: step for name, step in firsts.items() if name in self._before}
        back = {name: step for name, step in starts.items() if step <= self._before[name]}
        if back and sink.can_rewind():
            sink.rewind(back)
            self._tops.update(back)
        else:
            self._stays.update({name: self._before[name] for name in back})
        for name in starts:
            del self._before[name]

    def decide(self, firsts: Mapping[str, Mapping[str, int]]) -> None:
        """Settle which points of this session and of those to come are left out, as a later one supersedes them before
        they are delivered; given the first step of each metric in each of the latter.
        """
        later: dict[str, int] = {}
        for session in reversed([self._session, *firsts]):
            self.left_out[session] = dict(later)
            for name, step in firsts.get(session, {}).items():
                later[name] = min(step, later.get(name, step))

    def admit(self, record: Metrics) -> Metrics | None:
        """Return the record with the points that are on the curve; None if none is."""
        values, step = record.values(), record.step
        later, stays = self.left_out.get(self._session), self._stays
        if later or stays:
            later = later or {}
            kept = {
                name: value for name, value in values.items() if stays.get(name, -1) < step < later.get(name, math.inf)
            }
            if len(kept) < len(values):
                if not kept:
                    return None
                values, record = kept, record.with_values(kept)
        tops = self._tops
        for name in values:
            if step > tops.get(name, -1):
                tops[name] = step
        return record


def first_steps(records: Iterable[AnyRecord]) -> dict[str, int]:
    """Return the step of the first point of each metric that training logged."""
    found: dict[str, int] = {}
    for record in records:
        if isinstance(record, Metrics):
            for name in record.values():
                found.setdefault(name, record.step)
    return {name: step for name, step in found.items() if not name.startswith(SYSTEM_PREFIX)}


def first_steps_of(spool: Path, writer: str, start: Position | None = None) -> dict[str, int]:
    """Return `first_steps` of the session that begins at a position in a journal, as far as it is written."""
    found: dict[str, int] = {}
    with contextlib.closing(JournalReader(spool, writer, start)) as reader:
        begun = False
        while reader.position != (chunk := reader.read()).end:
            if begun and begins_session(chunk):
                break
            begun = True
            found = first_steps(chunk.records) | found
    return found


def begins_session(chunk: Chunk) -> bool:
    """Return whether a chunk of a journal is the first of a session, which begins with a segment of its own."""
    return bool(chunk.records) and isinstance(chunk.records[0], RunStart)
