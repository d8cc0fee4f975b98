"""What `unitrack rerun` tells the runs that it starts: where they go, and of which run they are the rerun."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import msgspec

from unitrack.config import Resolved, SinkSettings
from unitrack.errors import ConfigError
from unitrack.records import RERUN_OF
from unitrack.run.disabled import DisabledRun
from unitrack.run.plan import Resume
from unitrack.run.run import Run
from unitrack.runfolder.manifest import LaneSpec

_ID_LENGTH = 48
"""Characters that stay of an id that the program gives, so that with the token it is not too long for a run id."""


class RerunTerms(msgspec.Struct, frozen=True, kw_only=True):
    """The terms of a rerun, in the variable UNITRACK_RERUN as JSON."""

    of: str
    """The id of the run that is done once more."""
    root: str
    """The folder for the new run, absolute: the program works in a folder that is removed afterwards."""
    sinks: tuple[str, ...]
    """Names of sinks or backends. Those that the program configures keep their options; the others need none."""
    started: str
    """The file that gets the path of each run folder, a line each."""
    token: str
    """Makes the ids that the program gives new ones."""
    project: str = ""
    seed: int | None = None
    """The seed that the configuration gave the first run: set unless the configuration gives one again."""
    code: str = ""
    """The top folder of the code, which is removed afterwards."""
    home: str = ""
    """The folder that stands for it where a sink's options lead into it, such as the user's own work tree."""

    def identity(self, run_id: str | None, resume: Resume | None) -> tuple[str | None, Resume | None]:
        """Return the id and `resume` for a new run, though the program names or resumes one that exists."""
        if run_id is None:
            return None, "never"
        return f"{run_id[:_ID_LENGTH]}-{self.token}", "never" if resume in (None, "never") else "allow"

    def applied(self, resolved: Resolved) -> Resolved:
        """Return the configuration of the program with these terms: they go before what it passes to `start_run`."""
        settings, origins = resolved.settings, dict(resolved.origins)
        experiment = msgspec.structs.replace(
            settings.experiment,
            tags=settings.experiment.tags | {RERUN_OF: self.of},
            project=self.project or settings.experiment.project,
        )
        tracking = msgspec.structs.replace(
            settings.tracking,
            root=self.root,
            backend=None,
            tracking_uri=None,
            artifact_location=None,
            sinks=tuple(_entries(self.sinks, settings.sinks)),
        )
        reproducibility = msgspec.structs.replace(settings.reproducibility, log_environment=True)
        if self.seed is not None and origins["reproducibility.random_seed"] == "default":
            reproducibility = msgspec.structs.replace(reproducibility, random_seed=self.seed)
            origins["reproducibility.random_seed"] = "unitrack rerun"
        changed = msgspec.structs.replace(
            settings, experiment=experiment, tracking=tracking, reproducibility=reproducibility
        )
        return msgspec.structs.replace(resolved, settings=changed, origins=origins)

    def at_home(self, lane: LaneSpec) -> LaneSpec:
        """Return a lane whose files and databases are in the user's folder where its options lead into the code."""
        if not (self.code and self.home):
            return lane
        places = sorted({self.code, os.path.realpath(self.code)}, key=len, reverse=True)
        return msgspec.structs.replace(lane, options=_moved(lane.options, places, self.home))

    def report(self, run: Run) -> None:
        """Add the folder of a run to the list of those that the program has started, unless it records nothing."""
        if isinstance(run, DisabledRun):
            return
        descriptor = os.open(self.started, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, os.fsencode(run.path) + b"\n")
        finally:
            os.close(descriptor)


def read_terms(text: str) -> RerunTerms:
    """Return the terms that the variable holds. Raises `ConfigError` for anything else."""
    try:
        return msgspec.json.decode(text, type=RerunTerms)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise ConfigError(
            f"environment UNITRACK_RERUN is not what `unitrack rerun` sets ({error}): unset it"
        ) from error


def _moved(value: Any, places: Sequence[str], home: str) -> Any:
    if isinstance(value, dict):
        return {key: _moved(one, places, home) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_moved(one, places, home) for one in value]
    if isinstance(value, str):
        for place in places:
            value = value.replace(place, home)
    return value


def _entries(wanted: Sequence[str], configured: Sequence[SinkSettings]) -> list[Any]:
    """Return the entries of `tracking.sinks` for the wanted names: with the options that are configured, or bare."""
    entries: list[Any] = []
    for name in wanted:
        chosen = [sink for sink in configured if name in (sink.name, sink.backend)]
        entries += [{sink.backend: {"name": sink.name, **sink.options}} for sink in chosen] or [name]
    return entries
