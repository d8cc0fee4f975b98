"""Calling one sink by hand, without a journal: for tests of a sink's own code."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from unitrack.delivery.lane.sink_handle import SinkHandle
from unitrack.hookspecs import Checkpoint, Link, RunContext
from unitrack.records import AnyRecord, Artifact, ArtifactType, Metrics, Params, RunStart, RunStatus, Tags


class SinkDriver:
    """One sink of one run. Calls its hooks in the calling thread, as a lane does, and raises what they raise.

    `open` comes first, then `params`, `metrics`, `tags` and `artifact` with `flush` in between, then `end`::

        driver = SinkDriver(MySink(MyOptions()), SinkDriver.make_run(tmp_path))
        driver.open()
        driver.metrics({"loss": 0.5}, step=1)
        driver.end()

    A courier that restarts is a second driver with the same `run` and the `checkpoint` of the first one. A crash is a
    second driver with an older checkpoint: `deliver` the records that came after it again.
    """

    def __init__(self, sink: object, run: RunContext, checkpoint: Checkpoint | None = None) -> None:
        self.run = run
        self.checkpoint = checkpoint
        self._seq = itertools.count(1)
        self._sink = SinkHandle(sink)
        self.link: Link
        """Where the run lies, as `open_run` returned it."""

    @staticmethod
    def make_run(folder: Path, run_id: str = "run0001", name: str = "a run", **identity: Any) -> RunContext:
        """Make a run with the run folder `folder`. `identity` are fields of `RunStart`: project, tags, description."""
        identity.setdefault("project", "tests")
        start = RunStart(seq=0, time=now_ms(), run_id=run_id, name=name, **identity)
        folder.mkdir(parents=True, exist_ok=True)
        return RunContext(start=start, folder=folder.resolve(), sink_name="sink")

    def open(self) -> Link:
        """Call `open_run`, and return the link."""
        link = self._sink.open_run(self.run, self.checkpoint)
        assert link is not None, "open_run must say where the run lies"
        self.link = link
        return link

    @property
    def hooks(self) -> Any:
        """The hooks themselves. `hooks.log_metrics(metrics=batch)` gives the sink the list `batch`, not a copy."""
        return self._sink.hooks()

    def deliver(self, records: Sequence[AnyRecord]) -> None:
        """Deliver records of one kind in one call. The same records may be delivered again."""
        self._sink.deliver(list(records))

    def params(self, params: Mapping[str, Any]) -> None:
        """Deliver one params record."""
        self._sink.deliver([Params(seq=next(self._seq), time=now_ms(), params=dict(params))])

    def metrics(self, values: Mapping[str, float], step: int, *, time: int | None = None) -> Metrics:
        """Deliver one metrics record, and return it. `time` is in milliseconds since the epoch; default: now."""
        record = Metrics(seq=next(self._seq), time=time or now_ms(), step=step, metrics={}).with_values(values)
        self.batch([record])
        return record

    def batch(self, records: list[Metrics]) -> None:
        """Deliver metrics records in one call."""
        self.deliver(records)

    def tags(self, tags: Mapping[str, str]) -> None:
        """Deliver one tags record."""
        self._sink.deliver([Tags(seq=next(self._seq), time=now_ms(), tags=dict(tags))])

    def artifact(
        self,
        name: str,
        content: bytes,
        type: ArtifactType = "file",
        step: int | None = None,
        annotations: dict[str, Any] | None = None,
    ) -> Artifact:
        """Deliver one file with this content as an artifact, and return its record."""
        seq = next(self._seq)
        path = self.run.folder / ".spool" / "files" / str(seq) / Path(name).name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        record = Artifact(
            seq=seq,
            time=now_ms(),
            name=name,
            file=path.relative_to(self.run.folder).as_posix(),
            type=type,
            size=len(content),
            step=step,
            annotations=annotations or {},
        )
        self._sink.deliver([record])
        return record

    def flush(self) -> Checkpoint | None:
        """Call `flush`, and keep the checkpoint that it returns, if it returns one, as committed."""
        checkpoint = self._sink.flush()
        if checkpoint is not None:
            self.checkpoint = checkpoint
        return checkpoint

    def end(self, status: RunStatus = "finished") -> None:
        """Call `end_run`, `flush` and `close`."""
        self.end_run(status)
        self.flush()
        self.close()

    def end_run(self, status: RunStatus = "finished") -> None:
        """Call `end_run` alone."""
        self._sink.end_run(status, now_ms())

    def close(self) -> None:
        """Call `close`, as when the courier stops before the run has ended."""
        self._sink.close()


def now_ms() -> int:
    """Return the time in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000
