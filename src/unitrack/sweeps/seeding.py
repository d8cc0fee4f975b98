"""A sampler that draws each trial with a seed of its own."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from typing import Any

from unitrack.sweeps.engine import load_optuna, quiet_optuna


@functools.cache
def _sampler_class() -> type[Any]:
    """Return the class, made when Optuna is there."""
    base: Any = load_optuna().samplers.BaseSampler

    class PerTrialSampler(base):  # type: ignore[misc]  # Optuna is optional
        """Delegates to a new sampler for each trial, seeded with the sweep's seed and the trial's number.

        So trial 7 of a sweep is drawn the same whether the sweep was stopped before it or not; a sampler that is
        seeded once would draw the first trials again. State that a sampler keeps lies in the study.
        """

        def __init__(self, make: Callable[[int], Any], seed: int) -> None:
            self._make = make
            self._seed = seed
            self._number = -1
            self._sampler: Any = None

        def _of(self, trial: Any) -> Any:
            if self._number != trial.number:
                digest = hashlib.sha256(f"{self._seed}/{trial.number}".encode()).digest()
                with quiet_optuna():
                    self._sampler = self._make(int.from_bytes(digest[:4], "big"))
                self._number = trial.number
            return self._sampler

        def reseed_rng(self) -> None:
            """Do nothing: each trial has its own seed."""

        def infer_relative_search_space(self, study: Any, trial: Any) -> Any:
            """See Optuna."""
            return self._of(trial).infer_relative_search_space(study, trial)

        def sample_relative(self, study: Any, trial: Any, search_space: Any) -> Any:
            """See Optuna."""
            return self._of(trial).sample_relative(study, trial, search_space)

        def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
            """See Optuna."""
            return self._of(trial).sample_independent(study, trial, param_name, param_distribution)

        def before_trial(self, study: Any, trial: Any) -> None:
            """See Optuna."""
            self._of(trial).before_trial(study, trial)

        def after_trial(self, study: Any, trial: Any, state: Any, values: Any) -> None:
            """See Optuna."""
            self._of(trial).after_trial(study, trial, state, values)

    return PerTrialSampler


def seeded_sampler(make: Callable[[int], Any], seed: int) -> Any:
    """Return a sampler that delegates to what `make` returns for each trial's seed."""
    return _sampler_class()(make, seed)
