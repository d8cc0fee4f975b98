"""Doing a run once more, as planned, and comparing what came out."""

from __future__ import annotations

import os
import secrets
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from unitrack.config.sinks import DEFAULT_BACKEND
from unitrack.delivery.status import read_run_state
from unitrack.environment.record import PATCH, RECORD, Environment
from unitrack.environment.snapshot import is_environment
from unitrack.errors import ConfigError, UnitrackError
from unitrack.reading import StoredRun, runs
from unitrack.rerun.command import arguments_of, folder_of
from unitrack.rerun.fetching import fetch_part
from unitrack.rerun.interpreter import CURRENT, RECORDED, current_python, find_uv, make_environment
from unitrack.rerun.metrics import compare_metrics
from unitrack.rerun.packages import source_folders
from unitrack.rerun.plan import Plan, read_record
from unitrack.rerun.result import Result
from unitrack.rerun.surroundings import differences
from unitrack.rerun.workplace import ENDING, Workplace, handlers
from unitrack.rerun.worktree import checked_out, inside
from unitrack.run.reruns import RerunTerms
from unitrack.run.start import RERUN
from unitrack.run.trial_run import VARIABLE as TRIAL_VARIABLE
from unitrack.runfolder.requests import find_requests
from unitrack.runfolder.run_folder import RunFolder

_DELIVERY_S = 60.0
"""How long the local files of a new run may take after the program has ended: its couriers finish them."""
_RECORD_S = 5.0
"""How long the record of the environment may take after everything else: another courier may write it."""
_IMPORT_PATH = "PYTHONPATH"
_LEFT_OUT = (
    "UNITRACK_EXEC_RUN",
    TRIAL_VARIABLE,
    "UNITRACK_RUN_ID",
    "UNITRACK_MODE",
    "PYTHONHOME",
    "PYTHONSTARTUP",
)
"""Variables that lead to another run, or to another Python."""


class Started(msgspec.Struct, frozen=True):
    """What a rerun has started."""

    exit_code: int
    folders: tuple[Path, ...]
    """The run folders, in the order in which they were started."""


def execute(
    plan: Plan,
    run: StoredRun,
    environment: Environment,
    place: Workplace,
    *,
    keep: bool,
    to_stderr: bool,
    say: Callable[[str], None],
) -> Started:
    """Check the code out, make the environment, run the program and wait for it. Raises `ConfigError`.

    `keep`: the workplace is kept once the program has started. `to_stderr`: what the program prints goes to standard
    error. `say` gets what is being done.
    """
    folder = place.folder
    patch = fetch_part(run, PATCH, folder) if plan.code.has_patch else None
    with checked_out(plan.code, place, patch=patch, links=plan.links) as top:
        python = current_python()
        if plan.environment != CURRENT:
            say("making the environment")
            lock = None if plan.environment == RECORDED else plan.environment
            python = make_environment(environment, folder, top, python=plan.python, uv=find_uv(), lock=lock)
        arguments = arguments_of(environment, top, python)
        cwd = _working_directory(plan, environment, top)
        started = folder / "started"
        terms = RerunTerms(
            of=plan.run_id,
            root=plan.root,
            sinks=plan.sinks,
            started=str(started),
            token=secrets.token_hex(3),
            project=plan.project,
            seed=plan.seed,
            code=str(top),
            home=plan.home,
        )
        variables = _variables(plan, terms, python)
        _set_import_path(variables, environment, top, is_new=plan.environment != CURRENT)
        say(f"running {' '.join(plan.command)}")
        code = _run(arguments, cwd, variables, place, keep=keep, to_stderr=to_stderr)
        folders = [Path(line) for line in started.read_text().splitlines()] if started.exists() else []
        for path in folders:
            settle(path)  # its courier captures the environment, for which the code must be there
    return Started(code, tuple(folders))


def _working_directory(plan: Plan, environment: Environment, top: Path) -> Path:
    cwd = folder_of(environment.command, top)
    if not cwd.is_dir() and plan.folder is not None and environment.command.cwd_in_repository is not None:
        cwd.mkdir(parents=True)  # it held only files that git ignores
    if not cwd.is_dir():
        raise ConfigError(f"the working directory of the run, {cwd}, is not on this machine")
    return cwd


