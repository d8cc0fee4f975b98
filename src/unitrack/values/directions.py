"""Whether a metric is better when it is low or when it is high."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Literal

from unitrack.errors import ConfigError

Direction = Literal["min", "max"]

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[A-Z]+")
"""The words of a name: `valAcc@1`, `val_acc` and `val/acc` have "val" and "acc"."""

_LOW = frozenset(
    _WORDS.findall(
        "loss error err cost mae mse rmse mape smape nll bce perplexity ppl wer cer ter fid kid divergence kl regret"
        " distance latency seconds time duration memory fpr fnr eer brier ece neg negative nats"
    )
)
"""Words of metrics that are better when low. They count before those of `_HIGH`: `accuracy_loss` is a loss."""

_HIGH = frozenset(
    _WORDS.findall(
        "acc accuracy auc auroc auprc roc ap map mrr ndcg dcg precision recall f fbeta score reward rewards return"
        " returns bleu rouge meteor cider spice chrf iou miou dice jaccard kappa mcc r psnr ssim sensitivity"
        " specificity tpr tnr hit hits success win wins winrate throughput elbo likelihood correlation pearson"
        " spearman top pass"
    )
)
"""Words of metrics that are better when high; `f1`, `r2` and `top5` are their letters."""


def direction_of(metric: str, goals: Mapping[str, str] | None = None) -> Direction:
    """Return "min" if a lower value of the metric is better, and "max" if a higher one is.

    `goals` says so by name or by a pattern such as `val/*`, the exact name first: {"loss": "min"}. A metric that is not
    among them goes by the words of its name: "max" for accuracies, scores, rewards and the like, else "min". Raises
    `ConfigError` for a goal that is neither "min" nor "max".
    """
    goals = goals or {}
    for pattern, goal in goals.items():
        if goal not in ("min", "max"):
            raise ConfigError(f"the goal of metric {pattern!r} is 'min' or 'max', got {goal!r}")
    if metric in goals:
        return _checked(goals[metric])
    for pattern, goal in goals.items():
        if fnmatchcase(metric, pattern):
            return _checked(goal)
    words = {word.lower() for word in _WORDS.findall(metric)}
    return "max" if words & _HIGH and not words & _LOW else "min"


def _checked(goal: str) -> Direction:
    return "max" if goal == "max" else "min"
