"""XGBoost: each training, by the class that holds its callbacks."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

from xgboost.callback import CallbackContainer

from unitrack.integrations.automatic.patches import Options, Patch, is_inside
from unitrack.integrations.xgboost import UnitrackCallback


def replace(options: Options) -> Iterator[Patch]:
    """Add a callback to those of each training. The run of an estimator's `fit` has its model already."""

    def with_ours(init: Any) -> Any:
        @functools.wraps(init)
        def logging_init(self: Any, callbacks: Any, *args: Any, **kwargs: Any) -> None:
            if not any(isinstance(one, UnitrackCallback) for one in callbacks):
                log_model = options.log_models and not is_inside.get()
                callbacks = [*callbacks, UnitrackCallback(log_model=log_model, **options.start)]
            init(self, callbacks, *args, **kwargs)

        return logging_init

    yield Patch(CallbackContainer, "__init__", with_ours)
