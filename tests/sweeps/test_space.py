"""Spaces: how they are written, what a mistake in one says, and the size of their grid."""

import itertools

import pytest

import unitrack
from unitrack.sweeps import choice, integers, log_uniform, uniform
from unitrack.sweeps.space import read_space

optuna = pytest.importorskip("optuna")


def draw(space, **params):
    return read_space(space).suggest(optuna.trial.FixedTrial(params))


def test_lists_are_choices_and_pairs_are_ranges():
    space = {"opt": ["adam", "sgd"], "lr": (1e-5, 1e-1, "log"), "drop": (0.0, 0.5), "depth": (1, 4), "seed": 7}
    drawn = draw(space, opt="sgd", lr=1e-3, drop=0.25, depth=2)
    assert drawn == {"opt": "sgd", "lr": 1e-3, "drop": 0.25, "depth": 2, "seed": 7}
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    trial = study.ask()
    read_space(space).suggest(trial)
    assert trial.distributions == {
        "opt": optuna.distributions.CategoricalDistribution(["adam", "sgd"]),
        "lr": optuna.distributions.FloatDistribution(1e-5, 1e-1, log=True),
        "drop": optuna.distributions.FloatDistribution(0.0, 0.5),
        "depth": optuna.distributions.IntDistribution(1, 4),
    }


def test_distributions_of_optuna_are_taken_as_they_are():
    given = {
        "lr": optuna.distributions.FloatDistribution(1e-5, 1e-1, log=True),
        "depth": optuna.distributions.IntDistribution(2, 8, step=2),
        "opt": optuna.distributions.CategoricalDistribution(["adam", "sgd"]),
    }
    trial = optuna.create_study().ask()
    read_space(given).suggest(trial)
    assert trial.distributions == given
    assert read_space({"depth": given["depth"], "opt": given["opt"]}).grid_size() == 8


def test_a_nested_space_gives_nested_params():
    drawn = draw({"model": {"depth": [2, 4], "width": 8}}, **{"model.depth": 4})
    assert drawn == {"model": {"depth": 4, "width": 8}}


def test_a_condition_brings_its_own_params():
    space = {"opt": choice({"adam": {"beta": (0.8, 0.99)}, "sgd": {"momentum": [0.0, 0.9]}, "none": None})}
    assert draw(space, opt="adam", beta=0.9) == {"opt": "adam", "beta": 0.9}
    assert draw(space, opt="sgd", momentum=0.9) == {"opt": "sgd", "momentum": 0.9}
    assert draw(space, opt="none") == {"opt": "none"}
    assert read_space(space).names() == {"opt", "beta", "momentum"}
    assert read_space(space).certain_names() == {"opt"}


def relu(x):
    return x


@pytest.mark.parametrize(
    "values",
    [[relu, len], [(1, 2), (3, 4)], [[1], [2, 3]], [None, True, 1.5, "a"], [{"a": 1}, {"a": 2}]],
    ids=["functions", "tuples", "lists", "plain", "mappings"],
)
def test_a_choice_of_any_objects_gives_the_objects(values):
    one = read_space({"x": values}).params["x"]
    assert [one.value_of(label) for label in one.labels] == values
    assert all(label is None or isinstance(label, bool | int | float | str) for label in one.labels)


def test_the_grid_takes_all_combinations_with_those_of_conditions():
    space = read_space({"a": [1, 2], "m": {"b": range(0, 6, 2)}, "c": choice({"x": {"d": [5, 6]}, "y": {}}), "e": 9})
    grid = list(space.grid())
    assert len(grid) == space.grid_size() == 2 * 3 * 3
    assert grid[0] == {"a": 1, "m.b": 0, "c": "x", "d": 5}
    assert {tuple(sorted(one)) for one in grid} == {("a", "c", "d", "m.b"), ("a", "c", "m.b")}


def test_a_grid_is_counted_without_being_built():
    assert read_space({f"x{i}": range(10**6) for i in range(10)}).grid_size() == 10**60
    assert read_space({"x": uniform(0, 1, step=0.1)}).grid_size() == 11
    assert list(read_space({"x": integers(1, 7, step=3)}).grid()) == [{"x": 1}, {"x": 4}, {"x": 7}]


def test_the_first_combinations_of_a_grid_are_there_without_the_others():
    many, inner = range(10**12), {"y": uniform(0, 1e12, step=0.5)}
    space = read_space({"x": many, "m": inner, "c": choice({"a": {"z": many}, "b": {}})})
    assert list(itertools.islice(space.grid(), 2)) == [
        {"x": 0, "m.y": 0.0, "c": "a", "z": 0},
        {"x": 0, "m.y": 0.0, "c": "a", "z": 1},
    ]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: read_space({"lr": (2, 1)}), "space: 'lr': .*lower bound is above"),
        (lambda: read_space({"lr": (0.0, 1.0, "log")}), "space: 'lr': .*begin above 0"),
        (lambda: read_space({"lr": (1, 2, 3)}), "space: 'lr': .*for a choice, give a list"),
        (lambda: read_space({"lr": ("a", "b")}), "space: 'lr': .*for a choice, give a list"),
        (lambda: read_space({"lr": []}), "space: 'lr': .*at least one value"),
        (lambda: read_space({"lr": [1, 2, 1]}), "space: 'lr': 1 is listed twice"),
        (lambda: read_space({"lr": {1, 2}}), "space: 'lr': .*give a list"),
        (lambda: read_space({"m": {"lr": (2, 1)}}), "space: 'm': space: 'lr'"),
        (lambda: read_space({3: [1]}), "names are texts"),
        (lambda: read_space([1]), "must be a mapping"),
        (lambda: read_space({"a": [1], "c": choice({"x": {"a": [1]}})}), "'a' is named at the upper level"),
        (lambda: uniform(0, float("nan")), "finite number"),
        (lambda: uniform(0, 1, step=0), "step must be above 0"),
        (lambda: integers(1.5, 2), "1.5 is not an integer"),
        (lambda: log_uniform(-1, 1), "begin above 0"),
        (lambda: read_space({"x": (0.0, 1.0)}).grid_size(), "no grid can visit"),
    ],
)
def test_a_mistake_names_the_param_and_the_fix(make, message):
    with pytest.raises(unitrack.ConfigError, match=message):
        make()
