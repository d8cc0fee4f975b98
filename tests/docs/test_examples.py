"""The examples are installed as their own pyproject.toml says, and do what they are for."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import subprocess
import sys
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

import msgspec
import pytest

import unitrack
from unitrack.hookspecs import RunContext
from unitrack.records import AnyRecord, Metrics, Params, RunEnd, RunStart
from unitrack.testing import SinkDriver

EXAMPLES = Path(__file__).parents[2] / "examples"
SCRIPTS = sorted(EXAMPLES.glob("*.py"))
PAGE = EXAMPLES.parent / "docs" / "how-to" / "examples.md"
NEEDS = {
    "offline_then_sync": ["unitrack_mlflow"],
    "pytorch_loop": ["torch"],
    "scikit_learn": ["matplotlib", "sklearn", "skops"],
    "sweep": ["optuna"],
    "switching_backends": ["unitrack_mlflow", "unitrack_tensorboard"],
}
"""What a script needs beside the core."""
LASTS_AT_MOST_S = 90
"""Only against hanging: the longest took 30 s on two cores that other processes used too."""
VARIABLES_OF_BACKENDS = ("MLFLOW_", "WANDB_", "TENSORBOARD_", "TRACKIO_")


@pytest.fixture
def jsonl(install_plugin: Any) -> None:
    """The sink example, installed."""
    _install("one_file_sink", install_plugin)


@pytest.fixture
def team_rules(install_plugin: Any) -> None:
    """The validator example, installed."""
    _install("validators", install_plugin)


def _install(example: str, install_plugin: Any) -> None:
    install_plugin(EXAMPLES / example, (EXAMPLES / example / "pyproject.toml").read_text())


def _records(file: Path) -> list[AnyRecord]:
    return [msgspec.json.decode(line, type=AnyRecord) for line in file.read_bytes().splitlines()]


def test_sink_holds_what_was_logged(jsonl: None) -> None:
    """From another process, bit for bit, beside the local files."""
    with unitrack.start_run("digits", sinks=["local", {"jsonl": {"folder": "out"}}], params={"lr": 1e-3}) as run:
        for step in range(100):
            run.log_metrics({"loss": 1 / (step + 3)}, step=step)
    assert run.finish().ok
    records = _records(run.path / "out" / f"{run.id}.jsonl")
    assert isinstance(records[0], RunStart)
    assert [record.params for record in records if isinstance(record, Params)] == [{"lr": 1e-3}]
    points = [(record.step, record.metrics) for record in records if isinstance(record, Metrics)]
    assert points == [(step, {"loss": 1 / (step + 3)}) for step in range(100)]
    assert isinstance(records[-1], RunEnd)
    assert records[-1].status == "finished"


def test_sink_option_that_it_does_not_know(jsonl: None) -> None:
    """Raises in the caller, with the nearest right one."""
    with pytest.raises(unitrack.ConfigError, match="did you mean 'folder'"):
        unitrack.start_run(sinks=[{"jsonl": {"foldr": "out"}}])


def test_sink_after_a_crash(jsonl: None, tmp_path: Path) -> None:
    """What was not committed comes again, and is there once."""
    from unitrack_jsonl import JsonlOptions, JsonlSink

    def drive(run: RunContext, checkpoint: dict[str, Any] | None) -> SinkDriver:
        driver = SinkDriver(JsonlSink(JsonlOptions(folder=str(tmp_path / "out"))), run, checkpoint)
        driver.open()
        return driver

    run = SinkDriver.make_run(tmp_path / "run")
    first = drive(run, None)
    first.metrics({"loss": 0.5}, step=0)
    first.flush()
    lost = first.metrics({"loss": 0.25}, step=1)
    first.close()
    second = drive(run, first.checkpoint)
    second.flush()
    second.close()
    third = drive(run, second.checkpoint)
    third.batch([lost])
    third.end()
    points = [record for record in _records(tmp_path / "out" / "run0001.jsonl") if isinstance(record, Metrics)]
    assert [(record.step, record.metrics) for record in points] == [(0, {"loss": 0.5}), (1, {"loss": 0.25})]


def test_sink_passes_the_conformance_suite() -> None:
    """As its author runs it: pytest, in the folder of the example."""
    folder = EXAMPLES / "one_file_sink"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", str(folder)]
    environ = os.environ | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=140)
    assert done.returncode == 0, done.stdout


def test_validators_refuse_and_change(team_rules: None, tmp_path: Path) -> None:
    """In the log call, naming the culprit; what is fine passes."""
    (tmp_path / "model.pkl").write_bytes(b"\x80\x04.")
    with unitrack.start_run(sinks=["local"], delivery="inline") as run:
        run.log_metrics({"accuracy": 0.93})
        run.log_params({"data": str(Path.home() / "digits")})
        with pytest.raises(ValueError, match=r"'val/accuracy'.*log a fraction"):
            run.log_metrics({"val/accuracy": 93.0})
        with pytest.raises(ValueError, match=r"'model\.pkl'.*pickles run code"):
            run.log_artifact("model.pkl")
    assert '"~/digits"' in (run.path / "params.json").read_text()
    assert (run.path / "metrics.jsonl").read_text().count("\n") == 1


def test_plugins_new_writes_the_example() -> None:
    """The one example, under the names of a new plugin; it is to be taken in at a glance."""
    sink = (EXAMPLES / "one_file_sink" / "unitrack_jsonl.py").read_text()
    assert sink.count("\n") < 90
    template = resources.files("unitrack.cli") / "plugin_templates" / "plugin.py.txt"
    values = {"name": "jsonl", "module": "unitrack_jsonl", "class_name": "Jsonl"}
    assert Template(template.read_text("utf-8")).substitute(values) == sink


def test_plugins_page_shows_the_example() -> None:
    """As it is."""
    page = EXAMPLES.parent / "docs" / "how-to" / "write-a-backend.md"
    assert (EXAMPLES / "one_file_sink" / "unitrack_jsonl.py").read_text() in page.read_text()


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_script_prints_what_the_page_shows(script: Path, tmp_path: Path) -> None:
    """In an empty folder, as a program of its own."""
    lacking = [package for package in NEEDS.get(script.stem, []) if importlib.util.find_spec(package) is None]
    if lacking:
        pytest.skip(f"needs {', '.join(lacking)}")
    shown = re.search(
        rf"\(\.\./\.\./examples/{script.name}\)(?:(?!^## ).)*?^```text\n(.*?)^```", PAGE.read_text(), re.S | re.M
    )
    assert shown is not None, f"docs/how-to/examples.md has no output of {script.name}"
    environ = {name: value for name, value in os.environ.items() if not name.startswith(VARIABLES_OF_BACKENDS)}
    command = [sys.executable, str(script)]
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=LASTS_AT_MOST_S)
    assert done.returncode == 0, done.stderr
    assert done.stdout == shown[1], done.stderr


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_script_is_short(script: Path) -> None:
    """It fits a screen, and its docstring says in two lines what it shows."""
    text = script.read_text()
    assert text.count("\n") < 60
    docstring = ast.get_docstring(ast.parse(text))
    assert docstring is not None
    assert docstring.count("\n") < 2
