"""Help pages, and the two ways to call the program."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import typer.main
from typer.testing import Result

import unitrack
from unitrack.cli import app

Invoke = Callable[..., Result]


def _commands() -> Iterator[tuple[str, ...]]:
    def below(command: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        yield path
        for name, inner in getattr(command, "commands", {}).items():
            yield from below(inner, (*path, name))

    return below(typer.main.get_command(app), ())


@pytest.fixture(params=_commands(), ids=" ".join)
def page(request: pytest.FixtureRequest, invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """The help of each command, asked for in both ways."""
    monkeypatch.setenv("COLUMNS", "100")
    return invoke(*request.param, "-h").stdout, invoke(*request.param, "--help").stdout


def test_both_options_show_the_same_help(page: tuple[str, str]) -> None:
    short, long = page
    assert "Usage: unitrack" in short.replace("Usage: root", "Usage: unitrack")
    assert short == long


def test_no_types_and_no_doubled_brackets(page: tuple[str, str]) -> None:
    """`[RUN|FOLDER]...`, not `[[RUN|ROOT]...]...`; `--json`, not `--json <bool>`."""
    text, _ = page
    for noise in ("<bool>", "<str>", "<path>", "<int", "list[", "[[", "...]...", "{"):
        assert noise not in text, noise


def test_python_m_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "unitrack", "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"unitrack {unitrack.__version__}\n")
    done = subprocess.run([sys.executable, "-m", "unitrack", "show", "nothing"], capture_output=True, text=True)
    assert (done.returncode, done.stderr[:16]) == (2, "error: 'nothing'")
