"""`unitrack sync --watch`: deliver what comes, as long as it is wanted, and tell what changed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from unitrack import limits
from unitrack.cli.arguments import choose_runs
from unitrack.delivery.lane.failures import pause
from unitrack.delivery.ledger import Ledger
from unitrack.delivery.status import RunState, read_run_state
from unitrack.delivery.sync import sync_run
from unitrack.delivery.waiting import journal_ends
from unitrack.errors import ConfigError, UnitrackError
from unitrack.system.life import Life
from unitrack.system.processes import process_start

if TYPE_CHECKING:
    from unitrack.config import SinkSettings
    from unitrack.runfolder.run_folder import RunFolder

_LOOK_S = 2.0
"""How often it looks for new runs and new data: of 1,000 complete runs a look takes 30 ms (measured)."""
_PATIENCE_S = 300.0
"""What one run may take before the others have their turn again."""
_FAILURES = 3
"""After as many runs in a row that fail it pauses: the server is away, and each takes seconds to tell."""

Tell = Callable[["RunFolder", "RunState | UnitrackError"], None]


class SyncWatch:
    """Delivers runs as they grow.

    `to`: deliver to this sink only. `tell` is called when the state of a run has changed.
    """

    def __init__(self, arguments: Sequence[str], to: SinkSettings | None, tell: Tell) -> None:
        self._arguments = arguments
        self._to = to
        self._tell = tell
        self._runs: dict[Path, _WatchedRun] = {}

    def go_on(self, deadline: float) -> None:
        """Deliver until `deadline` of the monotonic clock. Raises `ConfigError` for an argument that means nothing."""
        rounds_failed = 0
        while time.monotonic() < deadline:
            rounds_failed = rounds_failed + 1 if self._deliver(deadline) else 0
            rest = pause(rounds_failed) if rounds_failed else _LOOK_S
            time.sleep(max(0.0, min(max(rest, limits.POLL_MAX_S), deadline - time.monotonic())))

    def is_anything_pending(self) -> bool:
        """Return whether a run that was not complete when it was first seen still lacks something."""
        return any(run.is_pending() for run in self._runs.values())

    def _deliver(self, deadline: float) -> bool:
        """Give each run its turn, those that failed last; return whether one failed."""
        failures = 0
        runs = [self._runs.setdefault(folder.path, _WatchedRun(folder, self._to)) for folder in self._find()]
        for run in sorted(runs, key=lambda run: run.failures):
            if failures == _FAILURES or time.monotonic() >= deadline:
                break
            if (change := run.deliver(min(_PATIENCE_S, deadline - time.monotonic()))) is not None:
                self._tell(run.folder, change)
            failures += bool(run.failures)
        return bool(failures)

    def _find(self) -> Iterable[RunFolder]:
        if not self._arguments:
            return [choice.folder for choice in choose_runs([])]
        return [folder for argument in self._arguments for folder in self._mean(argument)]

    def _mean(self, argument: str) -> list[RunFolder]:
        try:
            return [choice.folder for choice in choose_runs([argument])]
        except ConfigError:
            if self._runs or Path(argument).expanduser().is_dir():  # deleted since, or a folder that has no run yet
                return []
            raise


class _WatchedRun:
    def __init__(self, folder: RunFolder, to: SinkSettings | None) -> None:
        self.folder = folder
        self._to = to
        self.failures = 0
        """In a row."""
        self._mark: object = None
        self._told: object = None
        self._was_incomplete = False

    def deliver(self, timeout: float) -> RunState | UnitrackError | None:
        """Deliver what is new; return the state of the run if that has changed."""
        try:
            if not self._was_incomplete and not self._lacks_something():
                return None
            self._was_incomplete = True
            mark = self._make_mark()
            if mark == self._mark and not self.failures:
                return None
            self._mark = mark  # of before: what is logged from now on may not be delivered by this
            sync_run(self.folder, timeout=timeout, to=self._to)
            state = read_run_state(self.folder)
        except UnitrackError as error:
            self.failures += 1
            return self._if_new(str(error), error)
        self.failures = self.failures + 1 if self._is_in_trouble(state) else 0
        if any(sink.pending and sink.delivering_pid is None for sink in state.sinks if self._concerns(sink.sink)):
            self._mark = None  # its time was over
        sinks = tuple((sink.sink, sink.state, bool(sink.pending)) for sink in state.sinks if self._concerns(sink.sink))
        return self._if_new((state.status, sinks), state)

    def is_pending(self) -> bool:
        """Return whether something is still to be delivered."""
        if not self._was_incomplete or self.folder.is_gone():
            return False
        try:
            state = read_run_state(self.folder)
        except UnitrackError:
            return True
        return any(sink.pending for sink in state.sinks if self._concerns(sink.sink))

    def _lacks_something(self) -> bool:
        """Return whether something is still to be delivered; cheap for a complete run, which has no spool."""
        if self.folder.spool.exists():
            return True
        return self._to is not None and self._to.name not in [sink.name for sink in self.folder.read_manifest().sinks]

    def _make_mark(self) -> object:
        """Return a mark that changes when there is something to do: journals, their owner, and who delivers."""
        manifest = self.folder.read_manifest()
        ledgers = [Ledger.load(self.folder.ledger_file(sink.name)) for sink in manifest.sinks]
        at_work = [one.pid != os.getpid() and _is_running(one) for one in ledgers]
        return manifest.owner, self.folder.life_of(manifest.owner) is not Life.GONE, journal_ends(self.folder), at_work

    def _is_in_trouble(self, state: RunState) -> bool:
        """Return whether to try again here: a sink failed, and no other process delivers to it."""
        return any(
            sink.pending and sink.delivering_pid is None and (sink.attempts or sink.state == "parked")
            for sink in state.sinks
            if self._concerns(sink.sink)
        )

    def _concerns(self, sink: str) -> bool:
        return self._to is None or self._to.name == sink

    def _if_new(self, key: object, change: RunState | UnitrackError) -> RunState | UnitrackError | None:
        if key == self._told:
            return None
        self._told = key
        return change


def _is_running(ledger: Ledger) -> bool:
    return ledger.pid is not None and process_start(ledger.pid) == ledger.pid_started
