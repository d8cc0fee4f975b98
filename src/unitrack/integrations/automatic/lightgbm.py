"""LightGBM: `train` and `cv`, which its estimators call as well."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from typing import Any

import lightgbm

from unitrack.integrations.automatic.patches import (
    Options,
    Patch,
    errors_as_warnings,
    is_inside,
    training,
    with_callback,
)
from unitrack.integrations.lightgbm import UnitrackCallback


def replace(options: Options) -> Iterator[Patch]:
    """Replace the functions where LightGBM itself has imported them."""
    for module in ("lightgbm", "lightgbm.engine", "lightgbm.sklearn"):
        for name in ("train", "cv"):
            if name in vars(sys.modules[module]):
                yield Patch(sys.modules[module], name, functools.partial(_logging, options=options))


def _logging(function: Any, options: Options) -> Any:
    @functools.wraps(function)
    def logging_function(*args: Any, **kwargs: Any) -> Any:
        is_part = is_inside.get()
        with training("lightgbm", options) as run:
            callback = UnitrackCallback(run)
            bound = with_callback(function, callback, args, kwargs)
            result = function(*bound.args, **bound.kwargs)
            callback.finish()
            if options.log_models and not is_part and isinstance(result, lightgbm.Booster):
                with errors_as_warnings("the model"):
                    run.log_model(result)
        return result

    return logging_function
