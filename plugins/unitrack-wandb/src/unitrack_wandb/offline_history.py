"""The rows of an offline run, which may lie in several folders, as points: in records or in columns."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from unitrack.hookspecs import Columns, columns_of
from unitrack.records import Artifact, ArtifactType, Metrics
from unitrack_wandb import foreign_histograms
from unitrack_wandb.foreign_media import media_columns, media_files
from unitrack_wandb.offline_run import OfflineRun
from unitrack_wandb.translation import metrics_of, run_start, step_of, summary_points, time_of


class Media(NamedTuple):
    """A run file that a row shows."""

    name: str
    type: ArtifactType
    step: int
    time: int


class History:
    """One pass over the rows; what it finds beside the points is there once `metrics` has ended."""

    def __init__(self, parts: list[OfflineRun]) -> None:
        self._parts = parts
        self.time = run_start(parts[-1].header).time
        """Of the last row, in milliseconds since the epoch; of the run's start if it has none."""
        self.media: dict[Path, list[Media | Artifact]] = {}
        """Media in rows that unitrack did not write, by folder; a histogram is an artifact without a file."""

    def metrics(self) -> Iterator[Metrics]:
        """Yield the points of each row, then those that were set in the summary by hand, at the highest step."""
        step, logged = 0, set[str]()
        started = self.time
        for part in self._parts:
            ours = part.header.record is not None
            for number, row in enumerate(part.rows()):
                self.time = time_of(row, started)
                record = metrics_of(row, ours=ours, time=started)
                if record is not None:
                    logged |= record.metrics.keys() | record.special.keys()
                    step = max(step, record.step)
                    yield record
                if not ours and media_columns(row):
                    self._note_media(part, number, row)
        by_hand: dict[str, float] = {}
        for part in self._parts:
            if part.header.record is None:
                by_hand |= summary_points(part.header.summary, logged)
        if by_hand:
            yield Metrics(seq=0, time=self.time, step=step, metrics={}).with_values(by_hand)

    def columns(self, metrics: Collection[str] | None) -> Mapping[str, Columns]:
        """Return every point of these metrics, or of all, by metric."""
        found = columns_of(self.metrics())
        return found if metrics is None else {name: found[name] for name in found if name in metrics}

    def _note_media(self, part: OfflineRun, number: int, row: Mapping[str, str]) -> None:
        step, time = step_of(row, ours=False), time_of(row, self.time)
        found = self.media.setdefault(part.folder, [])
        found += foreign_histograms.artifacts(part, number, row, step=step, time=time)
        found += [Media(name, type_, step, time) for name, type_ in media_files(row)]
