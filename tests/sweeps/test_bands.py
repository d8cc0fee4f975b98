"""W&B's early termination: which trials its rule stops."""

import pytest

from unitrack.sweeps.bands import is_behind, make_bands_pruner
from unitrack.sweeps.definition import EarlyTermination

RULE = EarlyTermination(bands=(2, 4), eta=2.0)
OTHERS = [[10.0, 6.0, 5.0, 4.0], [10.0, 7.0, 6.0, 5.0], [10.0, 8.0, 7.0, 6.0]]


@pytest.mark.parametrize(
    ("history", "ends"),
    [
        ([99.0], False),  # before the first band nobody is judged
        ([10.0, 9.0], True),
        ([10.0, 7.5], False),  # among the best half of four, counted as W&B counts
        ([10.0, 9.0, 1.0], False),  # the best value so far counts
        ([10.0, 7.0, 6.5, 6.4], True),  # at the second band
    ],
)
def test_a_trial_behind_the_best_half_ends(history, ends):
    assert is_behind(RULE, history, [*OTHERS, history]) is ends


def test_strict_looks_at_the_value_at_the_band():
    strict = EarlyTermination(bands=(2, 4), eta=2.0, strict=True)
    history = [1.0, 9.0]
    assert is_behind(strict, history, [*OTHERS, history])
    assert not is_behind(RULE, history, [*OTHERS, history])


def test_the_first_trial_is_never_behind():
    assert not is_behind(RULE, [5.0, 4.0, 3.0, 2.0], [[5.0, 4.0, 3.0, 2.0]])


@pytest.mark.parametrize(
    ("direction", "last", "ends"), [("minimize", 9.0, True), ("maximize", 9.0, False), ("maximize", 1.0, True)]
)
def test_in_optuna_it_counts_values_not_steps(direction, last, ends):
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    rule = EarlyTermination(bands=(2,), eta=2.0, strict=True)
    study = optuna.create_study(direction=direction, pruner=make_bands_pruner(rule))
    for value in (4.0, 5.0, 6.0):
        trial = study.ask()
        for step in (100, 200):
            trial.report(value, step)
        study.tell(trial, value)
    trial = study.ask()
    trial.report(5.0, 70)
    assert not trial.should_prune()
    trial.report(float("nan"), 71)
    assert not trial.should_prune()
    trial.report(last, 90)
    assert trial.should_prune() is ends
