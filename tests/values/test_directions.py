"""The direction in which a metric is better."""

from __future__ import annotations

import pytest

from unitrack.errors import ConfigError
from unitrack.values.directions import direction_of


@pytest.mark.parametrize(
    "metric", ["acc", "val_acc", "val/Accuracy", "valAcc@1", "F1", "f1-score", "roc_auc", "eval/top5", "mAP50", "r2"]
)
def test_higher_is_better_for_scores(metric: str) -> None:
    assert direction_of(metric) == "max"


@pytest.mark.parametrize(
    "metric", ["loss", "val/loss", "RMSE", "accuracy_loss", "score_error", "latency", "", "x", "grad", "place", "lr"]
)
def test_lower_is_better_for_losses_and_for_names_that_say_nothing(metric: str) -> None:
    assert direction_of(metric) == "min"


def test_a_goal_counts_before_the_name_and_an_exact_one_before_a_pattern() -> None:
    goals = {"val/*": "max", "val/loss": "min", "acc": "min"}
    assert [direction_of(name, goals) for name in ("val/x", "val/loss", "acc", "f1")] == ["max", "min", "min", "max"]


def test_a_goal_that_is_no_direction_is_named() -> None:
    with pytest.raises(ConfigError, match="the goal of metric 'loss' is 'min' or 'max', got 'up'"):
        direction_of("acc", {"loss": "up"})
