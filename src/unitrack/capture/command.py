"""Running a program captured: it takes the place of this process, so that all else is as without us."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from unitrack.capture.children import capturing_environment
from unitrack.capture.sdks import REPLACEABLE, SDKS
from unitrack.capture.session import session
from unitrack.capture.starting import check_configuration, make_choice
from unitrack.errors import ConfigError

_UNSEEN = "-I", "-E", "-S"
"""Options with which Python reads no PYTHONPATH, or no `sitecustomize`."""


def run_captured(
    command: Sequence[str], only: Sequence[str] = (), replace: Sequence[str] = (), sinks: Sequence[str] | None = None
) -> NoReturn:
    """Replace this process by a command that is captured; see `unitrack.capture` for the rest.

    Raises `ConfigError` for a wrong name or configuration, and `OSError` if the command can't be executed.
    """
    session.begin(make_choice(only, replace, sinks))
    check_configuration()
    sys.stdout.flush()
    sys.stderr.flush()
    os.execvpe(command[0], list(command), os.environ | capturing_environment(session.choice, os.environ))


def names_in(text: str | None) -> list[str]:
    """Return the names in a list with commas."""
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def run_module(arguments: Sequence[str]) -> NoReturn:
    """Run `python -m unitrack.capture ARGUMENTS`: a script, or `-m` and a module, as this Python would run it."""
    parser = argparse.ArgumentParser(
        prog="python -m unitrack.capture",
        description="Run a Python script; what it logs through W&B, MLflow, TensorBoard or trackio goes to unitrack.",
    )
    parser.add_argument("--sinks", metavar="NAMES", help="sinks, with commas; default: the configured ones")
    parser.add_argument("--only", metavar="NAMES", help=f"what to capture, of {', '.join(SDKS)}; default: all")
    parser.add_argument(
        "--replace", metavar="NAMES", help=f"whose backend gets nothing, of {', '.join(REPLACEABLE)}; default: none"
    )
    parser.add_argument("-m", dest="module", nargs=argparse.REMAINDER, help="a module and its arguments")
    parser.add_argument("script", nargs=argparse.REMAINDER, help="a script and its arguments")
    options = parser.parse_args(arguments)
    program = ["-m", *options.module] if options.module else options.script
    if not program:
        parser.error("give a script, or -m and a module")
    own = _own_options()
    seen = [option for option in own if option in _UNSEEN]
    if seen:
        raise ConfigError(f"python {seen[0]} reads no PYTHONPATH, by which the script is captured: leave it out")
    sinks = names_in(options.sinks) or None
    run_captured([sys.executable, *own, *program], names_in(options.only), names_in(options.replace), sinks)


def _own_options() -> list[str]:
    """Return the options that this Python was started with, such as `-X dev`, before `-m unitrack.capture`."""
    words = sys.orig_argv[1:]
    return words[: words.index("-m")] if "-m" in words else []
