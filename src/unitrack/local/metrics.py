"""The points of a local run: `metrics.jsonl` holds the curves, `metrics_superseded.jsonl` points no longer on them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from unitrack.local.source import METRICS
from unitrack.records import Metrics
from unitrack.system.files import open_private

METRICS_SUPERSEDED = "metrics_superseded.jsonl"
"""Lines as in `metrics.jsonl`, of points that training logged again after it went back to a checkpoint."""


class LocalMetrics:
    """The two files, appended to. The committed lengths are the checkpoint; opening cuts off what a crash left.

    A rewind writes `metrics.jsonl` anew, as the next generation. The file of the generation before is kept aside until
    the run ends: after a crash before the commit, opening with the committed generation puts it back.
    """

    def __init__(self, folder: Path, aside: Path, committed: Mapping[str, Any]) -> None:
        """Open the files. `aside` is a folder for earlier generations, `committed` what `flush` returned.

        Raises `OSError`.
        """
        self._path, self._superseded, self._aside = folder / METRICS, folder / METRICS_SUPERSEDED, aside
        self._generation = self._committed = int(committed.get("generation", 0))  # an int, since it goes into a path
        if self._before.exists():
            os.replace(self._before, self._path)
        self.remove_earlier_generations()
        if self._superseded.exists():
            with open(self._superseded, "ab", opener=open_private) as superseded:
                superseded.truncate(committed.get("superseded_bytes", 0))
        self._open()
        length = committed.get("metrics_bytes", 0)
        self._file.truncate(length)
        self._file.seek(length)  # appending goes to the end anyway, but `flush` asks where that is

    @property
    def _before(self) -> Path:
        return self._aside / f"metrics.{self._committed}.jsonl"

    def _open(self) -> None:
        self._file = open(self._path, "ab", opener=open_private)  # noqa: SIM115 (closed by close)

    def append(self, records: Iterable[Metrics]) -> None:
        """Append points. Raises `OSError`."""
        self._file.write(b"".join(map(_line, records)))

    def rewind(self, steps: Mapping[str, int]) -> None:
        """Move the points of each metric from its step on to the superseded ones. Raises `OSError`."""
        self._file.close()
        self._aside.mkdir(parents=True, exist_ok=True)
        written = self._aside / "metrics.new.jsonl"
        with self._path.open("rb") as old, written.open("wb") as new, self._superseded.open("ab") as superseded:
            for line in old:
                stays, goes = _split(line, steps)
                new.write(stays)
                superseded.write(goes)
        if self._generation == self._committed:
            os.replace(self._path, self._before)
            self._generation += 1
        os.replace(written, self._path)
        self._open()

    def flush(self) -> dict[str, Any]:
        """Hand everything to the operating system, and return the checkpoint. Raises `OSError`."""
        self._file.flush()
        self._committed = self._generation
        superseded = self._superseded.stat().st_size if self._superseded.exists() else 0
        return {
            "metrics_bytes": self._file.tell(),
            "superseded_bytes": superseded,
            "generation": self._generation,
        }

    def remove_earlier_generations(self) -> None:
        """Remove the files of earlier generations. Raises `OSError`."""
        for file in self._aside.glob("metrics.*.jsonl"):
            file.unlink()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _line(record: Metrics) -> bytes:
    line = {"step": record.step, "metrics": record.values(), "time": record.time, "seq": record.seq}
    if record.special:
        return _dump(line)  # NaN and Infinity, which msgspec does not write
    return msgspec.json.encode(line) + b"\n"


def _split(line: bytes, steps: Mapping[str, int]) -> tuple[bytes, bytes]:
    """Return the part of a line that stays, and the part that is superseded."""
    try:
        entry = json.loads(line)
        step, values = entry["step"], entry["metrics"]
        goes = {name: value for name, value in values.items() if name in steps and step >= steps[name]}
    except (ValueError, KeyError, TypeError, AttributeError):
        return line, b""  # not a line of metrics
    if not goes:
        return line, b""
    stays = {name: value for name, value in values.items() if name not in goes}
    return _dump(entry | {"metrics": stays}) if stays else b"", _dump(entry | {"metrics": goes})


def _dump(entry: dict[str, Any]) -> bytes:
    return json.dumps(entry, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
