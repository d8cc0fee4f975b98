"""The runs of one location, compared with their copies in another one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from functools import cached_property

import msgspec

from unitrack.errors import NotFoundError, UnitrackError
from unitrack.manager.selection import copy_id, origin_of
from unitrack.manager.verification.allowances import Allowances
from unitrack.manager.verification.check import Check
from unitrack.manager.verification.reference import Reference
from unitrack.manager.verification.verification import Verification
from unitrack.plugins.registry import installed
from unitrack.reading import Runs, StoredRun
from unitrack.records import COPIED_FROM


def verify_copy(originals: Iterable[StoredRun], copies: Runs, *, title: str, all_runs: bool) -> Verification:
    """Return whether each run has a copy that holds the same.

    The copy of a run is the one with its id, or with the id that unitrack gave it, in the backend or in unitrack; else
    the one that `copy` has tagged with its origin.
    `all_runs` says that `originals` are all there are, so that further runs among the copies are named.
    """
    finder = _Copies(copies)
    checks, missing, paired = [], [], set()
    for original in originals:
        copy = finder.find(original)
        if copy is None:
            missing.append(f"{original.name} ({original.id})")
        else:
            paired.add(copy.id)
            checks.append(verify_pair(original, copy, text_params=False))
    extra = [f"{run.name} ({run.id})" for run in copies if run.id not in paired] if all_runs else []
    return Verification(title=title, is_copy=True, checks=tuple(checks), missing=tuple(missing), extra=tuple(extra))


def verify_pair(original: StoredRun, copy: StoredRun, *, text_params: bool) -> Check:
    """Return how a copy differs from a run; with `text_params` it may hold params as text."""
    check = Check(name=original.name, location=str(copy.location), run_id=copy.id)
    allowances = Allowances.of(installed().backend(copy.location.backend))
    try:
        return Reference(original).compared(check, copy, msgspec.structs.replace(allowances, text_params=text_params))
    except UnitrackError as error:
        return msgspec.structs.replace(check, problem=f"can't be read: {error}")


class _Copies:
    """The runs of a location by each id that they are known by."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs
        self._by_id = {id_: run for run in runs for id_ in ids_of(run)}

    @cached_property
    def _by_origin(self) -> dict[str, StoredRun]:
        """The copies that tell where they come from. Their summaries are read, so it is asked last."""
        return {origin: run for run in self._runs if (origin := run.tags.get(COPIED_FROM)) is not None}

    def find(self, original: StoredRun) -> StoredRun | None:
        """Return the copy of a run, or None."""
        ids = [*ids_of(original), copy_id(original)]
        for id_ in ids:
            if id_ in self._by_id:
                return self._by_id[id_]
        for id_ in ids:  # a source may know a run by more ids than it lists
            with contextlib.suppress(NotFoundError):
                return self._runs.find(id_)
        return self._by_origin.get(origin_of(original))


def ids_of(run: StoredRun) -> Iterator[str]:
    """Yield the ids of a run: the one that unitrack gave it, and the one in the backend."""
    if run.unitrack_id:
        yield run.unitrack_id
    yield run.id
