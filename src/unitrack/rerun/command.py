"""The command line of a run, as it is started again: with another interpreter, in another folder."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from unitrack.environment.record import Command, Environment
from unitrack.errors import ConfigError
from unitrack.rerun.worktree import inside
from unitrack.values.redaction import REDACTED


def check_command(run_id: str, environment: Environment) -> None:
    """Raise `ConfigError` if a run can't be started again: a notebook, `python -c`, or arguments that are redacted."""
    command = environment.command
    redacted = [argument for argument in command.argv if REDACTED in argument]
    if command.redacted or redacted:
        raise ConfigError(
            f"arguments of run {run_id} are redacted, since they are secret: {' '.join(redacted) or 'some of them'}; "
            "pass such values by an environment variable, and they need not be recorded"
        )
    if not (command.module or command.script):
        raise ConfigError(
            f"run {run_id} was started from a notebook, an interactive session or `python -c`: there is no program to "
            "run again"
        )


def folder_of(command: Command, top: Path) -> Path:
    """Return the working directory in the work tree; outside of a repository the recorded one."""
    if command.cwd_in_repository is None:
        return Path(command.cwd)
    folder = top / command.cwd_in_repository
    if not inside(folder, top):
        raise ConfigError(f"the recorded working directory {command.cwd_in_repository!r} leads out of the repository")
    return folder


def arguments_of(environment: Environment, top: Path, python: Path) -> list[str]:
    """Return the program and its arguments, with the interpreter `python` and the code in the work tree `top`.

    Raises `ConfigError` for a program that is not there.
    """
    command = environment.command
    start = [str(python), *command.options]
    arguments = list(command.argv[1:])
    if command.module:
        return [*start, "-m", command.module, *arguments]
    script = Path(command.script)
    if script.parent == Path(environment.python.prefix, "bin"):  # of an installed package, such as `unitrack exec`
        beside = python.parent / script.name
        found = str(beside) if beside.exists() else shutil.which(script.name)
        if found is None:
            raise ConfigError(f"the program {script.name!r} is not in the environment of {python}")
        return [found, *arguments]
    if command.script_in_repository:
        script = top / command.script_in_repository
        if not inside(script, top):
            raise ConfigError(f"the recorded script {command.script_in_repository!r} leads out of the repository")
        return [*start, os.path.relpath(script, folder_of(command, top)), *arguments]
    if not script.is_file():
        raise ConfigError(f"the script {script} of the run is not in its repository, and not on this machine")
    return [*start, str(script), *arguments]
