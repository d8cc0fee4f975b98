"""A real MLflow server on SQLite, on this machine."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import requests

SERVER_START_S = 240


class Server(NamedTuple):
    """A server's process."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def wait(self) -> str:
        """Return its URL once it answers; raises TimeoutError if it does not."""
        end = time.monotonic() + SERVER_START_S
        while time.monotonic() < end and self.process.poll() is None:
            try:
                if requests.get(f"{self.url}/health", timeout=1).ok:
                    return self.url
            except requests.RequestException:
                time.sleep(0.1)
        raise TimeoutError(f"the server did not start:\n{self.log.read_text()}")


@contextmanager
def serving(folder: Path, database: str | None = None, workers: int = 1) -> Iterator[Server]:
    """Run a server that keeps everything in `folder`; it starts in the background.

    `database`: its URL; not given: `mlflow.db` in the folder.
    """
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", str(workers), "--allowed-hosts", f"127.0.0.1:{port}"]
    command += ["--backend-store-uri", database or f"sqlite:///{folder / 'mlflow.db'}"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    env = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env=env, start_new_session=True)
        try:
            yield Server(f"http://127.0.0.1:{port}", process, folder / "log")
        finally:
            with suppress(ProcessLookupError):  # it did not start
                os.killpg(process.pid, signal.SIGKILL)  # it would wait for idle connections to close
            process.wait()


def free_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
