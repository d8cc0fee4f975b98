"""Parameters as the command line takes them."""

import pytest

from unitrack.errors import ConfigError
from unitrack.sweeps.distributions import Distribution
from unitrack.sweeps.space_arguments import read_parameters


def _choice(*values):
    return Distribution(family="categorical", values=values)


@pytest.mark.parametrize(
    ("text", "distribution"),
    [
        ("x=0.1,0.01", _choice(0.1, 0.01)),
        ("x=1e-3", _choice(0.001)),
        ("x=adam, sgd", _choice("adam", "sgd")),
        ("x=true,false,null", _choice(True, False, None)),
        ("x=../a,./b", _choice("../a", "./b")),
        ('x=["a,b", 1, [2, 3]]', _choice("a,b", 1, [2, 3])),
        ("x=k=v", _choice("k=v")),
        ("x=1..4", Distribution(family="int_uniform", low=1, high=4)),
        ("x=-3..-1", Distribution(family="int_uniform", low=-3, high=-1)),
        ("x=0.0..0.5", Distribution(family="uniform", low=0.0, high=0.5)),
        ("x=1e-5..1e-1:log", Distribution(family="log_uniform", low=1e-5, high=1e-1)),
        ("x=16..512:log", Distribution(family="log_uniform", low=16, high=512, q=1)),
        ("x=32..256:64", _choice(32, 96, 160, 224)),
        ("x=0..1:0.25", _choice(0.0, 0.25, 0.5, 0.75, 1.0)),
        ("x=0.1..0.3:0.1", _choice(0.1, 0.2, 0.3)),
    ],
)
def test_values_are_choices_or_ranges(text, distribution):
    [parameter] = read_parameters([text], "random")
    assert parameter.path == ("x",) and parameter.distribution == distribution


def test_dots_in_a_name_nest_it():
    parameters = read_parameters(["model.depth=1,2", "model.width=3", "lr=0.1"], "grid")
    assert [one.path for one in parameters] == [("model", "depth"), ("model", "width"), ("lr",)]


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["lr"], "--grid 'lr' is not NAME=VALUES"),
        (["=1"], "is not NAME=VALUES"),
        (["2x=1"], "is not NAME=VALUES"),
        (["x="], "there are no values"),
        (["x=1,,2"], "a value is empty"),
        (["x=[]"], "the list is empty"),
        (["x=[1"], "expected a JSON list"),
        (["x=3..1"], "the lower bound must be below"),
        (["x=0..1:log"], "a logarithmic range begins above 0"),
        (["x=1..2:fast"], "got 'fast' after the colon"),
        (["x=0..1000000000:1"], "1,000,000,001 steps are too many"),
        (["x=0.0..1.0"], "a grid can't enumerate this range"),
        (["x=1", "x=2"], "'x' is given twice"),
        (["x=1", "x.y=2"], "'x' and 'x.y'"),
    ],
)
def test_a_mistake_is_an_error_that_names_the_argument(texts, message):
    with pytest.raises(ConfigError) as caught:
        read_parameters(texts, "grid")
    assert message in str(caught.value) and "--grid" in str(caught.value)
