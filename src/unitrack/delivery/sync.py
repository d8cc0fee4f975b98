"""`unitrack sync`: delivery of what no courier delivers any more, or to a sink that the run did not have."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from unitrack.config import SinkSettings, resolve
from unitrack.config.environment import in_variable, sink_options
from unitrack.config.sinks import DEFAULT_BACKEND
from unitrack.delivery.lane.hand_over import take_over
from unitrack.delivery.lane.lane import Lane
from unitrack.delivery.lane.progress import Progress
from unitrack.delivery.ledger import Ledger
from unitrack.delivery.report import DeliveryReport, read_report
from unitrack.errors import ConfigError
from unitrack.journal import JournalWriter, find_writers
from unitrack.limits import HOPELESS_ATTEMPTS, POLL_MAX_S, POLL_MIN_S
from unitrack.local.source import LocalSource
from unitrack.plugins.options import make_lane
from unitrack.plugins.registry import installed
from unitrack.records import Artifact, RunEnd, RunStart
from unitrack.runfolder.manifest import LaneSpec, Manifest, SinkEntry
from unitrack.runfolder.run_folder import RunFolder
from unitrack.system.files import find_escape
from unitrack.values.redaction import REDACTED, redact

_SHOW_EVERY_S = 0.1


def sync_run(
    folder: RunFolder,
    *,
    timeout: float,
    to: SinkSettings | None = None,
    dead_letters: bool = False,
    assume_dead: bool = False,
    show: Callable[[DeliveryReport], None] = lambda report: None,
) -> DeliveryReport:
    """Deliver what is left of a run to its sinks, or all of it to the sink `to`, for at most `timeout` seconds.

    A sink that another process delivers to is left to it. A run whose process is alive is delivered as far as it is
    written; one whose process died ends as failed. `assume_dead`: a process of which nothing is known has died.
    `dead_letters`: what a sink has refused is tried again. `show` is called about ten times a second. Raises
    `ConfigError` if a sink can't be opened with what is known here.
    """
    if (link := find_escape(folder.path)) is not None:
        raise ConfigError(
            f"{link} is a symbolic link that leads out of the run folder: nothing is delivered from there"
        )
    if to is not None:
        _add_sink(folder, to)
    manifest = folder.read_manifest()
    lanes = [
        Lane(folder, _current(folder, spec), assume_dead=assume_dead)
        for spec in manifest.sinks
        if to is None or spec.name == to.name
    ]
    return deliver(folder, lanes, timeout=timeout, dead_letters=dead_letters, show=lambda: show(read_report(folder)))


def deliver(
    folder: RunFolder,
    lanes: Sequence[Lane],
    *,
    timeout: float,
    dead_letters: bool = False,
    show: Callable[[], None] = lambda: None,
) -> DeliveryReport:
    """Step lanes of a run, each in a thread, until they are done or can't go on; see `sync_run`."""
    deadline = time.monotonic() + timeout
    workers = [threading.Thread(target=_deliver, args=(lane, deadline, dead_letters), daemon=True) for lane in lanes]
    for worker in workers:
        worker.start()
    while (working := [worker for worker in workers if worker.is_alive()]) and time.monotonic() < deadline:
        show()
        working[0].join(_SHOW_EVERY_S)
    return read_report(folder)


def _deliver(lane: Lane, deadline: float, dead_letters: bool) -> None:
    """Step a lane until it is done, has all there is, or can't go on."""
    if not _acquire(lane, deadline):
        return
    if dead_letters:
        lane.try_dead_letters()
    lane.retry_now()
    try:
        rest = POLL_MIN_S
        while time.monotonic() < deadline:
            progress = lane.step()
            ledger = lane.ledger
            if progress is Progress.DONE or (
                progress is Progress.IDLE and (lane.has_ended() or not lane.is_owner_gone())
            ):
                return
            if progress is Progress.WAITING and (ledger.state == "parked" or ledger.attempts >= HOPELESS_ATTEMPTS):
                return
            if progress is not Progress.MADE:
                time.sleep(rest)
            rest = POLL_MIN_S if progress is Progress.MADE else min(rest * 1.5, POLL_MAX_S)
    finally:
        lane.release()


def _acquire(lane: Lane, deadline: float) -> bool:
    """Become the one that delivers; False if another process does, and has all of the run or goes on with it.

    A courier of a run that has ended is asked repeatedly, since it does not look for requests while it is in a call.
    """
    while not lane.acquire() and not take_over(lane, deadline):
        ledger = Ledger.load(lane.folder.ledger_file(lane.spec.name))
        is_done = ledger.ended_writer == lane.manifest.owner.writer
        if is_done or time.monotonic() >= deadline or lane.folder.is_open(lane.manifest.owner):
            return False
        time.sleep(POLL_MAX_S)
    return True


