"""Capture: code that calls W&B, MLflow, TensorBoard or trackio logs to unitrack, with no line of it changed.

`unitrack capture -- python train.py` and `python -m unitrack.capture train.py` run a script so, and
`unitrack.capture("wandb")` does it in code. Where the SDK is not installed, `from unitrack.capture import wandb` is a
module of its names.
"""

import sys
from collections.abc import Sequence
from types import ModuleType


class _Callable(ModuleType):
    """This package, which can be called: `unitrack.capture(...)` is `unitrack.capture.starting.start_capture`.

    The function can't be an attribute of `unitrack` beside a package of the same name: whichever is imported last would
    hide the other one. `python -m unitrack.capture` and `from unitrack.capture import wandb` need the package.
    """

    def __call__(self, *sdks: str, replace: str | Sequence[str] = (), sinks: str | Sequence[str] | None = None) -> None:
        """Capture what this process logs through SDKs; see `start_capture`."""
        from unitrack.capture.starting import start_capture  # noqa: PLC0415  # drop-in modules need no hooks

        start_capture(*sdks, replace=replace, sinks=sinks)


sys.modules[__name__].__class__ = _Callable