def settle(path: Path) -> None:
    """Wait, at most a minute, until the local files of a run that has ended hold everything, its record included."""
    begun = time.monotonic()
    settled = None
    while time.monotonic() - begun < _DELIVERY_S:
        folder = RunFolder(path)
        local = [sink for sink in read_run_state(folder).sinks if sink.backend == DEFAULT_BACKEND]
        if find_requests(folder.spool) or not all(sink.state == "complete" and not sink.pending for sink in local):
            settled = None
        elif os.path.exists(path / "artifacts" / RECORD):
            return
        else:
            settled = settled or time.monotonic()
            if time.monotonic() - settled > _RECORD_S:
                return
        time.sleep(0.05)


def _variables(plan: Plan, terms: RerunTerms, python: Path) -> dict[str, str]:
    variables = {name: value for name, value in os.environ.items() if name not in _LEFT_OUT} | plan.variables
    variables[RERUN] = msgspec.json.encode(terms).decode()
    variables["PATH"] = os.pathsep.join((str(python.parent), variables.get("PATH", os.defpath)))
    if plan.environment != CURRENT:
        variables["VIRTUAL_ENV"] = str(python.parent.parent)
    return variables


def _set_import_path(variables: dict[str, str], environment: Environment, top: Path, *, is_new: bool) -> None:
    """Set PYTHONPATH as it was, but to the code of the run where it led into the repository."""
    before = environment.variables.get(_IMPORT_PATH, "" if is_new else variables.get(_IMPORT_PATH, ""))
    root = environment.git.root if environment.git else ""
    entries = [
        str(top / Path(entry).relative_to(root)) if root and inside(Path(entry), Path(root)) else entry
        for entry in filter(None, before.split(os.pathsep))
    ]
    variables[_IMPORT_PATH] = os.pathsep.join((*source_folders(environment, top), *entries))
    if not variables[_IMPORT_PATH]:
        del variables[_IMPORT_PATH]


def _run(
    arguments: Sequence[str], cwd: Path, variables: dict[str, str], place: Workplace, *, keep: bool, to_stderr: bool
) -> int:
    """Run the program and return its exit code. Ctrl-C reaches it through the terminal, other signals are passed on."""
    running: list[subprocess.Popen[bytes]] = []

    def pass_on(number: int, frame: object) -> None:
        if not running:
            raise SystemExit(128 + number)
        running[0].send_signal(number)

    with handlers(dict.fromkeys(ENDING, pass_on)):
        try:
            running.append(subprocess.Popen(arguments, cwd=cwd, env=variables, stdout=2 if to_stderr else None))
        except OSError as error:
            raise ConfigError(f"can't start {arguments[0]!r}: {error.strerror}") from error
        place.is_kept = keep
        while True:
            try:
                return running[0].wait()
            except KeyboardInterrupt:
                continue  # the program decides how it ends


def compare(
    first: StoredRun,
    environment: Environment,
    started: Started,
    folder: Path,
    *,
    tolerance: float,
    ignore: Sequence[str],
) -> Result:
    """Return how the rerun differs from the run. Raises `ConfigError` if the program has started no run."""
    if not started.folders:
        raise ConfigError(
            f"the program ended with exit code {started.exit_code} and has started no run; files that git ignores, "
            "such as data, are not in the code of a run: take them from the work tree by --link PATH"
        )
    candidates = [runs(path)[0] for path in started.folders]
    again = _counterpart(first, candidates)
    try:
        found = tuple(differences(environment, read_record(again, folder / "record")))
    except UnitrackError as error:
        found = (f"that of the rerun is not known: {error}",)
    return Result(
        run_id=first.unitrack_id or first.id,
        rerun_id=again.id,
        rerun_name=again.name,
        exit_code=started.exit_code,
        status=(first.status, again.status),
        metrics=tuple(compare_metrics(first, again, tolerance=tolerance, ignore=ignore)),
        params=tuple(_params(first, again)),
        environment=found,
    )


def _counterpart(first: StoredRun, candidates: Sequence[StoredRun]) -> StoredRun:
    """Return the earliest of those that are most like the first run: by name, then params, then metrics."""
    if len(candidates) == 1:
        return candidates[0]

    def likeness(run: StoredRun) -> tuple[bool, int, int]:
        return (
            run.name == first.name,
            -sum(1 for _ in _params(first, run)),
            -len(set(run.summary) ^ set(first.summary)),
        )

    return max(candidates, key=likeness)


def _params(first: StoredRun, again: StoredRun) -> Iterator[str]:
    """Yield the params that differ, in words; those of the environment apart."""
    for name in dict.fromkeys([*first.params, *again.params]):
        if not is_environment(name):
            before, after = first.params.get(name), again.params.get(name)
            if before != after:
                yield f"{name}: {before!r} became {after!r}"
