"""The plan of a rerun: everything that is done, decided before anything is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from unitrack.config.sinks import DEFAULT_BACKEND
from unitrack.environment.record import CALL, RECORD, Environment, read_environment
from unitrack.errors import ConfigError, NotFoundError
from unitrack.names import nearest
from unitrack.reading import StoredRun
from unitrack.records import RERUN_OF
from unitrack.rerun.code import Code, find_code
from unitrack.rerun.command import check_command
from unitrack.rerun.fetching import fetch_part
from unitrack.rerun.git import has_work_tree, try_git
from unitrack.rerun.interpreter import CURRENT, RECORDED, find_python, find_uv
from unitrack.rerun.packages import differing, shown
from unitrack.terminal.console import cell
from unitrack.values.redaction import REDACTED

if TYPE_CHECKING:
    from rich.console import Console


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How a run is done once more."""

    run_id: str
    run_name: str
    project: str
    code: Code
    command: tuple[str, ...]
    """As it was typed: "python", "train.py", ..."""
    folder: str | None
    """The working directory below the top of the code; outside of it an absolute path."""
    environment: str
    """`current`, `recorded`, or the path of a lock file in the code."""
    python: str
    """The interpreter that `uv venv` gets; "" for the current environment."""
    packages: str
    """In words."""
    variables: dict[str, str]
    seed: int | None
    """The seed that the configuration gave, which the rerun gets as well."""
    called_seed: int | None
    """The seed that the program has set itself, and will set again."""
    links: tuple[str, ...]
    root: str
    sinks: tuple[str, ...]
    home: str
    """Where files and databases of sinks are that would lie in the code, which is removed afterwards."""
    notes: tuple[str, ...]

    def print_to(self, console: Console) -> None:
        """Print the plan, a line for each part."""
        console.print(cell(f"Rerun of {self.run_name}  {self.run_id}", "bold"), soft_wrap=True)
        for title, text in self._rows():
            console.print(cell(f"  {title:<12}") + cell(text), soft_wrap=True)
        for note in self.notes:
            console.print(cell(f"  {'note':<12}{note}", "yellow"), soft_wrap=True)

    def _rows(self) -> Iterator[tuple[str, str]]:
        yield "code", f"{self.code.described}, of {self.code.repository}"
        for one in self.code.inner:
            yield "repository", str(one) if one.path not in self.links else f"{one.path}, linked"
        if self.code.lfs is not None:
            yield "git-lfs", self.code.lfs.in_words()
        yield "command", " ".join(self.command)
        yield "folder", self.folder or "the top of the code"
        yield "packages", self.packages
        for name, value in self.variables.items():
            yield "variable", f"{name}={value}"
        if self.seed is not None:
            yield "seed", f"{self.seed}, of the configuration"
        if self.called_seed is not None:
            yield "seed", f"{self.called_seed}, which the program sets"
        for link in self.links:
            yield "link", f"{link}, from {self.code.repository}"
        yield "new run", f"in {self.root}, sinks {', '.join(self.sinks)}, tag {RERUN_OF}={self.run_id}"


class Wishes(msgspec.Struct, frozen=True, kw_only=True):
    """What the user may choose of a rerun."""

    environment: str = RECORDED
    repository: Path | None = None
    links: tuple[str, ...] = ()
    sinks: tuple[str, ...] = (DEFAULT_BACKEND,)
    root: Path
    """The folder for the new run, absolute."""


def read_record(run: StoredRun, folder: Path) -> Environment:
    """Return the environment that a run has recorded, by way of a folder for its file.

    Raises `ConfigError` if it has recorded none, and `SourceError` if that can't be read.
    """
    try:
        return read_environment(fetch_part(run, RECORD, folder).read_bytes())
    except NotFoundError:
        if CALL in {artifact.name for artifact in run.artifacts}:
            raise ConfigError(
                f"the record of run {run.id} is not complete: its packages and its code were not captured, or have "
                "not arrived; `unitrack sync` takes up what is left"
            ) from None
        raise ConfigError(
            f"run {run.id} has no record of its environment, so it can't be rerun: record it with "
            "run.log_environment(), or `reproducibility: {log_environment: true}` in unitrack.yaml"
        ) from None
    except (ValueError, OSError) as error:
        raise ConfigError(f"the record of run {run.id}, {RECORD}, can't be read: {error}") from error


