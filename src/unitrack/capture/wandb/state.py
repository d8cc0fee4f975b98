"""The current run of the module, and starting one."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from unitrack.capture.forwarding.wandb_calls import WandbCalls
from unitrack.capture.session import session
from unitrack.capture.wandb.errors import Error, UsageError
from unitrack.capture.wandb.run_config import as_config
from unitrack.capture.wandb.runs import Run
from unitrack.capture.wandb.settings import Settings, as_settings, from_environment, tags_from_environment
from unitrack.capture.wandb.util import generate_id
from unitrack.errors import RunExistsError
from unitrack.run.plan import Resume

SDK = "wandb"


class State:
    """The runs that are open; the last one is `wandb.run`."""

    def __init__(self) -> None:
        self.runs: list[Run] = []

    @property
    def run(self) -> Run | None:
        """The current run."""
        return self.runs[-1] if self.runs else None

    def require(self, call: str) -> Run:
        """Return the current run. Raises `Error` without one."""
        if self.run is None:
            raise Error(f"You must call wandb.init() before wandb.{call}()")
        return self.run

    def forget(self, run: Run) -> None:
        """Drop a run that has ended."""
        if run in self.runs:
            self.runs.remove(run)


state = State()
"""That of this process."""


def init(
    entity: str | None = None,
    project: str | None = None,
    dir: Any = None,
    id: str | None = None,
    name: str | None = None,
    notes: str | None = None,
    tags: Sequence[str] | None = None,
    config: Any = None,
    config_exclude_keys: Sequence[str] | None = None,
    config_include_keys: Sequence[str] | None = None,
    allow_val_change: bool | None = None,
    group: str | None = None,
    job_type: str | None = None,
    mode: str | None = None,
    force: bool | None = None,
    reinit: Any = None,
    resume: bool | str | None = None,
    resume_from: str | None = None,
    fork_from: str | None = None,
    save_code: bool | None = None,
    tensorboard: bool | None = None,
    sync_tensorboard: bool | None = None,
    monitor_gym: bool | None = None,
    settings: Settings | Mapping[str, Any] | None = None,
    anonymous: Any = None,
) -> Run:
    """Start a run, which goes to unitrack's sinks, and make it the current one.

    `dir`, `entity`, `mode` other than "disabled" and `settings` change nothing. `resume_from` and `fork_from` are
    refused. Raises `unitrack.ConfigError` if unitrack's configuration is wrong.
    """
    if resume_from or fork_from:
        raise UsageError("wandb.init(resume_from=, fork_from=): a run can't be cut here; use resume= with an id")
    if sync_tensorboard or tensorboard:
        session.report.miss("wandb.init(sync_tensorboard=True): capture tensorboard as well, as a run of its own")
    given = as_settings(settings)

    def chosen(value: Any, key: str, setting: str | None = None) -> Any:
        return value or getattr(given, setting or key) or from_environment(key)

    if state.run is not None:
        if reinit in (None, False, "default", "return_previous") and not (reinit is None and given.reinit):
            _configure(state.run, config, allow_val_change, config_include_keys, config_exclude_keys)
            return state.run
        if reinit != "create_new":
            state.run.finish()
    resume = chosen(resume, "resume")
    is_disabled = chosen(mode, "mode") == "disabled"
    asked = chosen(id, "id", "run_id")
    calls, run_id, resumed = None, asked or generate_id(), False
    names = {
        "name": chosen(name, "name", "run_name"),
        "project": chosen(project, "project"),
        "group": chosen(group, "group", "run_group"),
        "job_type": chosen(job_type, "job_type", "run_job_type"),
        "description": chosen(notes, "notes", "run_notes"),
    }
    labels = list([tags] if isinstance(tags, str) else tags or given.run_tags or tags_from_environment())
    if not is_disabled:
        calls, resumed = _start(run_id, _resume(resume, asked), names, labels)
        run_id = calls.captured.run.id
        names["name"], names["project"] = calls.captured.run.name, calls.captured.run.project
    run = Run(
        run_id,
        calls=calls,
        name=names["name"] or f"dummy-{run_id}",
        project=names["project"] or "dummy",
        entity=chosen(entity, "entity") or "",
        notes=names["description"],
        group=names["group"] or "",
        job_type=names["job_type"] or "",
        tags=labels,
        settings=given,
        resumed=resumed,
        ended=state.forget,
    )
    if calls is not None and resumed:
        run.config.update(dict(calls.captured.run.config))
    _configure(run, config, allow_val_change, config_include_keys, config_exclude_keys)
    if save_code and calls is not None:
        run.log_code(os.path.dirname(os.path.abspath(sys.argv[0])) or ".")
    state.runs.append(run)
    return run


def _start(run_id: str, resume: Resume, names: Mapping[str, Any], tags: Sequence[str]) -> tuple[WandbCalls, bool]:
    """Start or resume a run; return what forwards its calls, and whether it goes on."""
    try:
        captured = session.open(SDK, run_id, run_id, resume, tags=dict.fromkeys(tags, ""), **names)
    except RunExistsError as error:
        raise UsageError(f"wandb.init(id={run_id!r}): {error}") from error
    if captured is None:
        raise Error("the process is about to end: no run can start")
    first = int(captured.run.state_dict()["step"])
    return WandbCalls(captured, first), first > 0


def _resume(resume: Any, run_id: str | None) -> Resume:
    if resume in ("must", "never"):
        return resume  # type: ignore[no-any-return]
    return "auto" if resume in (True, "auto") and run_id is None else "allow"


def _configure(
    run: Run, config: Any, may_change: bool | None, only: Sequence[str] | None, but: Sequence[str] | None
) -> None:
    values = as_config(config)
    if only is not None:
        values = {key: value for key, value in values.items() if key in only}
    run.config.update(
        {key: value for key, value in values.items() if key not in (but or ())}, allow_val_change=may_change
    )


def of_current_run(method: str) -> Callable[..., Any]:
    """Return a function that calls a method of the current run. Raises `Error` without one."""

    def call(*args: Any, **kwargs: Any) -> Any:
        return getattr(state.require(method), method)(*args, **kwargs)

    call.__name__ = call.__qualname__ = method
    call.__doc__ = getattr(Run, method).__doc__
    return call


def finish(exit_code: int | None = None, quiet: bool | None = None) -> None:
    """End the current run, if there is one."""
    if state.run is not None:
        state.run.finish(exit_code)
