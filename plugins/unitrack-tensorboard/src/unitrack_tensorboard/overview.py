"""The run as a whole, in an event file of its own that is replaced whenever it changes.

Readers keep the first hyperparameters that they meet in a run, so those that are logged later could never be seen if
they were appended. The file also holds the records themselves, from which a sink takes the run up after a restart:
merging a record a second time changes nothing, so there is nothing to roll back.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import msgspec
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary

from unitrack.hookspecs import decode
from unitrack.records import Params, RunEnd, RunStart, Tags, flatten, merge
from unitrack_tensorboard import layout, markdown, summaries
from unitrack_tensorboard.event_file import file_header
from unitrack_tensorboard.frame_reader import payloads
from unitrack_tensorboard.names import RECORDS, UNITRACK
from unitrack_tensorboard.options import ChartLayout
from unitrack_tensorboard.tfrecord import frame

_TRIES = 5
"""To read an overview that its run replaces at the same time."""


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a run apart from its points and artifacts."""

    id: str
    """What `Link.id` says."""
    start: RunStart
    params: Params | None = None
    """All that were logged, merged."""
    tags: Tags | None = None
    """All that were set after the start, merged."""
    end: RunEnd | None = None
    layout: ChartLayout = {}
    """Of the Custom Scalars dashboard, as the options say."""

    def with_params(self, records: Iterable[Params]) -> Self:
        """A later value of a param replaces an earlier one."""
        merged = self.params
        for record in records:
            known = merged.params if merged else {}
            merged = msgspec.structs.replace(record, params=merge(known, record.params))
        return msgspec.structs.replace(self, params=merged)

    def with_tags(self, records: Iterable[Tags]) -> Self:
        """A later value of a tag replaces an earlier one."""
        merged = self.tags
        for record in records:
            merged = msgspec.structs.replace(record, tags={**(merged.tags if merged else {}), **record.tags})
        return msgspec.structs.replace(self, tags=merged)

    def with_end(self, end: RunEnd) -> Self:
        """The run ended, perhaps once more."""
        return msgspec.structs.replace(self, end=end)

    def save(self, root: Path) -> None:
        """Write it under a new name, then remove what it replaces. A reader that runs notices a new file, but not one
        that changed under its old name. Raises `OSError`.
        """
        older = layout.overviews(root)
        path = layout.overview_path(root, older[-1][0] + 1 if older else 0)
        root.mkdir(parents=True, exist_ok=True)
        unfinished = root / ".unitrack-run.partial"
        try:
            with unfinished.open("wb") as file:
                file.write(file_header(self.start.time / 1000) + frame(self._event().SerializeToString()))
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(path)
        except OSError:
            with contextlib.suppress(OSError):
                unfinished.unlink(missing_ok=True)
            raise
        for _, replaced in older:
            replaced.unlink(missing_ok=True)

    @classmethod
    def load(cls, root: Path) -> Self | None:
        """The overview of the run in `root`; None if unitrack wrote none there."""
        for _ in range(_TRIES):
            try:
                return cls._load(root)
            except FileNotFoundError:  # `save` replaced it since the folder was listed
                continue
        return cls._load(root)

    @classmethod
    def _load(cls, root: Path) -> Self | None:
        for _, path in reversed(layout.overviews(root)):
            for payload in payloads(path):
                for value in Event.FromString(payload).summary.value:
                    if value.tag == RECORDS and value.tensor.string_val:
                        with contextlib.suppress(msgspec.DecodeError):  # not what we wrote
                            return decode(value.tensor.string_val[0], cls)
        return None

    def _event(self) -> Event:
        event = Event(wall_time=self.start.time / 1000, step=0)
        summary: Summary = event.summary
        summaries.add_text(summary, f"{UNITRACK}run", self._markdown())
        if self.params and self.params.params:
            shown = markdown.table(("param", "value"), flatten(self.params.params).items())
            summaries.add_text(summary, f"{UNITRACK}params", shown)
            summaries.add_session_start(summary, self.params.params, self.start.time / 1000)
        if self.end:
            summaries.add_session_end(summary, self.end.status, self.end.time / 1000)
        if self.layout:
            summaries.add_layout(summary, self.layout)
        summaries.add_own(summary, RECORDS, msgspec.json.encode(self))
        return event

    def _markdown(self) -> str:
        start = self.start
        facts = {"name": start.name, "project": start.project, "run id": start.run_id, "started": _clock(start.time)}
        facts["status"] = self.end.status if self.end else "running"
        if self.end:
            facts["ended"] = _clock(self.end.time)
        paragraphs = [markdown.table(("run", ""), facts.items())]
        if start.description:
            paragraphs.append(start.description)
        if tags := {**start.tags, **(self.tags.tags if self.tags else {})}:
            paragraphs.append(markdown.table(("tag", "value"), tags.items()))
        return "\n\n".join(paragraphs)


def _clock(time: int) -> str:
    return datetime.fromtimestamp(time / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
