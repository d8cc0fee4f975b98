"""W&B's early termination as a pruner of Optuna: its rule, at the numbers of logged values that it names."""

from __future__ import annotations

import math
from typing import Any

from unitrack.sweeps.definition import EarlyTermination
from unitrack.sweeps.engine import load_optuna


def make_bands_pruner(rule: EarlyTermination) -> Any:
    """Return the pruner of a rule."""

    class BandsPruner(load_optuna().pruners.BasePruner):  # type: ignore[misc]  # Optuna asks for its base class
        """Stops a trial that is worse than the best 1/eta of all trials at the last band that it has reached."""

        def prune(self, study: Any, trial: Any) -> bool:
            return is_behind(rule, _history(trial, sign := _sign(study)), [
                _history(one, sign) for one in study.get_trials(deepcopy=False)
            ])  # fmt: skip

    return BandsPruner()


def is_behind(rule: EarlyTermination, history: list[float], histories: list[list[float]]) -> bool:
    """Return whether a trial with this history ends, given those of all trials, itself included; small is good."""
    reached = [band for band in rule.bands if band <= len(history)]
    if not reached:
        return False
    band = reached[-1]
    at_band = sorted(one[band - 1] for one in histories if len(one) >= band)
    threshold = at_band[int(len(at_band) / rule.eta)]
    return (history[band - 1] if rule.strict else min(history)) > threshold


def _sign(study: Any) -> int:
    return -1 if study.direction.name == "MAXIMIZE" else 1


def _history(trial: Any, sign: int) -> list[float]:
    """Return the values of a trial in the order of their steps, without those that are not finite."""
    values = [sign * value for _, value in sorted(trial.intermediate_values.items())]
    return [value for value in values if math.isfinite(value)]
