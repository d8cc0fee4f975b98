"""One run, read back from every backend that it went to."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from unitrack.delivery.lane.dead_letters import read_records
from unitrack.delivery.status import SinkState, read_run_state
from unitrack.errors import UnitrackError
from unitrack.hookspecs import Backend
from unitrack.manager.links import links_of
from unitrack.manager.verification.allowances import Allowances
from unitrack.manager.verification.check import Check
from unitrack.manager.verification.reference import Reference
from unitrack.manager.verification.verification import Verification
from unitrack.plugins.registry import installed
from unitrack.reading import Runs, StoredRun, runs
from unitrack.reading.location import Location
from unitrack.records import Metrics
from unitrack.runfolder.manifest import THINNING, Manifest, SinkEntry
from unitrack.runfolder.run_folder import RunFolder


class _Held(msgspec.Struct, frozen=True):
    """A run as one sink has written it."""

    sink: SinkEntry
    run: StoredRun | None
    problem: str = ""


def verify_backends(folder: RunFolder) -> Verification:
    """Return whether all backends of a run hold the same. Raises `JournalError` for a folder without a manifest.

    The reference is what the local files hold, if there are any, else the first backend that can be read.
    """
    manifest = folder.read_manifest()
    states = {sink.sink: sink for sink in read_run_state(folder).sinks}
    held = list(_held(folder, manifest))
    title = f"{manifest.run.name}  {manifest.run.run_id}"
    chosen = _reference_of(held)
    if chosen is None or chosen.run is None:
        return Verification(title=title, checks=tuple(_unread(one, states) for one in held))
    reference = Reference(chosen.run)
    checks = [_check(folder, one, reference, states[one.sink.name], one is chosen) for one in held]
    return Verification(title=title, checks=tuple(checks))


def _held(folder: RunFolder, manifest: Manifest) -> Iterator[_Held]:
    links = {sink.name: link for sink, link in links_of(folder)}
    for sink in manifest.sinks:
        link = links.get(sink.name)
        if link is None:
            yield _Held(sink, None, "not opened yet")
            continue
        try:
            if _keeps_run_folder(sink):  # in the folder itself, which may have been moved
                local = list(runs(folder.path))
                yield _Held(sink, local[0]) if local else _Held(sink, None, "can't be read: its files are gone")
            else:
                yield _Held(sink, Runs(Location(sink.backend, link.location)).find(link.id))
        except UnitrackError as error:
            yield _Held(sink, None, f"can't be read: {error}")


def _keeps_run_folder(sink: SinkEntry) -> bool:
    backend = installed().backends.get(sink.backend)
    return backend is not None and backend.keeps_run_folder


def _reference_of(held: list[_Held]) -> _Held | None:
    """Return the first run that can be read, one that its sink's options leave whole before all others."""
    readable = [one for one in held if one.run is not None]
    first_local = sorted(readable, key=lambda one: (bool(one.sink.middleware), not _keeps_run_folder(one.sink)))
    return next(iter(first_local), None)


def _unread(held: _Held, states: dict[str, SinkState]) -> Check:
    state = states[held.sink.name]
    return Check(name=held.sink.name, pending=state.pending, problem=held.problem)


def _check(folder: RunFolder, held: _Held, reference: Reference, state: SinkState, is_reference: bool) -> Check:
    if held.run is None:
        return Check(name=held.sink.name, pending=state.pending, problem=held.problem)
    run = held.run
    check = Check(
        name=held.sink.name,
        location=str(run.location),
        run_id=run.id,
        pending=state.pending,
        lost=state.dead_lettered + state.damaged,
        is_reference=is_reference,
    )
    try:
        allowances = _allowances(folder, held.sink, installed().backend(held.sink.backend))
        return reference.described(check) if is_reference else reference.compared(check, run, allowances)
    except UnitrackError as error:
        return msgspec.structs.replace(check, problem=f"can't be read: {error}")


def _allowances(folder: RunFolder, sink: SinkEntry, backend: Backend) -> Allowances:
    known = installed().middleware
    keep_every, changed_by = 1, []
    for one in sink.middleware:
        if one.name in known and known[one.name].wrapper == THINNING:
            keep_every *= one.value
        else:
            changed_by.append(one.name)
    superseded: dict[str, int] = {}
    for record in read_records(folder.superseded_file(sink.name)):
        if isinstance(record, Metrics):
            for name in record.values():
                superseded[name] = min(record.step, superseded.get(name, record.step))
    return msgspec.structs.replace(
        Allowances.of(backend), keep_every=keep_every, changed_by=tuple(changed_by), superseded=superseded
    )
