"""Taking points out of event files, after a resume behind the log.

TensorBoard can't withdraw the points of one tag: a `SessionLog.START` hides those of all tags in one of its readers. So
the files that hold such points are written anew without them. As they were before, they are kept aside until the run
ends: a crash before the commit puts them back.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
from tensorboard.compat.proto.event_pb2 import Event

from unitrack_tensorboard import layout, summaries
from unitrack_tensorboard.frame_reader import payloads
from unitrack_tensorboard.tfrecord import frame


class _Point(msgspec.Struct, frozen=True):
    folder: int
    step: int
    order: int | None
    """How many points of the tag came before it, for a late one."""


class Aside:
    """Where the files from before lie: a folder for each generation, there once it is whole."""

    def __init__(self, folder: Path, root: Path) -> None:
        self._folder, self._root = folder, root

    def put(self, generation: int) -> None:
        """Keep copies of all event files. Raises `OSError`."""
        whole = self._of(generation)
        part = whole.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        for _, _, file in layout.parts(self._root):
            copy = part / file.relative_to(self._root)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, copy)
        os.replace(part, whole)

    def restore(self, generation: int) -> None:
        """Put back what lay there in `generation`, if that was left since. Raises `OSError`."""
        whole = self._of(generation)
        for copy in sorted(whole.rglob("*")) if whole.is_dir() else ():
            if copy.is_file():
                _replace(self._root / copy.relative_to(whole), copy.read_bytes())
        self.forget()

    def forget(self) -> None:
        """It is needed no longer."""
        for folder in self._folder.glob("before-*"):
            shutil.rmtree(folder)

    def _of(self, generation: int) -> Path:
        return self._folder / f"before-{generation}"


class Withdrawal:
    """Which points go: those of each tag from its step on. Late points that stay are numbered anew."""

    def __init__(self, root: Path, steps: Mapping[str, int]) -> None:
        """Reads the run's files. Raises `OSError`."""
        self._steps = dict(steps)
        self._files = [(number, path) for number, _, path in layout.parts(root)]
        points: dict[str, list[_Point]] = {tag: [] for tag in steps}
        for number, path in self._files:
            for event in _events(path):
                for tag, order in self._of_ours(event):
                    points[tag].append(_Point(number, event.step, order))
        self._orders: dict[str, dict[int, int]] = {}
        self.placed: dict[str, list[int]] = {}
        """`Placement.state` of these tags, afterwards."""
        for tag, of_tag in points.items():
            self._sort_out(tag, of_tag)

    def apply(self) -> None:
        """Write the files anew that change. Raises `OSError`."""
        for _, path in self._files:
            if any(self._changes(event) for event in _events(path)):
                _replace(path, b"".join(frame(payload) for payload in self._kept(path)))

    def _sort_out(self, tag: str, points: list[_Point]) -> None:
        late = {point.order: point for point in points if point.order is not None}
        in_time = (point for point in points if point.order is None)
        stays = 0
        last: dict[int, int] = {}
        orders = self._orders[tag] = {}
        for order in range(len(points)):
            point = late.get(order) or next(in_time, None)
            if point is None or point.step >= self._steps[tag]:
                continue
            orders[order] = stays
            stays += 1
            last[point.folder] = point.step
        if stays:
            self.placed[tag] = [stays, *(last.get(folder, -1) for folder in range(max(last) + 1))]

    def _kept(self, path: Path) -> Iterator[bytes]:
        for payload in payloads(path):
            event = Event.FromString(payload)
            if not self._changes(event):
                yield payload
            elif self._rewrite(event):
                yield event.SerializeToString()

    def _changes(self, event: Event) -> bool:
        return any(
            event.step >= self._steps[tag] or (order is not None and self._orders[tag].get(order) != order)
            for tag, order in self._of_ours(event)
        )

    def _rewrite(self, event: Event) -> bool:
        """Take the points out, in place; whether anything is left."""
        values = list(event.summary.value)
        del event.summary.value[:]
        for value in values:
            if value.tag not in self._steps or not value.HasField("simple_value"):
                event.summary.value.append(value)
            elif event.step < self._steps[value.tag]:
                exact, order = summaries.read_scalar(value)
                new = None if order is None else self._orders[value.tag][order]
                summaries.add_scalar(event.summary, value.tag, exact, new)
        return bool(event.summary.value)

    def _of_ours(self, event: Event) -> Iterator[tuple[str, int | None]]:
        for value in event.summary.value:
            if value.tag in self._steps and value.HasField("simple_value"):
                yield value.tag, summaries.read_scalar(value)[1]


def _events(path: Path) -> Iterator[Event]:
    return (Event.FromString(payload) for payload in payloads(path))


def _replace(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(".withdrawing")
    new.write_bytes(content)
    os.replace(new, path)
