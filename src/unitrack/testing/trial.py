"""One run in one sink, fed by a real lane from a real journal, that can be interrupted anywhere."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from unitrack.delivery.lane import Lane
from unitrack.delivery.ledger import Ledger
from unitrack.delivery.progress import Progress
from unitrack.hookspecs import Backend, Link
from unitrack.journal import JournalWriter
from unitrack.manifest import LaneSpec, Manifest, SinkEntry
from unitrack.owner import Owner
from unitrack.plugins import convert_options
from unitrack.records import Artifact, ArtifactType, Metrics, Params, Record, RunEnd, RunStart, RunStatus, Tags
from unitrack.runfolder import RunFolder
from unitrack.testing.contents import Contents

FIRST_TIME = 1_700_000_000_000
"""ms. The records of a trial are a millisecond apart from here on."""


class Trial:
    """Log, `deliver`, `crash`, `end`; `logged` is what must be in the backend then.

    The journal is never deleted, so what was delivered can be delivered again. Errors of the sink are raised as
    `AssertionError`, unless `deliver` is told to try again.
    """

    def __init__(self, folder: Path, backend: Backend, options: Mapping[str, Any], **identity: Any) -> None:
        """A run in `folder`, new; `identity` goes to `RunStart`."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = RunFolder(folder.resolve())
        self.folder.prepare()
        self.spec = LaneSpec.of("sink", backend, convert_options(backend, options, "sink"))
        self.logged = Contents()
        self._clock = itertools.count(FIRST_TIME)
        self._copies = itertools.count(1)
        identity = {"run_id": "trial", "name": "a trial", "project": "tests", **identity}
        self.start = RunStart(seq=0, time=next(self._clock), **identity)
        self._rewinds = backend.rewinds
        self._before: dict[str, int] = {}
        self._stays: dict[str, int] = {}
        self._lane: Lane | None = None
        self._commits: list[bytes | None] = [None]
        self._begin_journal()
        self.logged.add(self.start)

    def _begin_journal(self) -> None:
        self._journal = JournalWriter(self.folder.spool)
        held = SinkEntry(name="held", backend="held")  # never complete, so the spool stays
        owner = Owner.current(self._journal.writer)
        self.folder.write_manifest(Manifest(run=self.start, owner=owner, sinks=(self.spec.entry, held)))
        self._append(self.start)

    # -- logging ------------------------------------------------------------------------------------------------------

    def log(self, *records: Record, each_ms: bool = True) -> None:
        """Append records to the journal, numbered and timed anew; `each_ms=False`: all of one millisecond."""
        time = next(self._clock)
        for number, record in enumerate(records):
            if each_ms and number:
                time = next(self._clock)
            stamped = msgspec.structs.replace(record, time=time)
            self._append(stamped)
            if isinstance(stamped, Metrics):
                self._add_to_curves(stamped)
            else:
                self.logged.add(stamped)  # type: ignore[arg-type]  # every record is one of AnyRecord

    def _add_to_curves(self, record: Metrics) -> None:
        """After a resume behind the log the new points hold or, if the backend can't withdraw the old ones, those."""
        for name in record.values():
            if record.step <= (top := self._before.pop(name, -1)):
                if self._rewinds or not self.commits:
                    self.logged.withdraw(name, record.step)
                else:
                    self._stays[name] = top
        kept = {name: value for name, value in record.values().items() if record.step > self._stays.get(name, -1)}
        self.logged.add(record.with_values(kept))

    def _append(self, record: Record) -> None:
        self._journal.copy(record)

    def params(self, params: Mapping[str, Any]) -> None:
        """Log params."""
        self.log(Params(seq=0, time=0, params=dict(params)))

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Log points, those that are not finite included."""
        self.log(Metrics(seq=0, time=0, step=step, metrics={}).with_values(values))

    def tags(self, tags: Mapping[str, str]) -> None:
        """Log tags."""
        self.log(Tags(seq=0, time=0, tags=dict(tags)))

    def artifact(
        self,
        name: str,
        content: bytes | Mapping[str, bytes],
        type: ArtifactType | None = None,
        step: int | None = None,
    ) -> None:
        """Log a file with this content, or a folder with these files."""
        path = self.folder.files / str(next(self._copies)) / Path(name).name
        files = {path: content} if isinstance(content, bytes) else {path / file: each for file, each in content.items()}
        for file, each in files.items():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(each)
        record = Artifact(
            seq=0,
            time=0,
            name=name,
            file=path.relative_to(self.folder.path).as_posix(),
            type=type or ("file" if isinstance(content, bytes) else "folder"),
            size=sum(map(len, files.values())),
            step=step,
        )
        self.log(record)
        self.logged.put(name, path)

    def end(self, status: RunStatus = "finished") -> None:
        """End the run and deliver all of it."""
        self.log_end(status)
        self.deliver()

    def log_end(self, status: RunStatus = "finished") -> None:
        """End the run in the journal only."""
        self.log(RunEnd(seq=0, time=0, status=status))
        self._journal.close()

    def resume(self) -> None:
        """Take the run up again, as another process does: it may log more and end again. A metric whose first step
        then is not above its last one goes back there.
        """
        self.crash()
        self._journal.close()
        self._begin_journal()
        self.logged.status = "running"
        points = self.logged.points.items()
        self._before = {name: max(step for step, _ in of_metric) for name, of_metric in points if of_metric}
        self._stays = {}

    # -- delivering ---------------------------------------------------------------------------------------------------

    @property
    def ledger(self) -> Ledger:
        """The ledger on disk."""
        return Ledger.load(self.folder.ledger_file("sink"))

    @property
    def link(self) -> Link:
        """Where the sink says that the run lies."""
        link = self.ledger.link
        assert link is not None, "open_run must say where the run lies"
        return link

    def step(self) -> Progress:
        """One step of the lane: deliver a batch, commit it, or end the run."""
        if self._lane is None:
            self._lane = Lane(self.folder, self.spec, owner_is_here=True)
            assert self._lane.acquire()
        progress = self._lane.step()
        self._note_commit()
        return progress

    def deliver(self, tries: int = 0) -> Progress:
        """Deliver all there is. A sink that fails is tried again at once, `tries` times."""
        while True:
            progress = self.step()
            if progress is Progress.WAITING:
                assert self._lane is not None
                if not self._lane.tries_again_in_place():
                    tries -= 1
                    assert tries >= 0, f"the sink fails: {self.ledger.last_error}"
                self.retry_now()
            elif progress is not Progress.MADE:
                return progress

    def retry_now(self) -> None:
        """Somebody mended the backend: the back-off is over."""
        if self._lane is not None:
            self._lane.retry_now()

    def crash(self, commits: int = 0) -> None:
        """The courier is gone, and with it what it had not committed; also the last `commits` commits, if asked for.

        A sink whose flush was not followed by a commit sees the one before; its first `open_run` had None.
        """
        if self._lane is not None:
            self._lane.release()
            self._lane = None
        if commits:
            del self._commits[max(1, len(self._commits) - commits) :]
            self._restore(self._commits[-1])

    @property
    def commits(self) -> int:
        """How many commits there were."""
        return len(self._commits) - 1

    def _note_commit(self) -> None:
        file = self.folder.ledger_file("sink")
        content = file.read_bytes() if file.exists() else None
        if content is None:
            return
        now, last = Ledger.load(file), self._commits[-1]
        before = Ledger() if last is None else msgspec.json.decode(last, type=Ledger)
        if (now.positions, now.ended_writer) != (before.positions, before.ended_writer):
            self._commits.append(content)

    def _restore(self, content: bytes | None) -> None:
        file = self.folder.ledger_file("sink")
        if content is None:
            file.unlink(missing_ok=True)
        else:
            file.write_bytes(content)

    def close(self) -> None:
        """Let go of the sink and the journal."""
        self.crash()
        self._journal.close()
