"""What values the distributions of W&B's sweeps give, and how often."""

import math
import random
import statistics

import pytest

from unitrack.sweeps.distributions import Distribution

DRAWS = 2_000


def _drawn(distribution, seed=7):
    source = random.Random(seed)
    return [distribution.value_at(source.random()) for _ in range(DRAWS)]


def test_a_uniform_one_fills_its_range():
    drawn = _drawn(Distribution(family="uniform", low=-1.0, high=3.0))
    assert min(drawn) >= -1 and max(drawn) <= 3
    assert statistics.mean(drawn) == pytest.approx(1.0, abs=0.1)


def test_integers_include_both_bounds_and_are_even():
    drawn = _drawn(Distribution(family="int_uniform", low=2, high=5))
    assert sorted(set(drawn)) == [2, 3, 4, 5] and all(type(one) is int for one in drawn)
    assert all(drawn.count(one) == pytest.approx(DRAWS / 4, rel=0.2) for one in range(2, 6))


def test_a_log_uniform_one_is_even_in_its_logarithm():
    drawn = [math.log10(one) for one in _drawn(Distribution(family="log_uniform", low=1e-5, high=1e-1))]
    assert min(drawn) >= -5 and max(drawn) <= -1
    assert statistics.mean(drawn) == pytest.approx(-3.0, abs=0.1)


@pytest.mark.parametrize("quantile", [0.0, 1e-300, 0.5, 1 - 2**-53, 1.0])
@pytest.mark.parametrize(
    ("family", "low", "high", "q"),
    [
        ("uniform", 0.1, 0.3, None),
        ("uniform", 32, 250, 100),
        ("log_uniform", 30, 250, 16),
        ("log_uniform", 1e-5, 0.1, None),
    ],
)
def test_no_value_leaves_the_bounds_rounded_or_not(family, low, high, q, quantile):
    assert low <= Distribution(family=family, low=low, high=high, q=q).value_at(quantile) <= high


def test_rounded_values_are_multiples_and_integers_if_q_is_one():
    drawn = _drawn(Distribution(family="log_uniform", low=32, high=256, q=8))
    assert all(type(one) is int and one % 8 == 0 for one in drawn) and len(set(drawn)) > 10


def test_rounding_to_a_fraction_has_no_binary_error():
    drawn = _drawn(Distribution(family="uniform", low=0.0, high=1.0, q=0.1))
    assert sorted(set(drawn)) == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]


def test_normal_ones_have_their_mean_and_deviation():
    drawn = _drawn(Distribution(family="normal", mu=3.0, sigma=2.0))
    assert statistics.mean(drawn) == pytest.approx(3.0, abs=0.2)
    assert statistics.stdev(drawn) == pytest.approx(2.0, abs=0.2)
    logarithms = [math.log(one) for one in _drawn(Distribution(family="log_normal", mu=-1.0, sigma=0.5))]
    assert statistics.mean(logarithms) == pytest.approx(-1.0, abs=0.05)
    assert Distribution(family="normal", mu=3.0, sigma=0.0).value_at(0.3) == 3.0


@pytest.mark.parametrize("quantile", [0.0, 1.0])
def test_an_unbounded_one_is_finite_at_its_ends(quantile):
    assert math.isfinite(Distribution(family="normal").value_at(quantile))
    assert math.isfinite(Distribution(family="log_normal").value_at(quantile))


def test_a_beta_one_has_its_mean():
    pytest.importorskip("scipy")
    drawn = _drawn(Distribution(family="beta", a=2.0, b=6.0))
    assert min(drawn) >= 0 and max(drawn) <= 1
    assert statistics.mean(drawn) == pytest.approx(0.25, abs=0.02)


def test_choices_come_as_often_as_their_probabilities_say():
    drawn = _drawn(Distribution(family="categorical", values=("a", "b", "c"), probabilities=(0.7, 0.0, 0.3)))
    assert drawn.count("a") == pytest.approx(0.7 * DRAWS, rel=0.1)
    assert drawn.count("b") == 0
    assert drawn.count("c") == pytest.approx(0.3 * DRAWS, rel=0.2)


@pytest.mark.parametrize(("quantile", "value"), [(0.0, "b"), (0.5, "b"), (1.0, "b")])
def test_a_choice_of_probability_zero_never_comes(quantile, value):
    unlikely = Distribution(family="categorical", values=("a", "b", "c"), probabilities=(0.0, 1.0, 0.0))
    assert unlikely.value_at(quantile) == value


def test_a_grid_has_the_values_that_wandb_takes():
    assert list(Distribution(family="int_uniform", low=1, high=3).grid()) == [1, 2, 3]
    assert list(Distribution(family="uniform", low=0, high=10, q=4).grid()) == [0, 4, 8]
    assert list(Distribution(family="uniform", low=0.0, high=0.4, q=0.1).grid()) == [0.0, 0.1, 0.2, 0.3]
    assert Distribution(family="uniform", low=0.0, high=1.0).grid() is None
    assert Distribution(family="categorical", values=(1, 2), probabilities=(0.5, 0.5)).grid() is None


def test_a_grid_of_a_thousand_million_values_is_counted_at_once():
    assert len(Distribution(family="int_uniform", low=1, high=10**9).grid()) == 10**9
    assert len(Distribution(family="uniform", low=0, high=10**9, q=1).grid()) == 10**9
