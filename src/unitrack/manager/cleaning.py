"""Choosing the run folders that may go, and putting them into the trash. What other backends hold of a run stays."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable
from pathlib import Path

import msgspec

from unitrack.delivery.status import read_run_state
from unitrack.errors import ConfigError, JournalError
from unitrack.manager.trash import Trash, size_of
from unitrack.reading import Runs, StoredRun
from unitrack.records import SYSTEM_PREFIX
from unitrack.runfolder.find import is_run_folder
from unitrack.runfolder.run_folder import RunFolder
from unitrack.values.directions import Direction


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What makes a run go: it does if all that is set here is true of it."""

    failed: bool = False
    """It failed or was killed."""
    empty: bool = False
    """It has neither points, but for system metrics, nor artifacts."""
    older_than: float | None = None
    """Seconds since it ended, or since it began if its end is unknown."""
    keep_best: int | None = None
    """It has `metric`, and is not among this many of the best by it."""
    metric: str | None = None
    goal: Direction | None = None
    """Which values are best; None: as `Runs.best` finds it."""

    def check(self, *, has_filter: bool) -> None:
        """Raise `ConfigError` if there is no rule and no filter beside them, or `keep_best` without a metric."""
        has_rule = self.failed or self.empty or self.older_than is not None or self.keep_best is not None
        if not (has_rule or has_filter):
            raise ConfigError("nothing says what may go: give --failed, --empty, --older-than, --keep-best or --filter")
        if (self.keep_best is None) != (self.metric is None):
            raise ConfigError("--keep-best N and --metric NAME go together: the best by which metric?")


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A run folder that fits the rules."""

    run_id: str
    name: str
    folder: str
    """Absolute."""
    status: str
    started: int
    """Milliseconds since the epoch."""
    size: int
    """Bytes on the disk."""
    kept_because: str = ""
    """Why it stays all the same; empty if it may go."""


def choose(runs: Runs, rules: Rules) -> list[Candidate]:
    """Return the local runs that fit the rules, those that must stay all the same included.

    Raises `NotFoundError` if no run has the metric.
    """
    best = _best(runs, rules)
    return [_candidate(run) for run in runs if run.folder is not None and _fits(run, rules, best)]


def put_away(candidates: Iterable[Candidate], root: Path) -> tuple[Path | None, list[Candidate]]:
    """Move the run folders into a batch of the trash; return that, and those that stayed since they are in use by now.

    Raises `OSError`.
    """
    batch: Path | None = None
    stayed = []
    for candidate in candidates:
        path = Path(candidate.folder)
        with _unused(path):
            if why := _why_kept(path):
                stayed.append(msgspec.structs.replace(candidate, kept_because=why))
                continue
            batch = batch or Trash(root).new_batch()
            os.rename(path, batch / path.name)
    return batch, stayed


def _unused(path: Path) -> contextlib.AbstractContextManager[None]:
    """Return a lock that keeps other processes from taking up the run."""
    return RunFolder(path).spool_lock() if is_run_folder(path) else contextlib.nullcontext()


def _best(runs: Runs, rules: Rules) -> frozenset[str]:
    """Return the ids of the runs that `keep_best` keeps: the best, and those whose metric is unknown."""
    if rules.keep_best is None or rules.metric is None or not runs:
        return frozenset()
    ranked = [run.id for run in runs.ranked(rules.metric, rules.goal)]
    return frozenset({run.id for run in runs}.difference(ranked[rules.keep_best :]))


def _fits(run: StoredRun, rules: Rules, best: frozenset[str]) -> bool:
    if rules.failed and run.status not in ("failed", "killed"):
        return False
    if rules.empty and (any(not name.startswith(SYSTEM_PREFIX) for name in run.metrics) or run.artifacts):
        return False
    if rules.older_than is not None and time.time() - (run.ended or run.started) / 1000 < rules.older_than:
        return False
    return run.id not in best


def _candidate(run: StoredRun) -> Candidate:
    assert run.folder is not None
    return Candidate(
        run_id=run.id,
        name=run.name,
        folder=str(run.folder),
        status=run.status,
        started=run.started,
        size=size_of(run.folder),
        kept_because=_why_kept(run.folder) or ("it has not ended" if run.status == "running" else ""),
    )


def _why_kept(path: Path) -> str:
    """Return why a run folder must stay: it is being logged to, or a sink lacks records of it. Empty if it may go."""
    if not is_run_folder(path):
        return ""  # another program's, in the same layout
    try:
        state = read_run_state(RunFolder(path))
    except JournalError as error:
        return f"its state can't be read: {error}"
    if state.status == "running":
        return "it is running"
    pending = [sink.sink for sink in state.sinks if sink.state != "complete"]
    return f"{', '.join(pending)} still lacks records of it: unitrack sync {path.name}" if pending else ""
