"""What is captured in this process: which SDKs, into which sinks, and the runs that belong to the script's runs."""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from unitrack.capture.captured_run import CapturedRun
from unitrack.capture.report import Report
from unitrack.config import Resolved, resolve
from unitrack.delivery.modes import DeliveryByOwner
from unitrack.delivery.waiting import RunWait, wait_for_runs
from unitrack.errors import ConfigError, RunExistsError, UnitrackError
from unitrack.limits import EXIT_TIMEOUT_S
from unitrack.plugins.registry import installed
from unitrack.run.plan import RUN_ID, Resume
from unitrack.run.run import Run, rejoin
from unitrack.run.start import start_resolved
from unitrack.runfolder.find import find_run
from unitrack.runfolder.run_folder import RunFolder

SDK_TAG = "unitrack.capture.sdk"
RUN_TAG = "unitrack.capture.run"
"""Tags of a captured run: the SDK that was called, and what its own store calls the run."""

_WAITED_FOR = 100
"""A search that a script makes has thousands of runs; looking at one takes a millisecond."""
_DEFAULTS = {"non_finite": "warn", "on_invalid": "keep_rest"}
"""Safeguards of captured runs where the configuration sets no others: what the SDK took must not be refused."""


class Choice(msgspec.Struct, frozen=True):
    """What to capture, and where it goes."""

    sdks: tuple[str, ...]
    replace: tuple[str, ...] = ()
    """Those of them whose own backend gets nothing."""
    sinks: Any = None
    """As `start_run` takes them; None for the configured ones."""


