"""Opening and finishing one run of the SDK, bounded in time and quiet."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unitrack.errors import SinkMisconfiguredError, SinkUnavailableError
from unitrack.hookspecs import RunContext
from unitrack.records import MetricDefinition, metric_definitions
from unitrack_wandb import account
from unitrack_wandb.errors import sink_error
from unitrack_wandb.names import RECORD, STEP, flat_tags, metric_key, wandb_project
from unitrack_wandb.options import WandbOptions
from unitrack_wandb.sdk import MailboxClosedError, silenced, wandb

_live: set[str] = set()
"""Ids that a sink of this process has open: wandb-core takes each id once at a time."""
_live_lock = threading.Lock()
_core_lock = threading.Lock()
_RELEASE_S = 5.0
"""How long to wait for wandb-core to free the id of a run that ended; it takes milliseconds (0.31, measured)."""
_SUMMARIES = {"last": "last", "min": "min", "max": "max", "mean": "mean"}
"""What W&B can keep of a metric for its summary; it knows no first value."""
_RETRIES = 1000
"""The time limits of the options bound the SDK's own retries. By itself (0.31, measured) it gives an upload up after
some 15 tries, under a rate limit within 16 s, and then reports success."""
_RETRY_FIRST_S = 1.0
_RETRY_MAX_S = 2.0
"""The SDK's pauses are 2 s, then twice as long each time, up to a minute: with a server that refuses every second
request one of 20 uploads then takes longer than `finish_timeout`. It counts whole seconds: 0.25 counts as not set. A
pause that the server asks for holds all the same.
"""


class Session:
    """One open run of the SDK.

    Raises `SinkUnavailableError` or `SinkMisconfiguredError` if it can't be opened, within about `init_timeout`.
    """

    def __init__(self, options: WandbOptions, run: RunContext, id: str, root: Path, config: dict[str, Any]) -> None:
        self.id = id
        self._make_writable(root / "wandb")  # else the SDK turns to a temporary folder
        with _live_lock:
            if id in _live:
                raise SinkUnavailableError(f"another W&B sink of this process has run {id!r} open; waiting for its end")
            _live.add(id)
        try:
            with silenced():
                self.run = self._init(options, run, root, config)
        except BaseException:
            self._release()
            raise

    def _init(self, options: WandbOptions, run: RunContext, root: Path, config: dict[str, Any]) -> Any:
        sdk = wandb.setup()
        identity = {
            "id": self.id,
            "project": wandb_project(options.project or run.start.project),
            "entity": options.entity,
            "name": run.start.name,
            "notes": run.start.description or None,
            "group": run.start.group,
            "job_type": run.start.job_type,
            "tags": flat_tags(config[RECORD]["tags"]),
        }
        settings = wandb_settings(options)
        try:
            opened = self._init_when_free(dir=str(root), config=config, resume="allow", settings=settings, **identity)
        except Exception as error:
            # A failed init leaves its id taken in wandb-core, and the next attempt would be refused.
            with contextlib.suppress(Exception):
                wandb.attach(self.id).finish()  # type: ignore[attr-defined]  # public, yet not in the stub
            if isinstance(error, MailboxClosedError):
                _forget_core(sdk)
            raise sink_error(error, f"opening the W&B run {self.id!r}") from error
        self.folder = Path(opened.dir).parent
        if opened.id != self.id or not self.folder.is_relative_to(root):
            opened.finish(exit_code=1)
            raise SinkMisconfiguredError(
                f"W&B opened run {opened.id!r} in {self.folder} instead of {self.id!r} in {root}: is WANDB_SWEEP_ID or "
                "another WANDB_ variable set, or is the folder not writable?"
            )
        opened.define_metric(STEP, hidden=True)
        opened.define_metric("*", step_metric=STEP)
        self.definitions = metric_definitions(config[RECORD]["tags"])
        self._defined: dict[str, MetricDefinition] = {}
        return opened

    def define(self, metrics: Mapping[str, MetricDefinition]) -> None:
        """Define metrics, each once as long as nothing else is said of it."""
        for name, definition in metrics.items():
            if self._defined.get(name) != definition:
                self._defined[name] = definition
                axis = STEP if definition.step_metric is None else metric_key(definition.step_metric)
                self.run.define_metric(
                    metric_key(name), step_metric=axis, summary=_SUMMARIES.get(definition.summary or "")
                )

    @staticmethod
    def _init_when_free(**arguments: Any) -> Any:
        """`wandb.init`; wandb-core lets go of a finished run's id a moment after `finish()` has returned."""
        deadline = time.monotonic() + _RELEASE_S
        while True:
            try:
                return wandb.init(**arguments)
            except Exception as error:
                if "in use" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def finish(self, exit_code: int) -> None:
        """End the run and wait for the SDK, at most `finish_timeout` seconds.

        Raises `SinkUnavailableError` if that was not enough. Coming back says nothing about what arrived.
        """
        try:
            self.run.finish(exit_code=exit_code)
        except Exception as error:
            raise sink_error(error, f"finishing the W&B run {self.id!r}", reopen=True) from error
        finally:
            self._release()

    def abandon(self) -> None:
        """Let go of a run that is not to be ended."""
        with contextlib.suppress(Exception):
            self.run.finish(exit_code=1)
        self._release()

    def _release(self) -> None:
        with _live_lock:
            _live.discard(self.id)

    @staticmethod
    def _make_writable(folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SinkMisconfiguredError(f"can't make the folder {folder}: {error}; set the option dir") from error
        if not os.access(folder, os.W_OK):
            raise SinkMisconfiguredError(f"the folder {folder} is not writable; set the option dir")


def _forget_core(sdk: object) -> None:
    """wandb-core has died, as it does of a SIGTERM for all processes of a job: the next `init` starts another.

    `sdk`: the set-up that was used. If another thread has made a new one since, that one has a core.
    """
    with _core_lock, contextlib.suppress(Exception, SystemExit):  # it leaves with the exit code of the core
        if wandb.setup() is sdk:
            wandb.teardown()


def wandb_settings(options: WandbOptions) -> wandb.Settings:
    """The SDK's settings: bounded, quiet, and recording nothing of the courier's process."""
    settings: dict[str, Any] = {
        "mode": options.mode,
        "reinit": "create_new",  # several runs live in one courier
        "silent": True,
        "console": "off",
        # What W&B would record of the process is the courier's, and unredacted; unitrack records training's.
        "disable_git": True,
        "disable_code": True,
        "disable_job_creation": True,
        "label_disable": True,
        "x_disable_meta": True,
        "x_disable_stats": True,
        "x_save_requirements": False,
        "symlink": False,  # the copy in the spool goes away, so link hard or copy
        "init_timeout": options.init_timeout,
        "finish_timeout": options.finish_timeout,
        "finish_timeout_raises": True,
    }
    if options.mode == "online":
        settings["base_url"] = account.base_url(options)
        # The journal is the log to recover from; a second one here might get synced on top of ours.
        settings["x_skip_transaction_log"] = True
        for client in ("graphql", "file_stream", "file_transfer"):
            settings[f"x_{client}_retry_max"] = _RETRIES
            settings[f"x_{client}_retry_wait_min_seconds"] = _RETRY_FIRST_S
            settings[f"x_{client}_retry_wait_max_seconds"] = _RETRY_MAX_S
        if key := account.find_api_key(options):
            settings["api_key"] = key
    return wandb.Settings(**settings)
