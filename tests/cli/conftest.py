"""Runs to look at, and two ways to call the command line: in this process, and as a user does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from unitrack import DeliveryWarning, Run, limits, start_run
from unitrack.cli import app


@pytest.fixture(autouse=True)
def no_width(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a pipe; pytest-xdist sets COLUMNS in its workers."""
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture
def invoke() -> Callable[..., Result]:
    """Call a command in this process; an exception is the test's failure."""

    def call(*arguments: object) -> Result:
        return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)

    return call


@pytest.fixture
def call_program() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Call the installed program; `path` is added to what Python imports from."""
    return _call_program


def _call_program(
    *arguments: object, path: Path | None = None, timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("unitrack")
    search = os.pathsep.join(part for part in (str(path or ""), os.environ.get("PYTHONPATH", "")) if part)
    return subprocess.run(
        [program, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": search},
        capture_output=True,
        encoding="utf-8",
        timeout=timeout,
    )


@pytest.fixture
def complete_run(root: Path) -> Run:
    """A run that has arrived: params, tags, an artifact, three points of "loss"."""
    run = start_run("done", run_id="done-1", project="p", sinks=["local"], delivery="inline", tags={"kind": "test"})
    run.log_params({"lr": 0.5, "model": {"depth": 4}})
    for step, loss in enumerate((3.0, 1.0, 2.0)):
        run.log_metrics({"loss": loss}, step=step)
    run.log_text("hello", "notes.txt")
    run.finish()
    return run


@pytest.fixture
def pending_run(root: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run of four records that "local" has, and that "probe", which was down just once, has not."""
    with monkeypatch.context() as patched:
        patched.setattr(limits, "RETRY_FIRST_S", 30.0)  # on a busy machine the second try would come in time else
        return _run_in_trouble("open_run", "must_reopen", times=1)


@pytest.fixture
def run_in_trouble(root: Path) -> Callable[..., Run]:
    """Make a finished run whose sink "probe" gets into trouble in a hook."""
    return _run_in_trouble


def _run_in_trouble(hook: str, kind: str, **more: Any) -> Run:
    troubles = [{"hook": hook, "kind": kind, **more}]
    sinks: list[Any] = ["local", {"probe": {"out": str(Path("backend").absolute()), "troubles": troubles}}]
    run = start_run("stuck", run_id="stuck-1", sinks=sinks, delivery="inline")
    run.log_metrics({"loss": 1.0}, step=0)
    run.log_metrics({"loss": 2.0}, step=1)
    with pytest.warns(DeliveryWarning):
        run.finish(timeout=0)
    return run
