"""`unitrack sweep` renders the commands of W&B's sweeps as W&B's own agent does."""

from __future__ import annotations

from typing import Any

import pytest
from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

from unitrack.sweeps.commands import DEFAULT_COMMAND, render_macros

PARAMS: dict[str, Any] = {
    "amp": True,
    "betas": [0.9, 0.99],
    "layers": 3,
    "lr": 1e-05,
    "model": {"depth": 2, "name": "a b"},
    "nothing": None,
    "pin": False,
}


@pytest.mark.parametrize(
    "macro",
    [
        "args",
        "args_no_hyphens",
        "args_no_equals",
        "args_no_boolean_flags",
        "args_json",
        "args_append_hydra",
        "args_override_hydra",
    ],
)
def test_each_macro_gives_what_wandb_gives(macro: str) -> None:
    theirs = create_sweep_command_args({"args": {name: {"value": value} for name, value in PARAMS.items()}})
    assert render_macros([f"${{{macro}}}"], None, PARAMS) == theirs[macro]


def test_the_default_command_and_variables_are_wandbs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_DIR", "/data")
    assert list(DEFAULT_COMMAND) == create_sweep_command()
    command = ["--data=${envvar:DATA_DIR}/${envvar:DATA_DIR}", "plain"]
    assert render_macros(command, None, {}) == create_sweep_command(list(command))
