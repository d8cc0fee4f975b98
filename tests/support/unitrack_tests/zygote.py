"""A process that has imported what trainers need, and forks one for each request: a thousand deaths in minutes.

`python -m unitrack_tests.zygote FD MODULE ...` answers requests on a socket, one at a time. A trainer is a fork that
leaves the loop and runs at the top of the program, so it ends as any script does: by `sys.exit`, an exception, a
signal.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_MESSAGE_BYTES = 65536


class Child:
    """A forked process. It reports through a pipe, which is read while it is waited for."""

    def __init__(self, zygote: Zygote, pid: int, reports: int) -> None:
        self.pid = pid
        self._zygote = zygote
        self._reports = reports
        self._read = bytearray()
        self._lines = 0

    def reported(self, line: bytes, timeout: float = 60) -> None:
        """Wait until it reports this."""
        deadline = time.monotonic() + timeout
        while line + b"\n" not in self._read:
            assert time.monotonic() < deadline, f"no {line!r}; see {self._zygote.log}"
            self.run_for(0.001)

    def run_until(self, lines: int, timeout: float = 60) -> None:
        """Wait until it has reported so many lines."""
        deadline = time.monotonic() + timeout
        while self._lines < lines:
            assert time.monotonic() < deadline, f"{lines} lines never came; see {self._zygote.log}"
            self.run_for(0.001)

    def run_for(self, seconds: float) -> None:
        """Let it work."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if select.select([self._reports], [], [], left)[0]:
                self.feed()

    def send(self, signum: int) -> None:
        """Send it a signal. One that has died but was not waited for takes it, too."""
        os.kill(self.pid, signum)

    def wait(self, timeout: float = 60) -> int:
        """Wait for its death; its exit code, as `subprocess` gives it."""
        status: int = self._zygote.ask({"wait": self.pid, "timeout": timeout}, feed=self)
        return os.waitstatus_to_exitcode(status)

    def reports(self) -> list[str]:
        """The whole lines that it has written in its life. Only once it is dead."""
        while data := os.read(self._reports, _MESSAGE_BYTES):
            self._read += data
        os.close(self._reports)
        return self._read.decode().split("\n")[:-1]

    def fileno(self) -> int:
        """The pipe's, for `select`."""
        return self._reports

    def feed(self) -> bool:
        """Take what is in the pipe, lest it fills; False at its end."""
        data = os.read(self._reports, _MESSAGE_BYTES)
        self._read += data
        self._lines += data.count(b"\n")
        if not data:
            time.sleep(0.001)  # it is dying
        return bool(data)


class Zygote:
    """The side of the tests."""

    def __init__(self, modules: tuple[str, ...], log: Path, environment: dict[str, str] | None = None) -> None:
        self.log = log
        self._channel, theirs = socket.socketpair()
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "unitrack_tests.zygote", str(theirs.fileno()), *modules],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=os.environ | (environment or {}),
            )
        theirs.close()

    def fork(self, call: str, **arguments: Any) -> Child:
        """A child that runs `module:function` with a function to report with, and these arguments."""
        reader, writer = os.pipe()
        request = json.dumps({"call": call, "arguments": arguments}).encode()
        socket.send_fds(self._channel, [request], [writer])
        os.close(writer)
        return Child(self, self._answer(), reader)

    def ask(self, request: dict[str, Any], feed: Child) -> int:
        """Send a request and return its answer, reading the child's reports meanwhile."""
        self._channel.sendall(json.dumps(request).encode())
        waiting: list[Any] = [self._channel, feed]
        while self._channel not in (ready := select.select(waiting, [], [])[0]):
            if feed in ready and not feed.feed():
                waiting.remove(feed)
        return self._answer()

    def _answer(self) -> int:
        answer = self._channel.recv(_MESSAGE_BYTES)
        assert answer, f"the zygote has died; see {self.log}: {self.log.read_text()[-2000:]}"
        return int(answer)

    def close(self) -> None:
        """End the process."""
        self._channel.close()
        self._process.wait(30)


@contextlib.contextmanager
def zygote(folder: Path, *modules: str, **environment: str) -> Iterator[Zygote]:
    """One that has imported these modules."""
    serving = Zygote(modules, folder / "zygote.log", environment)
    try:
        yield serving
    finally:
        serving.close()


def _wait(pid: int, timeout: float) -> int:
    """The wait status of a child, which is killed if it does not die in time."""
    deadline = time.monotonic() + timeout
    pause = 0.0005
    while time.monotonic() < deadline:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return status
        time.sleep(pause)
        pause = min(2 * pause, 0.02)
    print(f"{pid} did not die within {timeout} s", file=sys.stderr, flush=True)
    os.kill(pid, signal.SIGKILL)
    return os.waitpid(pid, 0)[1]


def _serve(channel: socket.socket) -> tuple[dict[str, Any], int]:
    """Answer requests. Returns in a forked child only: what it is to do, and where to report."""
    children: set[int] = set()
    while True:
        message, descriptors, _, _ = socket.recv_fds(channel, _MESSAGE_BYTES, 1)
        if not message:
            for pid in children:  # of a test that failed
                os.kill(pid, signal.SIGKILL)
            sys.exit()
        request = json.loads(message)
        if "wait" in request:
            channel.sendall(b"%d" % _wait(request["wait"], request["timeout"]))
            children.discard(request["wait"])
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # an SDK's threads are no concern of the child's
            pid = os.fork()
        if pid == 0:
            channel.close()
            return request, descriptors[0]
        children.add(pid)
        os.close(descriptors[0])
        channel.sendall(b"%d" % pid)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs begin with it ignored
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # and those of nohup with this one
    for module in sys.argv[2:]:
        importlib.import_module(module)
    task, reports = _serve(socket.socket(fileno=int(sys.argv[1])))
    module, _, function = task["call"].partition(":")
    getattr(importlib.import_module(module), function)(lambda line: os.write(reports, line), **task["arguments"])
