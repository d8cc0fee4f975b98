"""Keras: `fit` of each model."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import keras

from unitrack.integrations.automatic.patches import Options, Patch, errors_as_warnings, training, with_callback
from unitrack.integrations.keras import UnitrackCallback


def replace(options: Options) -> Iterator[Patch]:
    """Add a callback to those of each training, and log the model after it."""

    def with_ours(fit: Any) -> Any:
        @functools.wraps(fit)
        def logging_fit(self: Any, *args: Any, **kwargs: Any) -> Any:
            with training("keras", options) as run:
                bound = with_callback(fit, UnitrackCallback(run), (self, *args), kwargs)
                history = fit(*bound.args, **bound.kwargs)
                if options.log_models:
                    x: Any = bound.arguments.get("x")
                    with errors_as_warnings("the model"):
                        run.log_model(self, input_example=x[:5] if hasattr(x, "shape") else None)
            return history

        return logging_fit

    yield Patch(keras.Model, "fit", with_ours)
