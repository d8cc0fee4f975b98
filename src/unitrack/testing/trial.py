"""One run in one sink, fed by a real lane from a real journal, that can be interrupted anywhere."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from unitrack.delivery.lane.lane import Lane
from unitrack.delivery.lane.progress import Progress
from unitrack.delivery.ledger import Ledger
from unitrack.hookspecs import Backend, Link
from unitrack.journal import JournalWriter
from unitrack.plugins.options import convert_options
from unitrack.records import Artifact, ArtifactType, Metrics, Params, Record, RunEnd, RunStart, RunStatus, Tags
from unitrack.runfolder.manifest import LaneSpec, Manifest, SinkEntry
from unitrack.runfolder.run_folder import RunFolder
from unitrack.system.processes import Owner
from unitrack.testing.whole_run import Contents
from unitrack.values.codec import decode

FIRST_TIME = 1_700_000_000_000
"""The time of the first record of a trial, in milliseconds since the epoch; each next one is 1 ms later."""


class Trial:
    """One run with one sink. Log to it, `deliver`, `crash`, `resume` and `end` it; `close` it last.

    `logged` is what the backend must hold after all was delivered. A sink that fails raises `AssertionError` in
    `deliver`, unless that is told to try again. The journal is never deleted, so that after a `crash` that lost commits
    the same records are delivered again::

        trial = Trial(tmp_path, backend, {})
        trial.metrics({"loss": 0.5}, step=0)
        trial.deliver()
        trial.crash(commits=1)  # the batch was flushed, but its commit was lost
        trial.end()
        assert read_back(trial.link) == trial.logged.points
        trial.close()
    """

    def __init__(self, folder: Path, backend: Backend, options: Mapping[str, Any], **identity: Any) -> None:
        """Start a run in the folder `folder`, which is made. `options` are those of the sink.

        `identity` are fields of `RunStart`: run_id, name, project, description, tags.
        """
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
        self._highest: dict[str, int] = {}
        """The highest step of each metric before the last resume, until its first point after it."""
        self._kept_up_to: dict[str, int] = {}
        """The step up to which a metric keeps its old points after a rewind, if the backend can't withdraw them."""
        self._lane: Lane | None = None
        self._wrappers: list[object] = []
        self._commits: list[bytes | None] = [None]
        self._begin_journal()
        self.logged.add(self.start)

    def _begin_journal(self) -> None:
        self._journal = JournalWriter(self.folder.spool)
        held = SinkEntry(name="held", backend="held")  # never complete, so the spool stays
        owner = Owner.current(self._journal.writer)
        self.folder.write_manifest(Manifest(run=self.start, owner=owner, sinks=(self.spec.entry, held)))
        self._journal.copy(self.start)

    # -- logging ------------------------------------------------------------------------------------------------------

    def log(self, *records: Record, each_ms: bool = True) -> None:
        """Log records. They get new numbers and times: 1 ms apart, or all the same with `each_ms=False`."""
        time = next(self._clock)
        for number, record in enumerate(records):
            if each_ms and number:
                time = next(self._clock)
            stamped = msgspec.structs.replace(record, time=time)
            self._journal.copy(stamped)
            if isinstance(stamped, Metrics):
                self._add_to_curves(stamped)
            else:
                self.logged.add(stamped)  # type: ignore[arg-type]  # every record is one of AnyRecord

    def _add_to_curves(self, record: Metrics) -> None:
        """Keep points in `logged`: after a rewind the new ones, or the old ones if the backend can't withdraw them."""
        for name in record.values():
            if record.step <= (highest := self._highest.pop(name, -1)):
                if self._rewinds or not self.commits:
                    self.logged.withdraw(name, record.step)
                else:
                    self._kept_up_to[name] = highest
        new = {name: value for name, value in record.values().items() if record.step > self._kept_up_to.get(name, -1)}
        self.logged.add(record.with_values(new))

    def params(self, params: Mapping[str, Any]) -> None:
        """Log params."""
        self.log(Params(seq=0, time=0, params=dict(params)))

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Log the points of one step. NaN and infinity are allowed."""
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
        annotations: Mapping[str, Any] | None = None,
    ) -> None:
        """Log a file with this content, or a folder with files of these contents by their paths."""
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
            annotations=dict(annotations or {}),
        )
        self.log(record)
        self.logged.put(name, path)

    def end(self, status: RunStatus = "finished") -> None:
        """End the run, and deliver all of it."""
        self.log_end(status)
        self.deliver()

    def log_end(self, status: RunStatus = "finished") -> None:
        """End the run in the journal, and deliver nothing yet."""
        self.log(RunEnd(seq=0, time=0, status=status))
        self._journal.close()

    def resume(self, **changed: Any) -> None:
        """Resume the run as another process does; it may log more then, and end again.

        `changed` are fields of `RunStart` that have new values: name, description.
        A metric whose first new step is not above its last one goes back to that step (`SinkSpec.rewind`).
        """
        self.crash()
        self._journal.close()
        self.start = msgspec.structs.replace(self.start, **changed)
        self._begin_journal()
        self.logged.name, self.logged.description = self.start.name, self.start.description
        self.logged.status = "running"
        points = self.logged.points.items()
        self._highest = {name: max(step for step, _ in of_metric) for name, of_metric in points if of_metric}
        self._kept_up_to = {}

    # -- delivering ---------------------------------------------------------------------------------------------------

    @property
    def ledger(self) -> Ledger:
        """The ledger on disk."""
        return Ledger.load(self.folder.ledger_file("sink"))

    @property
    def link(self) -> Link:
        """Where the run lies, as the sink's `open_run` returned it."""
        link = self.ledger.link
        assert link is not None, "open_run must say where the run lies"
        return link

    def step(self) -> Progress:
        """Let the lane take one step: deliver a batch, commit it, or end the run."""
        if self._lane is None:
            self._lane = Lane(self.folder, self.spec, owner_is_here=True, wrappers=self._wrappers)
            assert self._lane.acquire()
        progress = self._lane.step()
        self._note_commit()
        return progress

    def deliver(self, tries: int = 0) -> Progress:
        """Deliver all that was logged. A sink that fails is tried again at once, up to `tries` times."""
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
        """End the pause after a failure, as when a user has mended the backend."""
        if self._lane is not None:
            self._lane.retry_now()

    def interpose(self, wrapper: object) -> None:
        """Put an object with hook wrappers around the sink, from its next opening on: to fail calls or to watch them.

        The one that was interposed last is the outermost.
        """
        self._wrappers.insert(0, wrapper)

    def crash(self, commits: int = 0) -> None:
        """Lose the courier with everything that it had not committed, and the last `commits` commits as well.

        The next step opens the sink with the checkpoint of the last commit that is left, or with None.
        """
        if self._lane is not None:
            self._lane.release()
            self._lane = None
        if commits:
            del self._commits[max(1, len(self._commits) - commits) :]
            self._restore(self._commits[-1])

    @property
    def commits(self) -> int:
        """The number of commits so far."""
        return len(self._commits) - 1

    def _note_commit(self) -> None:
        file = self.folder.ledger_file("sink")
        content = file.read_bytes() if file.exists() else None
        if content is None:
            return
        now, last = Ledger.load(file), self._commits[-1]
        before = Ledger() if last is None else decode(last, Ledger)
        if (now.positions, now.ended_writer) != (before.positions, before.ended_writer):
            self._commits.append(content)

    def _restore(self, content: bytes | None) -> None:
        file = self.folder.ledger_file("sink")
        if content is None:
            file.unlink(missing_ok=True)
        else:
            file.write_bytes(content)

    def close(self) -> None:
        """Close the sink and the journal."""
        self.crash()
        self._journal.close()
