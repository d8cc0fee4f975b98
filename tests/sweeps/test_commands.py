"""The command of a trial, with the macros of W&B or with `{name}`."""

import sys

import pytest

from unitrack.errors import ConfigError
from unitrack.sweeps.commands import (
    DEFAULT_COMMAND,
    MACROS,
    check_places,
    macro_problem,
    render_macros,
    render_places,
    unplaced,
)

PARAMS = {"lr": 1e-05, "amp": True, "pin": False, "name": "a b", "model": {"depth": 2}, "none": None}


def test_the_default_command_gives_each_param_as_a_flag():
    rendered = render_macros(DEFAULT_COMMAND, "train.py", PARAMS)
    assert rendered[0] == "/usr/bin/env" and rendered[2] == "train.py"
    assert rendered[3:] == [
        "--lr=1e-05",
        "--amp=True",
        "--pin=False",
        "--name=a b",
        "--model={'depth': 2}",
        "--none=None",
    ]


@pytest.mark.parametrize(
    ("macro", "arguments"),
    [
        ("args_no_boolean_flags", ["--lr=0.1", "--amp"]),
        ("args_no_hyphens", ["lr=0.1", "amp=True", "pin=False"]),
        ("args_no_equals", ["--lr", "0.1", "--amp", "True", "--pin", "False"]),
        ("args_json", ['{"lr": 0.1, "amp": true, "pin": false}']),
        ("args_append_hydra", ["+lr=0.1", "+amp=True", "+pin=False"]),
        ("args_override_hydra", ["++lr=0.1", "++amp=True", "++pin=False"]),
    ],
)
def test_each_form_of_arguments(macro, arguments):
    assert render_macros([f"${{{macro}}}"], None, {"lr": 0.1, "amp": True, "pin": False}) == arguments


def test_a_macro_within_a_text_stays_as_it_is(tmp_path):
    command = ["--file=${args_json_file}", "${args_json_file}"]
    assert render_macros(command, None, {}, tmp_path / "args.json") == [command[0], str(tmp_path / "args.json")]


def test_variables_are_put_in(monkeypatch):
    monkeypatch.setenv("DATA_DIR", "/data")
    assert render_macros(["--data=${envvar:DATA_DIR}/train", "${envvar:DATA_DIR}"], None, {}) == [
        "--data=/data/train",
        "/data",
    ]


def test_a_variable_that_is_not_set_is_a_problem(monkeypatch):
    monkeypatch.delenv("DATA_DIR", raising=False)
    assert macro_problem("${envvar:DATA_DIR}") == "the environment variable DATA_DIR is not set"


def test_a_macro_with_a_typo_is_a_problem_that_names_the_right_one():
    assert macro_problem("${arg}") == "unknown macro ${arg}; did you mean ${args}?"
    assert "known: ${env}" in macro_problem("${somethingelse}")
    assert all(macro_problem(f"${{{name}}}") is None for name in MACROS)


def test_this_python_runs_where_there_is_no_program_called_python(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert render_macros(["${interpreter}"], None, {}) == [sys.executable]


def test_places_are_filled_and_doubled_braces_are_literal():
    command = ["train", "--lr={lr}", "{name}", "{{lr}}", '{"a": 1}', "{model.depth}"]
    check_places(command, ["lr", "name", "model.depth"])
    rendered = render_places(command, {"lr": 0.01, "name": "x y", "model.depth": 3})
    assert rendered == ["train", "--lr=0.01", "x y", "{lr}", '{"a": 1}', "3"]


def test_a_place_for_no_param_is_an_error_with_the_right_name():
    with pytest.raises(ConfigError, match=r"\{lrr\} in the command is no parameter of the sweep; did you mean \{lr\}"):
        check_places(["--lr={lrr}"], ["lr", "units"])
    with pytest.raises(ConfigError, match=r"there are lr, units"):
        check_places(["awk", "{print}"], ["lr", "units"])


def test_params_without_a_place_are_found():
    assert unplaced(["--lr={lr}"], ["lr", "units"]) == ["units"]
