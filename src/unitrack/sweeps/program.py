"""A trial that is a program: its command is rendered, it runs in a process of its own, and its metrics are followed."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec

from unitrack.errors import ConfigError, SweepError, UnitrackError
from unitrack.limits import PROGRAM_GRACE_S
from unitrack.names import nearest
from unitrack.records import flatten
from unitrack.run.launcher import RANK_VARIABLES, WORLD_SIZE_VARIABLES
from unitrack.run.output import OutputFile, OutputLog
from unitrack.run.run import Run
from unitrack.run.trial_run import VARIABLE, TrialFiles
from unitrack.runfolder.run_folder import RunFolder
from unitrack.sweeps.calling import Call
from unitrack.sweeps.commands import render_macros, render_places
from unitrack.sweeps.definition import Definition, nested
from unitrack.sweeps.following import MetricFollower
from unitrack.sweeps.process import ProgramProcess
from unitrack.sweeps.reporting import Reporter

EXEC_VARIABLE = "UNITRACK_EXEC_RUN"
"""As for the command of `unitrack exec`: `unitrack log` in the program logs to the trial's run."""
_POLL_MIN_S, _POLL_MAX_S = 0.02, 0.2
"""How often the program and its metrics are looked at: soon after its start, then less often."""


class Stopping:
    """Tells the threads that run trials that their agent ends: another one may take the trials up."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        """Programs get SIGTERM."""
        self.at_once = threading.Event()
        """They get SIGKILL, without the time of grace."""

    @contextlib.contextmanager
    def at_interrupt(self) -> Iterator[None]:
        """Within the block, have Ctrl-C end the programs before anything else, and a second one at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(signal.SIGINT, self._interrupt)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        (self.at_once if self.asked.is_set() else self.asked).set()
        raise KeyboardInterrupt


class ProgramTrial(msgspec.Struct, frozen=True, kw_only=True):
    """What `unitrack.sweep` calls for a trial that is a program."""

    definition: Definition
    timeout: float | None = None
    """Seconds after which a program counts as hung, and is ended."""
    variables: dict[str, str] = {}
    """Environment variables for the program."""
    stopping: Stopping = msgspec.field(default_factory=Stopping)

    @property
    def call(self) -> Call:
        """How a sweep calls it."""
        return Call(takes_watch=True)

    def __call__(self, run: Run, params: Mapping[str, Any], watch: Reporter) -> None:
        """Run the program of a trial. Raises `SweepError` if it fails, `TrialPruned` if the sweep ended it."""
        folder = RunFolder(run.path)
        files = TrialFiles(folder)
        files.offer(params)
        command = self.command(params, files.params)
        follower, output = MetricFollower(folder), OutputLog()
        file = OutputFile(run, output)
        begun = time.monotonic()
        process = self._start(command, run, output)
        try:
            code = self._watch(process, follower, watch, file)
        except BaseException:
            process.stop(PROGRAM_GRACE_S, self.stopping.at_once)
            raise
        finally:
            process.close()
            with contextlib.suppress(UnitrackError):  # what the trial ended with is told instead
                file.publish()
            follower.close()
        took = time.monotonic() - begun
        run.log_metrics({"exec/exit_code": code, "exec/duration_s": took}, step=0)
        if code:
            raise SweepError(_failure(code, output))
        metric = self.definition.metric
        if metric is not None and metric.name not in watch.last:
            close = nearest(metric.name, [name for name in watch.last if not name.startswith("exec/")])
            hint = f"; did you mean {close!r}?" if close else ""
            raise SweepError(f"the program ended without having logged {metric.name!r}{hint}")

    def command(self, params: Mapping[str, Any], args_file: Path | None = None) -> list[str]:
        """Return the command with the params of a trial."""
        definition = self.definition
        if definition.has_macros:
            return render_macros(definition.command, definition.program, params, args_file)
        return render_places(definition.command, flatten(params))

    def examples(self, count: int) -> list[list[str]]:
        """Return some commands: the first ones of a grid, else ones with values spread over the distributions."""
        parameters = self.definition.parameters
        if self.definition.method == "grid":
            values = itertools.product(*(one.distribution.grid() or () for one in parameters))
        else:
            shares = ((number + 0.5) / count for number in range(count))
            values = ([one.distribution.value_at(share) for one in parameters] for share in shares)  # type: ignore[assignment]
        paths = [one.path for one in parameters]
        return [
            self.command(nested(dict(zip(paths, combination, strict=True))))
            for combination in itertools.islice(values, count)
        ]

    def _start(self, command: list[str], run: Run, output: OutputLog) -> ProgramProcess:
        environ = {name: value for name, value in os.environ.items() if name not in _OF_AGENT}
        folder = str(run.path.absolute())
        try:
            return ProgramProcess(
                command, environ | self.variables | {VARIABLE: folder, EXEC_VARIABLE: folder}, output.add
            )
        except (OSError, ValueError) as error:  # the second: a null byte in an argument
            raise SweepError(f"the program can't be started: {error}") from error

    def _watch(self, process: ProgramProcess, follower: MetricFollower, watch: Reporter, file: OutputFile) -> int:
        """Wait for the end of the program, and return its exit code. Raises what ends the trial before."""
        deadline = None if self.timeout is None else time.monotonic() + self.timeout
        pause = _POLL_MIN_S
        while (code := process.wait(pause)) is None:
            pause = min(1.2 * pause, _POLL_MAX_S)
            for point in follower.read():
                if (stop := watch.see(point.values(), point.step)) is not None:
                    raise stop
            file.tend()
            if self.stopping.asked.is_set():
                raise KeyboardInterrupt
            if deadline is not None and time.monotonic() >= deadline:
                raise SweepError(f"the program had not ended after {self.timeout:g} s, and was ended (--trial-timeout)")
        for point in follower.read(is_over=True):
            watch.note(point.values(), point.step)
        watch.is_over = True
        return code


_OF_AGENT = {*RANK_VARIABLES, *WORLD_SIZE_VARIABLES}
"""An agent may be one of many tasks of a Slurm step. Its trials are no ranks of one training."""


def check_program(command: list[str]) -> None:
    """Raise `ConfigError` if the program of a command is not there. A relative one lies in the working directory."""
    names = command[1:] if command[0] == "/usr/bin/env" else command
    program = next((name for name in names if "=" not in name), None)
    if program is None:
        raise ConfigError(f"the command {' '.join(command)!r} runs no program")
    if shutil.which(program) is None:
        exists = os.path.exists(program)
        why = "is no program that may be executed" if exists else "is not a program on the PATH"
        raise ConfigError(f"{program!r} {why}: no trial was started")


def _failure(code: int, output: OutputLog) -> str:
    """Return how a program failed: its exit code or signal, and the last line of its output."""
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"the program was ended by {signal.Signals(-code).name}"
        return f"the program was ended by signal {-code}"
    last = output.last_line()
    return f"the program exited with code {code}{f': {last}' if last else ''}"
