"""The run that came before another one of its kind."""

from __future__ import annotations

import re
from collections.abc import Iterable

from unitrack.reading import StoredRun
from unitrack.values.run_names import is_made_up

_NUMBER = re.compile(r"([-_. ]?(v|run|trial)?[-_. ]?\d+)+$", re.IGNORECASE)
"""A number, a version or a date at the end of a name: `training-v1`, `sweep_007`, `run_20261126_101500`."""


def run_before(run: StoredRun, among: Iterable[StoredRun]) -> StoredRun | None:
    """Return the latest run that started before `run`, in its project and with its name but for a number at the end.

    Names that unitrack made up count as one name. None if there is none.
    """
    kind = _kind(run.name)
    earlier = (
        one
        for one in among
        if one.id != run.id and one.started <= run.started and one.project == run.project and _kind(one.name) == kind
    )
    return max(earlier, key=lambda one: one.started, default=None)


def _kind(name: str) -> str:
    kind = _NUMBER.sub("", name)
    return "" if is_made_up(kind) else kind
