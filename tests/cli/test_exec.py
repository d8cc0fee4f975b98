"""`unitrack exec`, and `unitrack log` and `unitrack artifact` inside it."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import unitrack
from unitrack.reading import StoredRun
from unitrack.run.output import OutputLog

Program = Callable[..., subprocess.CompletedProcess[str]]
UNITRACK = str(Path(sys.executable).with_name("unitrack"))


@pytest.fixture(autouse=True)
def local_files(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNITRACK_SINKS", "local")
    monkeypatch.setenv("PATH", os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])))


def only_run() -> StoredRun:
    [run] = unitrack.runs()
    return run


@contextlib.contextmanager
def running(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """A process that is gone at the end, whatever the test found."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    with process:
        try:
            yield process
        finally:
            process.kill()


def test_a_command_is_a_run(call_program: Program) -> None:
    """Output, exit code, duration, params, tags, and what the command logs itself."""
    script = (
        "echo out; echo err >&2; unitrack log loss=0.5 && unitrack log loss=0.25 --param seen=true; "
        "unitrack log loss=2 --step 7 --tag phase=late; unitrack log loss=3; "
        "echo weights > model.pt; unitrack artifact model.pt --to models; exit 3"
    )
    options = ("--name", "x", "--project", "p", "--param", "lr=0.1", "-p", 'net={"depth": 4}', "--tag", "team=nlp")
    result = call_program("exec", *options, "--", "sh", "-c", script)
    assert (result.returncode, result.stdout) == (3, "out\n")
    assert result.stderr.startswith("err\nrun x (")
    run = only_run()
    assert (run.name, run.project, run.status) == ("x", "p", "failed")
    assert run.params == {"lr": 0.1, "net.depth": 4, "seen": True}
    assert (run.tags["team"], run.tags["phase"]) == ("nlp", "late")
    assert run.tags["command"].startswith("sh -c ")
    assert sorted((step, value) for step, value, _ in run.history("loss")) == [(0, 0.5), (1, 0.25), (7, 2), (8, 3)]
    assert run.metrics["exec/exit_code"].last == 3
    assert (run.metrics["exec/duration_s"].last or 0) > 0
    files = {artifact.name: Path(artifact.file).read_text() for artifact in run.artifacts}
    assert sorted(files["output.log"].split()) == ["err", "out"]
    assert files["models/model.pt"] == "weights\n"


def test_options_of_the_command_are_its_own(call_program: Program) -> None:
    """Without `--` as well, what follows the command is passed on."""
    result = call_program("exec", "printf", "%s %s", "--name", "-n")
    assert (result.returncode, result.stdout) == (0, "--name -n")
    assert only_run().status == "finished"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["no-such-program"], 127, "'no-such-program' is not a program on the PATH"),
        (["/etc/passwd"], 126, "is no program that may be executed"),
        (["--param", "lr", "--", "true"], 2, "--param 'lr' is not NAME=VALUE"),
        (["--sink", "mlfow", "--", "true"], 2, "mlfow"),
    ],
)
def test_what_can_not_start_makes_no_run(call_program: Program, arguments: list[str], code: int, message: str) -> None:
    result = call_program("exec", *arguments)
    assert result.returncode == code
    assert message in result.stderr
    assert len(unitrack.runs()) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["log", "loss=1"], "UNITRACK_EXEC_RUN is not set"),
        (["artifact", "x"], "UNITRACK_EXEC_RUN is not set"),
        (["log", "loss"], "metric 'loss' is not NAME=VALUE"),
        (["log", "loss=high"], "metric 'loss' must be a number, got 'high'"),
        (["log"], "there is nothing to log"),
    ],
)
def test_logging_outside_or_badly_is_an_error(call_program: Program, arguments: list[str], message: str) -> None:
    result = call_program(*arguments)
    assert result.returncode == 2
    assert message in result.stderr


def test_signals_are_passed_on_and_end_the_run_as_killed(root: Path) -> None:
    """SIGUSR1 reaches the command, and SIGTERM ends it; the run is complete and killed."""
    code = (
        "import os, signal, time\n"
        "signal.signal(signal.SIGUSR1, lambda *_: os.write(1, b'got it\\n'))\n"  # `print` may be interrupted in itself
        "print('ready', flush=True)\n"
        "time.sleep(60)"
    )
    with running([UNITRACK, "exec", "--", sys.executable, "-c", code]) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGUSR1)
        assert process.stdout.readline() == "got it\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(100) == 128 + signal.SIGTERM  # delivery on a busy machine may take its whole minute
    assert only_run().status == "killed"


def test_a_command_in_a_terminal_has_a_terminal(root: Path) -> None:
    """Progress bars and colors stay as they are."""
    end, given = pty.openpty()
    command = [UNITRACK, "exec", "--", sys.executable, "-c", "import sys; print(sys.stdout.isatty())"]
    process = subprocess.Popen(command, stdout=given, stderr=subprocess.DEVNULL)
    os.close(given)
    assert process.wait(30) == 0
    assert os.read(end, 100) == b"True\r\n"
    os.close(end)


def test_a_command_whose_reader_is_gone_ends_as_in_a_pipe(root: Path) -> None:
    """`unitrack exec -- yes | head -1` ends."""
    process = subprocess.run(f"{UNITRACK} exec -- yes | head -1", shell=True, capture_output=True, timeout=30)
    assert process.stdout == b"y\n"
    assert only_run().status == "killed"


def test_what_goes_on_in_the_background_is_not_waited_for(root: Path) -> None:
    begun = time.monotonic()
    subprocess.run([UNITRACK, "exec", "--", "sh", "-c", "sleep 20 & echo done"], check=True, stdout=subprocess.DEVNULL)
    assert time.monotonic() - begun < 15


def test_output_is_bounded() -> None:
    """The beginning and the end are kept; how much is left out is said."""
    output = OutputLog(head_bytes=10, tail_bytes=20)
    for number in range(1000):
        output.add(f"{number:04}\n".encode())
    assert output.size == 5000
    text = output.text()
    assert text.startswith("0000\n0001\n\n[")
    assert text.endswith("0999\n")
    assert "4,970 bytes left out" in text
    assert len(text) < 80
