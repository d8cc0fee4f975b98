"""How a sweep calls a train function, and what it says of params that the function does not take."""

import functools

import pytest

import unitrack
from unitrack.sweeps.calling import make_call


def by_name(lr, depth=1):
    return lr, depth


def with_run(run, lr):
    return run, lr


def with_mapping(config):
    return config


def run_and_mapping(run, params):
    return run, params


def anything(**params):
    return params


class Trainer:
    def __call__(self, lr):
        return lr


def called(function, params, run="the run"):
    return make_call(function, params, params)(function, run, params)


def test_params_go_by_name_or_as_one_mapping_with_the_run_or_without():
    assert called(by_name, {"lr": 1}) == (1, 1)
    assert called(with_run, {"lr": 1}) == ("the run", 1)
    assert called(with_mapping, {"lr": 1, "depth": 2}) == {"lr": 1, "depth": 2}
    assert called(run_and_mapping, {"lr": 1}) == ("the run", {"lr": 1})
    assert called(anything, {"lr": 1, "x": 2}) == {"lr": 1, "x": 2}
    assert called(Trainer(), {"lr": 1}) == 1
    assert called(functools.partial(by_name, depth=5), {"lr": 1}) == (1, 5)
    assert called(lambda run: run, {"run": 1}) == 1


@pytest.mark.parametrize(
    ("function", "params", "message"),
    [
        (by_name, {"lrr": 1}, r"'lrr', which by_name\(\) does not take: did you mean 'lr'"),
        (by_name, {"lr": 1, "zzz": 1}, "'zzz', which by_name.. does not take: it takes depth, lr"),
        (Trainer(), {"lrr": 1}, "did you mean 'lr'"),
        (by_name, {"depth": 1}, "needs 'lr', which the space does not have"),
        ("train", {}, "a function that trains, got str"),
    ],
)
def test_a_param_that_the_function_does_not_take_is_named_with_the_nearest(function, params, message):
    with pytest.raises(unitrack.ConfigError, match=message):
        make_call(function, params, params)
