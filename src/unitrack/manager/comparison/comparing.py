"""`unitrack.compare`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from unitrack.errors import ConfigError
from unitrack.manager.choosing import RunLike, choose_run
from unitrack.manager.comparison.comparison import Comparison
from unitrack.names import nearest
from unitrack.reading import StoredRun
from unitrack.validation.messages import brief


def compare(
    *runs: RunLike,
    baseline: RunLike | None = None,
    goals: Mapping[str, str] | None = None,
    location: str | os.PathLike[str] | None = None,
) -> Comparison:
    """Return runs beside each other: params and metrics, environment and tags, what differs first.

    Each of `runs` is a `StoredRun`, a run folder, its name under the root, a run's id, a `Run`, or LOCATION#RUN such as
    "mlflow:sqlite:///mlflow.db#training-v1"; names and ids are looked up in `location`, if given. Other runs are
    compared with `baseline`, by default the first. `goals` says which metrics are better low or high, by name or glob:
    `{"val/*": "max"}`; the others go by their names.

    Raises `ConfigError` or `NotFoundError` for what is no run, `SourceError` if one can't be read.
    """
    if not runs:
        raise ConfigError("there is nothing to compare: give at least two runs, as in `compare('a', 'b')`")
    found = [choose_run(run, location) for run in runs]
    if baseline is None:
        return Comparison(found, 0, goals or {})
    number = _position(baseline, runs, found)
    return Comparison(found, number, goals or {})


def _position(baseline: RunLike, given: Sequence[RunLike], runs: Sequence[StoredRun]) -> int:
    """Return the index of the baseline among the runs: as it was given, or by id or name. Raises `ConfigError`."""
    for number, run in enumerate(runs):
        if given[number] is baseline or given[number] == baseline or baseline in (run.id, run.unitrack_id):
            return number
    named = [number for number, run in enumerate(runs) if run.name == baseline]
    if len(named) == 1:
        return named[0]
    if named:
        raise ConfigError(f"the baseline {baseline!r} is the name of {len(named)} of the runs: give its id")
    names = [run.name for run in runs]
    close = nearest(baseline, names) if isinstance(baseline, str) else None
    hint = f"did you mean {close!r}?" if close else f"they are {', '.join(names)}"
    raise ConfigError(f"the baseline {brief(baseline)} is none of the runs that are compared: {hint}")