class Session:
    """The captured runs of this process, by SDK and the name of the run in it."""

    def __init__(self) -> None:
        self.choice = Choice(())
        self.report = Report()
        self._failed: set[tuple[str, str]] = set()
        self._runs: dict[tuple[str, str], CapturedRun] = {}
        self._lock = threading.RLock()
        self._has_handler = self._tells = False
        self._is_over = False

    def begin(self, choice: Choice) -> None:
        """Capture as chosen from now on; what was chosen before is added to it."""
        before = self.choice
        sdks = tuple(dict.fromkeys((*before.sdks, *choice.sdks)))
        replace = tuple(dict.fromkeys((*before.replace, *choice.replace)))
        sinks = before.sinks if choice.sinks is None else choice.sinks
        self.choice = Choice(sdks, replace, sinks)
        self._tell_at_exit()

    def _tell_at_exit(self) -> None:
        """Tell after all runs have ended: exit handlers are called in the reverse order."""
        if not self._tells:
            self._tells = True
            atexit.register(self.tell)

    def resolved(self, experiment: Mapping[str, Any] | None = None) -> Resolved:
        """Return the configuration of a captured run. Raises `ConfigError`.

        Each run that the script starts is one of ours, whatever rank it is started in, and couriers deliver it: a sink
        in this process would be captured itself.
        """
        tracking: dict[str, Any] = {"delivery": "process", "rank": 0}
        if self.choice.sinks is not None:
            tracking["sinks"] = self.choice.sinks
        given = {name: value for name, value in (experiment or {}).items() if value}
        call: dict[str, dict[str, Any]] = {"experiment": given, "tracking": tracking}
        found = resolve(call=call, shared_options=installed().shared_options)
        unset = {key: value for key, value in _DEFAULTS.items() if found.origins[f"safeguards.{key}"] == "default"}
        return resolve(call=call | {"safeguards": unset}, shared_options=installed().shared_options) if unset else found

    def open(
        self, sdk: str, key: str, run_id: str | None = None, resume: Resume = "allow", **experiment: Any
    ) -> CapturedRun | None:
        """Return the captured run of a run of an SDK, which is started if there is none; None if that failed.

        `key` is what the SDK calls the run. `run_id`: the id of ours, under which another process may have it open.
        `experiment`: `name`, `project`, `description`, `tags`, `group`, `job_type`, `parent`. Raises the error of the
        start if the SDK is replaced: nobody else would get the data.
        """
        with self._lock:
            found = self._runs.get((sdk, key))
            if found is not None and not found.has_ended:
                return found
            if self._is_over:
                return None
            if (sdk, key) in self._failed:  # each try takes milliseconds, and the script calls often
                self.report.miss(f"{sdk}, of a run that could not start here")
                return None
            self._tell_at_exit()
            tags = {**(experiment.pop("tags", None) or {}), SDK_TAG: sdk, RUN_TAG: key}
            try:
                run, is_owner = self._start(experiment | {"tags": tags}, run_id, resume)
            except UnitrackError as error:
                if sdk in self.choice.replace:
                    raise
                self.report.trouble(f"{sdk}: start of a run", error)
                self._failed.add((sdk, key))
                return None
            captured = CapturedRun(run, sdk, self.report, is_owner=is_owner)
            self._runs[sdk, key] = captured
            if not self._has_handler:  # after the handler of the run itself, so that it is called before that one
                self._has_handler = True
                atexit.register(self.flush)
            return captured

    def _start(self, experiment: Mapping[str, Any], run_id: str | None, resume: Resume) -> tuple[Run, bool]:
        resolved = self.resolved(experiment)
        run_id = run_id if run_id is not None and RUN_ID.fullmatch(run_id) else None
        try:
            return start_resolved(
                resolved, run_id=run_id, resume=resume if run_id or resume == "auto" else "never"
            ), True
        except RunExistsError:
            if resume != "allow":
                raise
            folder = find_run(Path(resolved.settings.tracking.root).absolute(), run_id or "")
            if folder is None:
                raise
        return rejoin(folder.read_manifest().run, str(folder.path), resolved.settings, 0), False

    def find(self, sdk: str, key: str) -> CapturedRun | None:
        """Return the captured run of a run of an SDK, if there is one that is open."""
        found = self._runs.get((sdk, key))
        return found if found is not None and not found.has_ended else None

    def flush(self) -> None:
        """Log what open runs still hold. The runs themselves are ended at exit, as all runs of a process are."""
        self._is_over = True  # SDKs end their runs in handlers of their own, which come later
        for run in self.open_runs():
            run.flush()
            run.describe()

    def wait(self, seconds: float) -> None:
        """Wait until the runs that have ended are delivered, at most so many seconds; sinks that are down don't count.

        Of more runs than `_WAITED_FOR` the last ones are waited for.
        """
        ended = [run for run in self._runs.values() if run.has_ended and run.is_owner][-_WAITED_FOR:]
        if not ended:
            return
        names = [sink.name for sink in self.resolved().settings.sinks]
        folders = [RunFolder(run.run.path) for run in ended]
        waits = [RunWait(folder, names, DeliveryByOwner(folder), "complete", patient=False) for folder in folders]
        wait_for_runs(waits, time.monotonic() + seconds)

    def open_runs(self) -> Sequence[CapturedRun]:
        """Return the runs that have not ended."""
        return [run for run in self._runs.values() if not run.has_ended]

    def tell(self) -> None:
        """Wait for the couriers, as every run of unitrack does at exit, and print the report."""
        with contextlib.suppress(UnitrackError, OSError):
            self.wait(EXIT_TIMEOUT_S)
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(self.report.text())
            sys.stderr.flush()

    def continue_in_child(self) -> None:
        """Go on in a forked child: the runs, and what there is to tell of them, are the parent's."""
        self._lock = threading.RLock()
        self.report.clear()
        for run in self._runs.values():
            run.continue_in_child()

    def reset(self) -> None:
        """End all runs and forget everything, for tests."""
        for run in self.open_runs():
            run.finish()
        atexit.unregister(self.tell)
        atexit.unregister(self.flush)
        self.__init__()  # type: ignore[misc]


session = Session()
"""The session of this process."""
os.register_at_fork(after_in_child=session.continue_in_child)


def check_choice(sdks: Sequence[str], replace: Sequence[str], known: Sequence[str], able: Sequence[str]) -> None:
    """Raise `ConfigError` for an SDK that can't be captured, or replaced."""
    for name in (*sdks, *replace):
        if name not in known:
            raise ConfigError(f"can't capture {name!r}: there is no such SDK here; choose from {', '.join(known)}")
    for name in replace:
        if name not in able:
            raise ConfigError(f"can't replace {name!r}: only {', '.join(able)}; without it, it is captured as well")
