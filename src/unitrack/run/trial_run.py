"""The run of a sweep's trial, seen from inside the trial's program: its first `start_run` is that run.

The agent of the sweep owns the run and delivers it. Further runs of the program, and one with backends that the trial's
run does not have, are runs of their own, with the trial's as their parent.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from unitrack.config import Resolved
from unitrack.errors import JournalError, UnitrackError, warn_caller
from unitrack.run.plan import Plan
from unitrack.run.run import Run, rejoin
from unitrack.runfolder.manifest import Manifest
from unitrack.runfolder.run_folder import RunFolder
from unitrack.system.atomic import write_atomically
from unitrack.system.files import read_regular
from unitrack.values.redaction import redact_text

VARIABLE = "UNITRACK_TRIAL_RUN"
"""The run folder of the trial, absolute; set for its program."""
NAME_TAG, DESCRIPTION_TAG = "trial.name", "trial.description"
"""The tags with the name and the description that the program gives its run: backends know the run by the sweep's."""


class TrialFiles:
    """The files by which an agent and the program of a trial know of each other, in the run folder."""

    def __init__(self, folder: RunFolder) -> None:
        self.params = folder.state / "trial.params.json"
        """The params of the trial, as JSON."""
        self._taken = folder.state / "trial.taken"

    def offer(self, params: Mapping[str, Any]) -> None:
        """Write the params. The first process that calls `take` from now on gets the run."""
        self._taken.unlink(missing_ok=True)
        write_atomically(self.params, msgspec.json.encode(params))

    def take(self) -> bool:
        """Return whether this process is the first one that takes the run."""
        try:
            os.close(os.open(self._taken, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except OSError:
            return False
        return True

    def read_params(self) -> dict[str, Any]:
        """Return the params; none if they can't be read."""
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            return msgspec.json.decode(read_regular(self.params), type=dict[str, Any])
        return {}


class TrialRun:
    """The trial's run, as one process of the trial's program meets it."""

    def __init__(self, folder: RunFolder, manifest: Manifest) -> None:
        self._folder = folder
        self._manifest = manifest
        self._files = TrialFiles(folder)

    @classmethod
    def around_here(cls, environ: Mapping[str, str]) -> TrialRun | None:
        """Return the run of the trial that this process belongs to; None outside of one, and if the trial has ended."""
        path = environ.get(VARIABLE, "")
        if not path:
            return None
        folder = RunFolder(Path(path))
        try:
            manifest = folder.read_manifest()
        except JournalError as error:
            warn_caller(f"the run of {VARIABLE}={redact_text(path)} is gone, so this is a run of its own: {error}")
            return None
        return cls(folder, manifest) if folder.is_open(manifest.owner) else None

    def take(self, plan: Plan, run_id: str | None) -> Run | None:
        """Return the trial's run for a start that is to log to it; None for one that begins a run of its own.

        `run_id`: the id that the caller gave. Another rank of the same job gets the run as well, with its own prefix.
        """
        if run_id is not None or not self._has(plan):
            return None
        if not plan.is_other_rank and not self._files.take():
            return None
        params = self._files.read_params()
        run = rejoin(self._manifest.run, str(self._folder.path), plan.settings, plan.rank or 0, params)
        experiment = plan.settings.experiment
        named = {NAME_TAG: experiment.name, DESCRIPTION_TAG: experiment.description}
        if tags := experiment.tags | {tag: text for tag, text in named.items() if text}:
            run.set_tags(tags)
        return run

    def _has(self, plan: Plan) -> bool:
        """Return whether the trial's run goes to all backends that a start asks for."""
        return {lane.backend for lane in plan.lanes} <= {sink.backend for sink in self._manifest.sinks}

    def as_parent(self, resolved: Resolved) -> Resolved:
        """Return the configuration of a run of its own: with the trial's run as its parent, if it names none."""
        settings, start = resolved.settings, self._manifest.run
        related = {"parent": start.run_id, "group": start.group}
        experiment = msgspec.structs.replace(
            settings.experiment,
            **{key: value for key, value in related.items() if getattr(settings.experiment, key) is None},
        )
        return msgspec.structs.replace(resolved, settings=msgspec.structs.replace(settings, experiment=experiment))

    def mirror(self, settings: Any) -> Mirror | None:
        """Return a watcher for the first run of its own, which the sweep's metric may be logged to; None for others."""
        if not self._files.take():
            return None
        return Mirror(rejoin(self._manifest.run, str(self._folder.path), settings, 0))


class Mirror:
    """Logs what a run of its own logs to the trial's run as well, where the agent of the sweep reads the metric."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def __call__(self, values: Mapping[str, float], step: int) -> Exception | None:
        """Log the points of one call."""
        with contextlib.suppress(UnitrackError):  # the trial's run has ended, or the disk is full
            self._run.log_metrics(values, step)
        return None