def make_plan(run: StoredRun, environment: Environment, wishes: Wishes, here: Path) -> Plan:
    """Return how a run is done once more. Raises `ConfigError` if it can't be."""
    run_id = run.unitrack_id or run.id
    check_command(run_id, environment)
    code = find_code(run, environment, repository=wishes.repository, here=here)
    _check_lock(wishes.environment, code)
    python, packages, notes = _packages(environment, wishes.environment)
    variables = {name: value for name, value in environment.variables.items() if REDACTED not in value}
    hidden = [name for name in environment.variables if name not in variables]
    if hidden:
        notes = (*notes, f"redacted in the record, so taken from here as they are: {', '.join(hidden)}")
    if environment.machine.host and environment.machine.host != os.uname().nodename:
        notes = (*notes, f"the run was on another machine, {environment.machine.host}")
    command = environment.command
    given = environment.seeds.get("seed")
    seed, is_configured = given if isinstance(given, int) else None, environment.seeds.get("is_configured") is True
    return Plan(
        run_id=run_id,
        run_name=run.name,
        project=run.project,
        code=code,
        command=_as_typed(environment),
        folder=command.cwd if command.cwd_in_repository is None else command.cwd_in_repository,
        environment=wishes.environment if python else CURRENT,
        python=python,
        packages=packages,
        variables=variables,
        seed=seed if is_configured else None,
        called_seed=None if is_configured else seed,
        links=wishes.links,
        root=str(wishes.root),
        sinks=wishes.sinks,
        home=code.repository if has_work_tree(code.repository) else str(here),
        notes=(*code.notes, *notes),
    )


def _check_lock(wanted: str, code: Code) -> None:
    """Raise `ConfigError` if `--env` names a file that is not in the code."""
    if wanted in (CURRENT, RECORDED) or code.has_patch:
        return
    if try_git(code.repository, "cat-file", "-e", f"{code.commit}:{wanted}") is None:
        close = nearest(wanted, (CURRENT, RECORDED))
        hint = f"did you mean {close}?" if close else f"it is {RECORDED}, {CURRENT}, or the path of a lock file in it"
        raise ConfigError(f"--env {wanted}: there is no {wanted} in the code of the run; {hint}")


def _packages(environment: Environment, wanted: str) -> tuple[str, str, tuple[str, ...]]:
    """Return the interpreter for a new environment ("" for the current one), what is in it in words, and notes."""
    others = differing(environment) if environment.packages else []
    if wanted == CURRENT:
        if not environment.packages:
            return "", "those of the current environment; none are recorded", ()
        same = "those of the current environment, which are the recorded ones"
        return "", f"those of the current environment, which differ: {shown(others)}" if others else same, ()
    if wanted == RECORDED and not environment.packages:
        raise ConfigError("the record names no packages: use the current environment, --env current")
    if wanted == RECORDED and not others:
        return "", f"{len(environment.packages)} as recorded; the current environment has them", ()
    uv = find_uv()
    python, note = find_python(environment, uv)
    notes = (note,) if note else ()
    if wanted != RECORDED:
        return python, f"those of {wanted} in the code, in a new environment of {python}", notes
    count = len(environment.packages)
    return python, f"{count} as recorded, in a new environment of {python} ({shown(others)})", notes


def _as_typed(environment: Environment) -> tuple[str, ...]:
    command = environment.command
    if Path(command.script).parent == Path(environment.python.prefix, "bin"):
        return (Path(command.script).name, *command.argv[1:])
    program = ("-m", command.module) if command.module else (command.argv[0] if command.argv else command.script,)
    return ("python", *command.options, *program, *command.argv[1:])