def _current(folder: RunFolder, spec: SinkEntry) -> LaneSpec:
    """The lane as it can be opened here and now.

    The configuration counts, not the manifest, where that leaves out a secret, and where nothing has been delivered:
    then somebody may have mended a wrong address. Once something has, a run stays where it is.
    """
    incomplete = REDACTED in str(spec.options)
    if not incomplete and Ledger.load(folder.ledger_file(spec.name)).checkpoint is not None:
        return _as_declared(spec)
    for sink in resolve(shared_options=installed().shared_options).settings.sinks:
        if sink.name == spec.name and sink.backend == spec.backend and (incomplete or sink.options):
            return _lane(sink)
    names = {in_variable(spec.name), in_variable(spec.backend)}
    if given := {one.option: one.value for one in sink_options(os.environ) if one.sink in names}:
        return _as_declared(msgspec.structs.replace(spec, options=spec.options | given))
    if incomplete:
        raise ConfigError(
            f"the options of sink {spec.name!r} hold a secret, which is not kept with the run: "
            f"configure {spec.name!r} in unitrack.yaml and sync again"
        )
    return _as_declared(spec)


def _as_declared(spec: SinkEntry) -> LaneSpec:
    """The lane with the classes that the installed plugins declare, its options checked anew."""
    options = spec.options | {one.name: one.value for one in spec.middleware}
    return make_lane(spec.name, installed().sink_backend(spec.backend), options)


def _lane(sink: SinkSettings) -> LaneSpec:
    return make_lane(sink.name, installed().sink_backend(sink.backend), sink.options)


def _add_sink(folder: RunFolder, sink: SinkSettings) -> None:
    """Give a run one more sink, which starts at the beginning of the journal."""
    lane = _lane(sink)
    with folder.spool_lock():
        manifest = folder.read_manifest()
        if any(spec.name == sink.name for spec in manifest.sinks):
            return
        writers = find_writers(folder.spool)
        if manifest.owner.writer not in writers:
            _rebuild_journal(folder, manifest)
        elif any(segments[0] != 0 for segments in writers.values()):
            raise ConfigError(
                f"the beginning of run {manifest.run.name!r} is delivered and no longer in its spool: "
                "sync its own sinks first, then add another"
            )
        shown = msgspec.structs.replace(lane.entry, options=redact(lane.options))
        folder.write_manifest(msgspec.structs.replace(manifest, sinks=(*manifest.sinks, shown)))


def _rebuild_journal(folder: RunFolder, manifest: Manifest) -> None:
    """Write the journal of a run again, from its local files: its spool is gone since all its sinks were complete.

    It gets the owner's name, so for the sinks that have confirmed that owner's end there is nothing in it to do. It is
    written aside and then put in its place: one that a crash cut off would be taken for the whole run.
    """
    if DEFAULT_BACKEND not in [spec.backend for spec in manifest.sinks]:
        raise ConfigError(
            f"run {manifest.run.name!r} is complete in {', '.join(spec.name for spec in manifest.sinks)} and has no "
            "local files to deliver from"
        )
    aside = folder.state / "spool.rebuilt"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    journal = JournalWriter(aside, writer=manifest.owner.writer)
    ended = False
    for record in LocalSource(str(folder.path)).records(folder.path.name):
        kept = manifest.run if isinstance(record, RunStart) else record
        if isinstance(kept, Artifact):
            kept = _in_run_folder(kept, folder, aside)
        journal.copy(kept)
        ended = isinstance(record, RunEnd)
    if not ended:
        journal.write(RunEnd, status="failed")
    journal.close()
    try:
        os.rename(aside, folder.spool)
    except OSError as error:
        shutil.rmtree(aside, ignore_errors=True)
        raise ConfigError(
            f"{folder.spool} holds what was logged after run {manifest.run.name!r} had ended: sync its own sinks first"
        ) from error


def _in_run_folder(artifact: Artifact, folder: RunFolder, aside: Path) -> Artifact:
    """Return the artifact with a path relative to the run folder, as in the journals of before: it may be moved.

    One that is stored elsewhere is brought into the new spool, `aside`.
    """
    path = folder.path.absolute()
    if os.path.exists(artifact.file):
        return msgspec.structs.replace(artifact, file=os.path.relpath(artifact.file, path))
    place = aside / "files" / f"rebuilt-{artifact.seq}"
    place.mkdir(parents=True, exist_ok=True)
    brought = LocalSource(str(path)).fetch(path.name, artifact, place)
    return msgspec.structs.replace(artifact, file=os.path.relpath(folder.spool / brought.relative_to(aside), path))
