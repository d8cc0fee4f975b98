"""How a run that goes on shows itself in a notebook: its state, its links, and the newest points of its metrics."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from unitrack.delivery.ledger import Ledger
from unitrack.errors import UnitrackError
from unitrack.journal.backwards import newest_points
from unitrack.limits import MIB
from unitrack.run.links import links_of
from unitrack.run.parts import Parts
from unitrack.terminal.notebook import html_table
from unitrack.terminal.sparklines import sparkline

_READ_BYTES = MIB // 2
"""Of each journal: some thousand points of a metric, read in some 10 ms."""
_MAX_METRICS = 12

Points = list[tuple[int, float]]


def html_of(parts: Parts) -> str:
    """Return the run as a table. It reads the journal, and writes nothing."""
    start = parts.recorder.start
    rows: list[tuple[str, object]] = [
        ("id", start.run_id),
        ("project", start.project),
        ("folder", parts.recorder.folder.path),
        *_sinks(parts),
        *_metrics(parts),
    ]
    return html_table(f"run {start.name}: {parts.ending.status}", ("", ""), rows)


def _sinks(parts: Parts) -> Iterator[tuple[str, object]]:
    folder, sinks = parts.recorder.folder, parts.settings.sinks
    links = links_of(folder, sinks)
    for sink in sinks:
        ledger = Ledger.load(folder.ledger_file(sink.name))
        if ledger.state in ("retrying", "parked"):
            yield sink.name, f"{ledger.state}: {ledger.last_error}"
        elif sink.name in links:
            yield sink.name, links[sink.name].url or links[sink.name].location


def _metrics(parts: Parts) -> Iterator[tuple[str, object]]:
    """The curves of the metrics that were logged last."""
    found = newest_points(parts.recorder.folder.spool, _READ_BYTES) or _delivered(parts)
    for name, points in list(found.items())[:_MAX_METRICS]:
        step, value = points[-1]
        yield name, f"{sparkline([value for _, value in points])} {value:.6g} at step {step}"
    if len(found) > _MAX_METRICS:
        yield "", f"and {len(found) - _MAX_METRICS} more metrics"


def _delivered(parts: Parts) -> dict[str, Points]:
    """The points in the run's own folder, once the run has ended and its journal is gone."""
    if parts.ending.report is None:
        return {}
    from unitrack.reading import runs  # noqa: PLC0415  # costs 30 ms, for a run that has ended

    with contextlib.suppress(UnitrackError):  # it has no local files
        for stored in runs(parts.recorder.folder.path):
            histories = {name: stored.history(name) for name in list(stored.summary)[: _MAX_METRICS + 1]}
            return {name: list(zip(one.steps, one.values, strict=True)) for name, one in histories.items()}
    return {}
