"""W&B: methods of `Run`, and the one that starts runs."""

from __future__ import annotations

import functools
import os
import weakref
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from unitrack.capture.forwarding.wandb_calls import SavedFile, WandbCalls
from unitrack.capture.patching import Patches
from unitrack.capture.session import session
from unitrack.capture.within import is_called_by_unitrack

SDK = "wandb"
_NOT_CAPTURED = (
    "link_artifact",
    "link_model",
    "upsert_artifact",
    "finish_artifact",
    "use_artifact",
    "use_model",
    "mark_preempting",
    "write_logs",
)
_calls: dict[str, WandbCalls | None] = {}
"""By the run's id; None for a run that is not the script's own, but of one of our sinks."""
_known: weakref.WeakKeyDictionary[Any, WandbCalls] = weakref.WeakKeyDictionary()
"""By the run's object: its properties take 20 us each."""


def patch_run(module: ModuleType) -> Patches:
    """Patch `wandb.sdk.wandb_run`."""
    patches = Patches(SDK, session.report)
    run = module.Run
    patches.after(run, "_log", _log, before=_step_before)
    patches.after(run, "_config_callback", _config)
    patches.after(run, "_summary_update_callback", _summary)
    patches.after(run, "define_metric", _define_metric)
    patches.after(run, "save", _save)
    patches.after(run, "alert", _alert)
    patches.after(run, "log_artifact", _artifact)
    patches.after(run, "log_model", _model)
    patches.after(run, "log_code", _code)
    patches.after(run, "finish", _finish, before=_before_end)
    patches.after(run, "__exit__", _exit, before=_before_end)
    patches.count(run, _NOT_CAPTURED, "wandb.Run")
    return patches


def patch_init(module: ModuleType) -> Patches:
    """Patch `wandb.sdk.wandb_init`. Without it, a run is captured from its first call on."""
    patches = Patches(SDK, session.report)
    patches.after(module._WandbInit, "init", _init)  # noqa: SLF001  # `wandb.init` is a function, which users may have by name
    return patches


def _init(note: Any, run: Any, *args: Any, **kwargs: Any) -> None:
    calls_of(run)


def calls_of(run: Any) -> WandbCalls | None:
    """Return what forwards the calls of a W&B run; a captured run is started at the first one."""
    found = _known.get(run)
    if found is not None and not found.captured.has_ended:
        return found
    if getattr(run, "disabled", False):
        return None
    key = str(run.id)
    known = _calls.get(key)
    if known is not None and not known.captured.has_ended:
        _known[run] = known
        return known
    if key in _calls and known is None:
        return None
    if known is not None and _has_finished(run):
        return None
    if is_called_by_unitrack():
        _calls[key] = None
        return None
    project = run.project if run.project != "uncategorized" else None
    captured = session.open(
        SDK,
        key,
        f"wandb-{key}",
        name=run.name,
        project=project,
        description=run.notes,
        tags=dict.fromkeys(run.tags or (), ""),
        group=run.group,
        job_type=run.job_type,
    )
    if captured is None:
        return None
    calls = _calls[key] = _known[run] = WandbCalls(captured, int(getattr(run, "starting_step", 0) or 0))
    calls.config(dict(run.config))
    captured.at_end(functools.partial(_tell_late, calls, run, tuple(run.tags or ()), run.name))
    return calls


def _tell_late(calls: WandbCalls, run: Any, tags: tuple[str, ...], name: str | None) -> None:
    """Tell of the tags and of the name that were set since the start, as attributes."""
    calls.tags([tag for tag in run.tags or () if tag not in tags])
    if run.name and run.name != name:
        calls.rename(run.name)


def _has_finished(run: Any) -> bool:
    return bool(getattr(run, "_is_finished", False))


def _step_before(run: Any, *args: Any, **kwargs: Any) -> tuple[WandbCalls | None, int]:
    step = vars(run).get("_local_step")  # what `step` returns, without its checks
    return calls_of(run), int(run.step if step is None else step)


def _log(
    note: tuple[WandbCalls | None, int] | None,
    result: Any,
    run: Any,
    data: Mapping[str, Any],
    step: int | None = None,
    commit: bool | None = None,
) -> None:
    if note is not None and note[0] is not None:
        note[0].log(data, step, commit, at=note[1])


def _config(note: Any, result: Any, run: Any, *args: Any, **kwargs: Any) -> None:
    if str(run.id) in _calls and (calls := calls_of(run)) is not None:  # not before the run is there
        calls.config(dict(run.config))


def _summary(note: Any, result: Any, run: Any, record: Any, *args: Any) -> None:
    calls = calls_of(run)
    if calls is not None:
        calls.summary({".".join(map(str, item.key)): item.value for item in record.update})


def _define_metric(
    note: Any, result: Any, run: Any, name: str, step_metric: Any = None, *args: Any, **kwargs: Any
) -> None:
    calls = calls_of(run)
    if calls is not None:
        calls.define_metric(name, step_metric, kwargs.get("summary", args[2] if len(args) > 2 else None))


def _save(
    note: Any,
    result: Any,
    run: Any,
    glob_str: Any = None,
    base_path: Any = None,
    policy: str = "live",
) -> None:
    calls = calls_of(run)
    if calls is None or not isinstance(result, list):
        return
    folder = os.path.abspath(run.dir)
    calls.save([SavedFile(Path(path).resolve(), os.path.relpath(path, folder)) for path in result], policy)


def _alert(note: Any, result: Any, run: Any, title: str, text: str = "", *args: Any, **kwargs: Any) -> None:
    calls = calls_of(run)
    if calls is not None:
        calls.alert(title, text)


def _artifact(
    note: Any,
    result: Any,
    run: Any,
    artifact_or_path: Any = None,
    name: str | None = None,
    type: str | None = None,
    aliases: Any = None,
    *args: Any,
    **kwargs: Any,
) -> None:
    calls = calls_of(run)
    if calls is None or result is None:
        return
    files, references = {}, {}
    for path, entry in result.manifest.entries.items():
        if entry.local_path is not None:
            files[str(path)] = Path(entry.local_path)
        elif entry.ref is not None:
            references[str(path)] = str(entry.ref)
    calls.artifact(str(result.name).partition(":")[0], files, references, aliases or [], dict(result.metadata or {}))


def _model(
    note: Any, result: Any, run: Any, path: Any, name: str | None = None, aliases: Any = None, *args: Any, **kw: Any
) -> None:
    calls = calls_of(run)
    if calls is not None:
        place = Path(path)
        files = {one.relative_to(place).as_posix(): one for one in place.rglob("*") if one.is_file()}
        calls.artifact(name or f"run-{run.id}-{place.name}", files or {place.name: place}, {}, aliases or [])


def _code(note: Any, result: Any, run: Any, root: Any = ".", *args: Any, **kwargs: Any) -> None:
    calls = calls_of(run)
    if calls is not None and result is not None:  # None: W&B has found no source files
        calls.captured.do("log_code", calls.captured.run.log_code, root or ".")


def _before_end(run: Any, *args: Any, **kwargs: Any) -> WandbCalls | None:
    """Return what forwards the calls of a run that is about to end."""
    calls = _calls.get(str(run.id))
    if calls is not None:
        calls.config(dict(run.config))
    return calls


def _finish(note: WandbCalls | None, result: Any, run: Any, exit_code: int | None = None, *a: Any, **k: Any) -> None:
    if note is not None:
        note.finish(exit_code)


def _exit(note: WandbCalls | None, result: Any, run: Any, kind: Any = None, *args: Any, **kwargs: Any) -> None:
    if note is not None:
        note.finish(0 if kind is None else 1)
