"""Alerts of a run that goes on: to the terminal, to tags, to a command, to plugins."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from unitrack_tests.children import wait_until

import unitrack
from unitrack import AlertWarning, QueryError, start_run
from unitrack.hookspecs import Alert, hookimpl
from unitrack.plugins.registry import installed

RULES = {"rules": {"high": "loss > 5"}}


@contextlib.contextmanager
def alerted_run(alerts: list[str], **options: Any) -> Iterator[unitrack.Run]:
    """A run whose alerts are gathered."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with start_run(**{"name": "x", "sinks": ["local"]} | options) as run:
            yield run
    alerts += [str(one.message) for one in caught if issubclass(one.category, AlertWarning)]


def log(run: unitrack.Run, *values: float) -> None:
    for step, value in enumerate(values):
        run.log_metrics({"loss": value}, step=step)


@pytest.mark.parametrize("delivery", ["process", "thread", "inline"])
def test_a_rule_of_the_configuration_is_raised_once(root: Path, delivery: Any) -> None:
    """A courier finds it; the terminal and the tags of every backend tell of it; it can be replayed."""
    with alerted_run(alerts := [], config={"alerts": RULES}, delivery=delivery) as run:
        log(run, 1, 2, 9, 9)
    assert alerts == ["alert 'high' of run 'x' at step 2: loss > 5: loss = 9"]
    found = unitrack.runs(run.path)[0]
    assert found.tags["unitrack.alert.high"] == "step 2: loss > 5: loss = 9"
    assert found.tags["unitrack.alert_rule.high"] == "loss > 5"
    assert len(found.history("loss")) == 4


def test_a_rule_added_in_code_watches_from_there_on(root: Path) -> None:
    with alerted_run(alerts := [], delivery="process") as run:
        log(run, 1)
        run.alert("high", when="loss > 5")
        wait_until(lambda: len(list((run.path / ".spool").glob("*.alive"))) == 2)  # the courier has begun to watch
        run.log_metrics({"loss": 7.0}, step=1)
    assert len(alerts) == 1
    assert unitrack.runs(run.path)[0].tags["unitrack.alert.high"] == "step 1: loss > 5: loss = 7"


def test_an_alert_raised_in_code_is_a_tag_and_a_warning(root: Path) -> None:
    with start_run("x", sinks=["local"], delivery="inline") as run:
        with pytest.warns(AlertWarning, match="alert 'odd' of run 'x': look at the labels"):
            unitrack.alert("odd", "look at the labels")
        with pytest.raises(QueryError, match="never closed"):
            unitrack.alert("odd", when="mean(loss")
    assert unitrack.runs(run.path)[0].tags == {"unitrack.alert.odd": "look at the labels"}


def test_a_run_that_goes_silent_is_noticed(root: Path) -> None:
    rules = {"rules": {"stuck": "stalled(1s)"}}
    with alerted_run(alerts := [], config={"alerts": rules}, delivery="thread") as run:
        log(run, 1)
        wait_until((run.path / ".unitrack" / "alerts.jsonl").exists)
    assert alerts == ["alert 'stuck' of run 'x': stalled(1s)"]


def test_a_command_is_started_with_the_values_as_arguments(root: Path) -> None:
    """No shell reads them, and a placeholder in a value is no placeholder."""
    code = "import json, sys; open(sys.argv.pop(), 'w').write(json.dumps(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "{name}", "{text}; {step}", "{run}", "{other}", str(root / "told.json")]
    with alerted_run([], name="{text}", config={"alerts": RULES | {"command": command}}) as run:
        log(run, 9)
    wait_until(lambda: (root / "told.json").exists() and bool((root / "told.json").read_text()))
    assert json.loads((root / "told.json").read_text()) == ["high", "loss > 5: loss = 9; 0", "{text}", "{other}"]
    assert "told.json" not in (run.path / ".unitrack" / "run.json").read_text(), "commands never lie on the disk"


class Listener:
    """A plugin that notifies."""

    def __init__(self) -> None:
        self.heard: list[Alert] = []

    @hookimpl
    def notify(self, alert: Alert) -> None:
        """Keep the alert, then fail: that stops nobody."""
        self.heard.append(alert)
        raise RuntimeError("no network")


@pytest.fixture
def listeners() -> Any:
    plugins, two = installed(), [Listener(), Listener()]
    for number, listener in enumerate(two):
        plugins._manager.register(listener, f"listener-{number}")  # entry points are found only once
    yield two
    for listener in two:
        plugins._manager.unregister(listener)


def test_plugins_hear_of_rules_and_of_calls(root: Path, listeners: list[Listener]) -> None:
    with alerted_run([], delivery="thread", project="p") as run:
        run.alert("mine", "text")
        run.alert("high", when="loss > 5")
        log(run, 1, 8)
        wait_until(lambda: len(listeners[1].heard) == 2)
    for listener in listeners:
        assert [(one.name, one.text, one.step) for one in listener.heard] == [
            ("mine", "text", None),
            ("high", "loss > 5: loss = 8", 1),
        ]
        assert {(one.run_id, one.run_name, one.project) for one in listener.heard} == {(run.id, "x", "p")}


def test_a_courier_that_dies_raises_nothing_twice(root: Path) -> None:
    """The next one reads the journal from its beginning, and knows what was told."""
    with alerted_run(alerts := [], config={"alerts": RULES}) as run:
        log(run, 9)
        file = run.path / ".unitrack" / "alerts.jsonl"
        wait_until(lambda: file.exists() and b"\n" in file.read_bytes())
        ledger = run.path / ".unitrack" / "local.ledger.json"
        os.kill(json.loads(ledger.read_text())["pid"], signal.SIGKILL)
        log(run, 1, 9)
    told = [json.loads(line) for line in file.read_text().splitlines()]
    assert [one["step"] for one in told] == [0, 1]
    assert len(alerts) == 2


def test_a_resumed_run_tells_nothing_again(root: Path) -> None:
    with alerted_run(alerts := [], run_id="x-1", config={"alerts": RULES}, delivery="thread") as run:
        log(run, 9)
    assert len(alerts) == 1
    with alerted_run(alerts := [], run_id="x-1", resume="must", config={"alerts": RULES}, delivery="thread") as run:
        run.log_metrics({"loss": 1.0}, step=1)
    assert alerts == []
    assert len(unitrack.runs(run.path)[0].history("loss")) == 2


def test_a_bad_rule_is_an_error_before_the_run(root: Path) -> None:
    with pytest.raises(unitrack.ConfigError, match=r"config: alerts.rules.high: .*did you mean mean"):
        start_run("x", sinks=["local"], config={"alerts": {"rules": {"high": "men(loss, 3) > 1"}}})
    assert not (root / "experiments").exists() or not list((root / "experiments").iterdir())


def test_without_rules_nothing_watches(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run without alerts pays nothing for them."""
    seen: list[Callable[..., Any]] = []
    monkeypatch.setattr("unitrack.delivery.modes._watch_here", lambda *args: seen.append(args[0]))
    with start_run("x", sinks=["local"], delivery="thread") as run:
        log(run, 9)
    assert seen == []
