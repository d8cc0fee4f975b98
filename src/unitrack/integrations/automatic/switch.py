"""`unitrack.autolog`: turns integrations on, and off again."""

from __future__ import annotations

import importlib
import sys
from types import TracebackType
from typing import Any, Self

from unitrack.errors import ConfigError, warn_caller
from unitrack.integrations.attached_run import AttachedRun
from unitrack.integrations.automatic.patches import Options, Patch
from unitrack.names import nearest

_KNOWN = ("sklearn", "xgboost", "lightgbm", "keras")


class Autolog:
    """What `unitrack.autolog` has turned on. As a context manager it turns it off at the end of the block."""

    def __init__(self, frameworks: tuple[str, ...], patches: list[Patch]) -> None:
        self.frameworks = frameworks
        """The names of their modules."""
        self._patches = patches

    def stop(self) -> None:
        """Turn it off: what was replaced is as it was before. A second call does nothing."""
        while self._patches:
            self._patches.pop().undo()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<Autolog of {', '.join(self.frameworks) or 'nothing'}>"


_on = Autolog((), [])


def autolog(*frameworks: str, log_models: bool = True, **start: Any) -> Autolog:
    """Log each training of frameworks, with no line changed where it is called.

    `frameworks`: "sklearn", "xgboost", "lightgbm", "keras"; without names those that are imported. Call it after their
    imports. A training logs to the current run, or to one that is started with the arguments `start` of
    `unitrack.start_run` and ends with the training. It gets the params, nested as the estimator is; what the framework
    reports at each step, or else the score on the training data; and with `log_models` the model, with the first rows
    of its input as an example. What can't be logged is a warning.

    Only what your code calls is a training: the fits within a search or a pipeline are parts of it. Each call replaces
    the one before. Returns an object whose `stop()` turns it off; `with unitrack.autolog():` does so at the end of the
    block. Raises `ConfigError` for a framework that it does not know, and `MissingPackageError` for one that is not
    installed.
    """
    global _on  # what is on is one for the process, as the patched classes are
    for name in frameworks:
        if name not in _KNOWN:
            raise ConfigError(f"autolog: {name!r} is none of {', '.join(_KNOWN)}{_hint(name)}")
    AttachedRun(None, **start)  # refuses wrong arguments here, not in the first training
    chosen = frameworks or tuple(name for name in _KNOWN if name in sys.modules)
    if not chosen:
        warn_caller(f"autolog: none of {', '.join(_KNOWN)} is imported yet: call it after their imports, or name them")
    for name in chosen:
        importlib.import_module(f"unitrack.integrations.{name}")
    _on.stop()
    patches: list[Patch] = []
    options = Options(log_models=log_models, start=start)
    for name in chosen:
        patches += importlib.import_module(f"unitrack.integrations.automatic.{name}").replace(options)
    _on = Autolog(chosen, patches)
    return _on


def _hint(name: str) -> str:
    found = nearest(name, _KNOWN)
    return f"; did you mean {found!r}?" if found else ""
