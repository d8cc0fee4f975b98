"""The parameters of a program's sweep as Optuna draws them."""

import pytest

from unitrack.sweeps.definition import Definition, Parameter
from unitrack.sweeps.distributions import Distribution
from unitrack.sweeps.program_space import space_of
from unitrack.sweeps.space import read_space

optuna = pytest.importorskip("optuna")

MANY = {
    ("fixed",): Distribution(family="constant", values=([1, 2],)),
    ("opt",): Distribution(family="categorical", values=("adam", "sgd")),
    ("seldom",): Distribution(family="categorical", values=("a", "b"), probabilities=(1.0, 0.0)),
    ("units",): Distribution(family="int_uniform", low=1, high=4),
    ("drop",): Distribution(family="uniform", low=0.0, high=0.5),
    ("steps",): Distribution(family="uniform", low=5, high=50, q=10),
    ("net", "lr"): Distribution(family="log_uniform", low=1e-5, high=1e-1),
    ("net", "batch"): Distribution(family="log_uniform", low=32, high=256, q=32),
    ("net", "mom"): Distribution(family="normal", mu=5.0, sigma=0.1),
}


def _definition(method, parameters):
    made = tuple(Parameter(path, distribution) for path, distribution in parameters.items())
    return Definition(method=method, parameters=made, command=("true",))


def _draws(count):
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space = read_space(space_of(_definition("random", MANY)))
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=3))
    return [space.suggest(study.ask()) for _ in range(count)]


def test_seeded_draws_stay_in_their_ranges_and_have_their_types():
    for drawn in _draws(30):
        assert drawn["fixed"] == [1, 2] and drawn["opt"] in ("adam", "sgd") and drawn["seldom"] == "a"
        assert drawn["units"] in (1, 2, 3, 4) and 0 <= drawn["drop"] <= 0.5
        assert drawn["steps"] in (10, 20, 30, 40, 50)
        assert 1e-5 <= drawn["net"]["lr"] <= 1e-1
        assert drawn["net"]["batch"] % 32 == 0 and 32 <= drawn["net"]["batch"] <= 256
        assert type(drawn["net"]["batch"]) is int and 4 < drawn["net"]["mom"] < 6


def test_draws_can_be_repeated():
    assert _draws(3) == _draws(3)


def test_a_grid_has_all_combinations():
    parameters = {
        ("opt",): Distribution(family="categorical", values=("adam", "sgd")),
        ("net", "units"): Distribution(family="int_uniform", low=1, high=3),
        ("drop",): Distribution(family="uniform", low=0.0, high=0.2, q=0.1),
        ("fixed",): Distribution(family="constant", values=(7,)),
    }
    definition = _definition("grid", parameters)
    space = read_space(space_of(definition))
    assert space.grid_size() == definition.size() == 12
    assert len({tuple(one.items()) for one in space.grid()}) == 12
