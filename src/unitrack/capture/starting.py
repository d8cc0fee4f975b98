"""`unitrack.capture(...)`: capturing in this process and in those that it starts."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Sequence
from types import ModuleType

import msgspec

from unitrack.capture.children import VARIABLE, capturing_environment
from unitrack.capture.import_hook import ImportHook
from unitrack.capture.patching import Patches
from unitrack.capture.sdks import REPLACEABLE, SDKS, patch_of
from unitrack.capture.session import Choice, check_choice, session
from unitrack.errors import ConfigError

_hooks: list[ImportHook] = []
_patches: list[Patches] = []
"""Those of this process that are in place."""


def start_capture(*sdks: str, replace: str | Sequence[str] = (), sinks: str | Sequence[str] | None = None) -> None:
    """Capture what this process logs through SDKs from now on: each run of theirs is a run of unitrack as well.

    `sdks`: "wandb", "mlflow", "tensorboard" and "trackio"; all of them by default. They may be imported already, or
    later. `replace`: those of them whose own backend gets nothing; it needs no account and no network then. `sinks`:
    names of the sinks of captured runs; those of the configuration by default. Processes that this one starts are
    captured too. A second call adds to the first one.

    The original call happens first and is never changed: an error on unitrack's side is a warning and a line of the
    report that is printed at the end of the process. Raises `ConfigError` for a name that is none of these, and for a
    configuration with which no run can start.
    """
    choice = make_choice(sdks, replace, sinks)
    session.begin(choice)
    check_configuration()
    os.environ.update(capturing_environment(session.choice, os.environ))
    install(session.choice)


def stop_capture() -> None:
    """Capture no more in this process, and end the captured runs, for tests. A replaced module stays replaced."""
    while _hooks:
        _hooks.pop().remove()
    while _patches:
        _patches.pop().undo()
    os.environ.pop(VARIABLE, None)
    session.reset()


def make_choice(sdks: Sequence[str], replace: str | Sequence[str], sinks: str | Sequence[str] | None) -> Choice:
    """Return what to capture from arguments of a call or of a command. Raises `ConfigError`."""
    replaced = (replace,) if isinstance(replace, str) else tuple(replace)
    check_choice(sdks, replaced, tuple(SDKS), REPLACEABLE)
    chosen = tuple(dict.fromkeys((*(sdks or SDKS), *replaced)))
    names = None if sinks is None else [sinks] if isinstance(sinks, str) else list(sinks)
    return Choice(chosen, replaced, names)


def check_configuration() -> None:
    """Raise `ConfigError` if no captured run could start: before the script runs, not in the middle of it."""
    from unitrack.plugins.registry import installed  # noqa: PLC0415  # only here
    from unitrack.run.plan import make_plan  # noqa: PLC0415  # only here

    make_plan(session.resolved(), installed(), None, None, os.environ)


def capture_as_told() -> ImportHook | None:
    """Capture as the environment says, which an outer process has set; called by `sitecustomize` in this process."""
    try:
        choice = msgspec.json.decode(os.environ.get(VARIABLE, ""), type=Choice)
        check_choice(choice.sdks, choice.replace, tuple(SDKS), REPLACEABLE)
    except (msgspec.MsgspecError, ConfigError) as error:
        sys.stderr.write(f"unitrack: nothing is captured: {VARIABLE} can't be read: {error}\n")
        return None
    session.begin(choice)
    return install(choice)


def install(choice: Choice) -> ImportHook:
    """Watch the imports of the chosen SDKs."""
    while _hooks:
        _hooks.pop().remove()
    then: dict[str, Callable[[ModuleType], None]] = {}
    replacements: dict[str, str] = {}
    for name in choice.sdks:
        if name in choice.replace:
            replacements |= SDKS[name].replacements
        else:
            then |= {module: _guarded(name, patch_of(module)) for module in SDKS[name].hooks}
    hook = ImportHook(then, replacements)
    _hooks.append(hook)
    hook.install()
    return hook


def _guarded(sdk: str, patch: Callable[[ModuleType], Patches]) -> Callable[[ModuleType], None]:
    """Return a patch whose failure is a warning: the SDK is another one than those that are known."""

    @functools.wraps(patch)
    def call(module: ModuleType) -> None:
        try:
            _patches.append(patch(module))
        except Exception as error:
            session.report.trouble(f"{sdk}: {module.__name__}", error)

    return call
