"""`unitrack alerts`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from unitrack import ConfigError, Run

Invoke = Callable[..., Result]


def test_rules_are_replayed_over_a_run(invoke: Invoke, complete_run: Run) -> None:
    rules = ("--rule", "low=loss < 2", "--rule", "high=loss > 100")
    lines = invoke("alerts", "done-1", *rules).stdout.splitlines()
    assert lines[0].endswith("  step 1  low  loss < 2: loss = 1")
    assert lines[1:] == ["never raised: high"]
    found = json.loads(invoke("alerts", "done", "--from", "local:experiments", *rules, "--json").stdout)
    assert [(one["rule"], one["step"]) for one in found["alerts"]] == [("low", 1)]
    assert found["rules"] == {"low": "loss < 2", "high": "loss > 100"}


def test_configured_rules_count_without_others(invoke: Invoke, complete_run: Run, root: Path) -> None:
    (root / "unitrack.yaml").write_text("alerts: {rules: {last: loss == 2}}")
    assert "step 2  last" in invoke("alerts", "done-1").stdout


def test_a_metric_that_the_run_lacks_is_named(invoke: Invoke, complete_run: Run) -> None:
    result = invoke("alerts", "done-1", "--rule", "r=lss > 1")
    assert result.stderr == "the run has no metric 'lss': did you mean 'loss'?\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["dne-1", "--rule", "a=loss > 1"], "did you mean 'done-1'"),
        (["done-1"], "there is no rule"),
        (["done-1", "--rule", "loss"], "is not NAME=CONDITION"),
        (["done-1", "--rule", "a=loss >"], "ends too early"),
    ],
)
def test_bad_arguments_are_clear_errors(invoke: Invoke, complete_run: Run, arguments: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        invoke("alerts", *arguments)
