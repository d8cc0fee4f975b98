"""`unitrack.verify`: of one run in all its backends, or of a copy."""

from __future__ import annotations

import os

from unitrack.manager.choosing import RunLike, choose_folder, choose_run
from unitrack.manager.verification.backends import verify_backends
from unitrack.manager.verification.copies import ids_of, verify_copy, verify_pair
from unitrack.manager.verification.verification import Verification
from unitrack.reading import StoredRun, runs


def verify(run: RunLike, against: RunLike | None = None, *, name: str | None = None) -> Verification:
    """Return whether all backends of a run hold the same, point by point; or whether a copy does.

    `verify("training-v1")` reads a run back from every backend that it went to; `run` is a run folder, its name under
    the root, a run's id, a `Run` or a `StoredRun`. `verify("local:runs", "mlflow:sqlite:///mlflow.db")` compares each
    run of a location with its copy in another one, `name` only the run of that name or id. Either may name a single
    run, as LOCATION#RUN or a `StoredRun`.

    Compared are steps, values bit for bit, times in milliseconds, params with their types, tags, description, status,
    the files of artifacts by SHA-256, and what they were logged with: captions, boxes, versions. What a backend
    declares not to hold is stated in `stated` and is no fault; faults are in `differences`, and make `ok` False, as do
    records that are not delivered yet.

    Raises `ConfigError` or `NotFoundError` if there is no such run, `SourceError` if a location can't be read. A
    backend of a run that can't be read is a row of the result.
    """
    if against is None:
        return verify_backends(choose_folder(run))
    title = f"{_as_text(run)} and its copy in {_as_text(against)}"
    if _is_single(run) and _is_single(against):
        original, copy = choose_run(run), choose_run(against)
        known = not set(ids_of(original)).isdisjoint(ids_of(copy))
        check = verify_pair(original, copy, text_params=not known)
        return Verification(title=title, is_copy=True, checks=(check,))
    copies = runs(against)
    if _is_single(run):
        return verify_copy([choose_run(run)], copies, title=title, all_runs=False)
    originals = runs(run)
    chosen = originals if name is None else [originals.find(name)]
    return verify_copy(chosen, copies, title=title, all_runs=name is None)


def _is_single(run: RunLike) -> bool:
    """Return whether an argument names one run, and not a location."""
    if isinstance(run, StoredRun) or hasattr(run, "path"):  # of a `Run`, which is of another floor
        return True
    return isinstance(run, str) and "#" in run and not os.path.exists(run)


def _as_text(run: RunLike) -> str:
    return f"{run.location}#{run.id}" if isinstance(run, StoredRun) else str(run)
