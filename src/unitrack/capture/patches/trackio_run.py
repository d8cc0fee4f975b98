"""trackio: methods of `Run`."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from unitrack.capture.captured_run import as_number, is_number
from unitrack.capture.patching import Patches
from unitrack.capture.session import session
from unitrack.capture.within import is_called_by_unitrack

SDK = "trackio"
_NOT_CAPTURED = ("log_system", "log_artifact", "use_artifact")


def patch_run(module: ModuleType) -> Patches:
    """Patch `trackio.run`."""
    patches = Patches(SDK, session.report)
    run = module.Run
    patches.after(run, "__init__", _init)
    patches.after(run, "log", _log, before=_step_before)
    patches.after(run, "alert", _alert)
    patches.after(run, "finish", _finish)
    patches.count(run, _NOT_CAPTURED, "trackio.Run")
    return patches


def _init(note: Any, result: Any, run: Any, *args: Any, **kwargs: Any) -> None:
    if is_called_by_unitrack():
        return
    config = {key: value for key, value in (run.config or {}).items() if not key.startswith("_")}
    key = f"{run.project}/{run.id}"
    captured = session.open(SDK, key, f"trackio-{run.id}", name=run.name, project=run.project, group=run.group)
    if captured is not None:
        captured.params("init", config)


def _key(run: Any) -> str:
    return f"{run.project}/{run.id}"


def _step_before(run: Any, metrics: Any, step: int | None = None) -> int:
    return int(step if step is not None else getattr(run, "_next_step", 0))


def _log(note: int | None, result: Any, run: Any, metrics: Mapping[str, Any], step: int | None = None) -> None:
    captured = session.find(SDK, _key(run))
    if captured is None or note is None:
        return
    numbers = {}
    for name, value in _leaves(metrics):
        if is_number(value):
            numbers[name] = as_number(value)
        else:
            session.report.miss(f"trackio.log of a {type(value).__name__} ({name!r})")
    captured.metrics("log", numbers, note)


def _leaves(values: Mapping[str, Any], prefix: str = "") -> Any:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _alert(note: Any, result: Any, run: Any, title: str, text: str | None = None, *args: Any, **kwargs: Any) -> None:
    captured = session.find(SDK, _key(run))
    if captured is not None:
        captured.do("alert", captured.run.alert, title, text or "")


def _finish(note: Any, result: Any, run: Any) -> None:
    captured = session.find(SDK, _key(run))
    if captured is not None:
        captured.finish()
