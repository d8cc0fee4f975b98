"""The work of a copy: each run is replayed into a run folder, and a lane delivers that."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path

import msgspec

from unitrack.delivery.lane.lane import Lane
from unitrack.delivery.ledger import Ledger
from unitrack.delivery.sync import deliver
from unitrack.errors import ConfigError, MissingLocationError, NotFoundError, UnitrackError
from unitrack.limits import SEGMENT_BYTES
from unitrack.manager.copied_versions import CopiedVersions
from unitrack.manager.copy_report import CopiedRun, CopyProgress, refused_records, shortcomings
from unitrack.manager.destination import Destination
from unitrack.manager.marks import ChangedError, difference_of
from unitrack.manager.replay import Note, begin_replay, continue_replay, read_note
from unitrack.manager.selection import Selected, hashed_id
from unitrack.manager.verification.allowances import Allowances
from unitrack.manager.verification.differ import compare_runs
from unitrack.reading.guard import GuardedSource
from unitrack.reading.stored_run import StoredRun
from unitrack.records import RunStart, flatten
from unitrack.runfolder.find import find_run_folders, ids_of
from unitrack.runfolder.run_folder import RunFolder


class Copier:
    """Copies one run after the other to one destination."""

    def __init__(self, destination: Destination, show: Callable[[CopyProgress], None], count: int) -> None:
        self._destination = destination
        self._show = show
        self._count = count
        self._number = -1
        self._versions = CopiedVersions(destination.root) if destination.has_artifacts else None
        self._unreachable = ""
        """Why the destination could not be opened, which is then not tried for each run."""

    @cached_property
    def _folders(self) -> dict[str, RunFolder]:
        """The run folders of earlier copies, and of other runs that lie there, by run id."""
        return {run_id: folder for folder, run_id in ids_of(find_run_folders(self._destination.root))}

    @cached_property
    def _source(self) -> GuardedSource | None:
        """The reader of the destination; None if nothing is there yet, or where it is can't be known."""
        try:
            return GuardedSource(self._destination.location) if self._destination.location else None
        except MissingLocationError:
            return None

    def _find(self, run_id: str) -> StoredRun | None:
        """Return the run that the destination holds under an id of unitrack."""
        try:
            start = next(self._source.records(run_id), None) if self._source else None
        except NotFoundError:
            return None
        return StoredRun(self._source, start, key=run_id) if self._source and isinstance(start, RunStart) else None

    # -- planning -----------------------------------------------------------------------------------------------------

    def plan(self, chosen: Selected) -> CopiedRun:
        """Return what `copy` would do, having written nothing."""
        expected = self._expected_entry(chosen)
        try:
            folder = self._folders.get(chosen.run_id)
            note = read_note(folder, adopt=False) if folder else None
            is_there = note is not None or self._find(chosen.run_id) is not None
            if folder and note and not self._is_current(folder, note, chosen):
                return msgspec.structs.replace(expected, state="would go on")
        except UnitrackError as error:
            return msgspec.structs.replace(expected, state="failed", error=str(error))
        return msgspec.structs.replace(expected, state="already there" if is_there else "would be copied")

    def _is_current(self, folder: RunFolder, note: Note, chosen: Selected) -> bool:
        """Whether all that was replayed is delivered, and the source has nothing new."""
        ledger = Ledger.load(folder.ledger_file(self._destination.lane.name))
        return ledger.ended_writer == note.writer and note.brief == chosen.replay(lambda points: None).brief

    def _expected_entry(self, chosen: Selected) -> CopiedRun:
        """Return the entry of a run in the report as far as its summary tells."""
        summaries = [run.at_hand for run in chosen.runs]
        names = {editor.name(name) for one, editor in zip(summaries, chosen.editors, strict=True) for name in one.last}
        params = {
            editor.name(name) for one, editor in zip(summaries, chosen.editors, strict=True) for name in one.params
        }
        return CopiedRun(
            name=chosen.name,
            id=", ".join(run.id for run in chosen.runs),
            copy_id=chosen.run_id,
            state="failed",
            metrics=len(names - {None}),
            params=len(params - {None}),
        )

    # -- copying ------------------------------------------------------------------------------------------------------

    def copy(self, chosen: Selected) -> CopiedRun:
        """Copy one run, and return how that went."""
        self._number += 1
        entry = CopiedRun(
            name=chosen.name, id=", ".join(run.id for run in chosen.runs), copy_id=chosen.run_id, state="failed"
        )
        if self._unreachable:
            return msgspec.structs.replace(entry, error=f"not tried: {self._unreachable}")
        try:
            copied = self._copy(chosen, entry)
        except (UnitrackError, OSError) as error:
            return msgspec.structs.replace(entry, error=str(error))
        if copied.state == "incomplete" and copied.link is None:
            self._unreachable = copied.error or ""
        return self._with_versions(copied, chosen)

    def _with_versions(self, copied: CopiedRun, chosen: Selected) -> CopiedRun:
        """Add the versions of artifacts that a copied run has made to those of the destination."""
        if self._versions is None or copied.folder is None or not copied.has_arrived:
            return copied
        try:
            notes = self._versions.take_made(Path(copied.folder), chosen.runs)
        except (UnitrackError, OSError) as error:
            notes = [f"its artifacts are no versions there: {error}; copying again tries it again"]
        return msgspec.structs.replace(copied, notes=(*copied.notes, *notes))

    def note_uses(self, copied: Iterable[CopiedRun]) -> None:
        """Note which versions of artifacts copied runs have used, once all versions are there."""
        for one in copied:
            if self._versions is not None and one.folder is not None and one.has_arrived:
                with contextlib.suppress(UnitrackError, OSError):  # the tag of the run says it as well
                    self._versions.take_used(Path(one.folder))

    def _copy(self, chosen: Selected, entry: CopiedRun, run_id: str | None = None) -> CopiedRun:
        replay = chosen.replay(lambda points: self._show_progress(chosen.name, None, points), run_id)
        entry = msgspec.structs.replace(entry, copy_id=replay.run_id)
        self._show_progress(chosen.name, None, 0)
        folder = self._folders.get(replay.run_id)
        if folder is None or (note := read_note(folder)) is None:
            if (there := self._find(replay.run_id)) is not None:
                return self._compare(chosen, there, entry)
            if folder is not None:
                raise ConfigError(f"{folder.path} is a run with the id {replay.run_id!r} that is not delivered yet")
            folder = begin_replay(replay, self._destination.root, self._destination.lane.entry)
            self._folders[replay.run_id] = folder
            return self._deliver(folder, chosen, msgspec.structs.replace(entry, state="copied"))
        if note.edits != replay.edits:
            raise ConfigError(
                f"run {replay.run_id!r} was copied to {self._destination} with other edits ({note.edits}): repeat those"
            )
        is_other = note.origin != replay.origin and note.started != chosen.started
        if is_other and run_id is None:
            return self._copy(chosen, entry, hashed_id(chosen.run_id, replay.origin))
        before = self._deliver(folder, chosen, entry)
        if not before.has_arrived or (note.brief == replay.brief and not note.missing):
            return before
        try:
            has_grown = continue_replay(replay, folder, note)
        except ChangedError as error:
            if note.origin == replay.origin:
                raise ChangedError(
                    f"it has changed since it was copied: {error}; delete the copy, and {folder.path}, to copy it anew"
                ) from error
            if run_id is not None:
                raise
            return self._copy(chosen, entry, hashed_id(chosen.run_id, replay.origin))
        if not has_grown:
            return before
        return self._deliver(folder, chosen, msgspec.structs.replace(entry, state="went on"))

    def _deliver(self, folder: RunFolder, chosen: Selected, entry: CopiedRun) -> CopiedRun:
        """Deliver what is left of a replay. `entry` has the state that holds if anything is; else it is there."""
        note = read_note(folder)
        assert note is not None
        lane = Lane(folder, self._destination.lane)
        had_all = lane.has_ended() and not lane.ledger.dead_lettered
        total = _journal_bytes(folder)
        if not had_all:
            deliver(
                folder,
                [lane],
                timeout=math.inf,
                dead_letters=lane.has_ended(),
                show=lambda: self._show_progress(chosen.name, _delivered_part(lane, total), note.marks.point_count),
            )
        ledger = lane.ledger
        refused = refused_records(folder.dead_letter_file(lane.spec.name)) if ledger.dead_lettered else ()
        marks = note.marks
        done = lane.has_ended()
        return msgspec.structs.replace(
            entry,
            state="incomplete" if not done else "already there" if had_all else _state(entry.state),
            metrics=len(marks.points),
            points=marks.point_count,
            params=len(flatten(marks.params)),
            artifacts=marks.artifact_count,
            renamed={old: new for editor in chosen.editors for old, new in editor.renamed.items()},
            dropped=tuple(name for editor in chosen.editors for name in editor.dropped),
            cut=sum(editor.cut for editor in chosen.editors),
            refused=refused,
            missing=note.missing,
            notes=shortcomings(self._destination.backend, self._destination.lane, marks),
            error=None if done else ledger.last_error or "delivery stopped",
            link=ledger.link,
            folder=str(folder.path),
        )

    def _compare(self, chosen: Selected, there: StoredRun, entry: CopiedRun) -> CopiedRun:
        """Decide about a run that the destination holds, though no account says that it was copied."""
        difference = self._difference(chosen, there)
        if difference is None:
            return msgspec.structs.replace(
                self._expected_entry(chosen),
                state="already there",
                points=sum(metric.points for metric in there.metrics.values()),
                artifacts=len(there.artifacts),
            )
        raise ConfigError(
            f"{self._destination} holds another run with the id {chosen.run_id!r} ({difference}): it was left as it is"
        )

    def _difference(self, chosen: Selected, there: StoredRun) -> str | None:
        """Return the first thing in which a run of the destination differs from what would be copied; None if none."""
        if chosen.is_changed:
            return difference_of(chosen.records(), there.records())
        [run] = chosen.runs
        found = compare_runs(run, there, Allowances.of(self._destination.backend))
        return next((str(one) for one in found if not one.allowed), None)

    def _show_progress(self, name: str, delivered: float | None, points: int) -> None:
        self._show(CopyProgress(self._number, self._count, name, delivered, points))


def _state(state: str) -> str:
    return "went on" if state == "failed" else state


def _journal_bytes(folder: RunFolder) -> int:
    with contextlib.suppress(OSError):
        return sum(path.stat().st_size for path in folder.spool.glob("*.journal"))
    return 0


def _delivered_part(lane: Lane, total: int) -> float:
    """Return which part of the journal the backend's SDK has taken, from 0 to 1."""
    done = sum(place.segment * SEGMENT_BYTES + place.offset for place in lane.ledger.accepted.values())
    return min(1.0, done / total) if total else 1.0
