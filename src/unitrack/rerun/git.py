"""The git commands of a rerun."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from unitrack.environment.git import inherited_variables
from unitrack.environment.repository import COMMIT
from unitrack.errors import ConfigError

_TIMEOUT_S = 600
"""A checkout of a large repository takes minutes."""
_END_S = 10
"""How long git may take to undo what it has begun, when it is told to end."""
_NO_LFS = ("-c", "filter.lfs.smudge=", "-c", "filter.lfs.process=", "-c", "filter.lfs.required=false")
"""Where git-lfs is configured and not installed git fails, unless it is told to leave its files alone."""


def run_git(folder: str | Path, *arguments: str) -> str:
    """Run git in a folder and return what it printed. No hooks run. Raises `ConfigError` with what git said."""
    return _run(folder, arguments, b"").decode(errors="replace").strip()


def try_git(folder: str | Path, *arguments: str) -> str | None:
    """Run git in a folder and return what it printed; None if it fails."""
    try:
        return run_git(folder, *arguments)
    except ConfigError:
        return None


def has_commit(repository: str | Path, commit: str | None) -> bool:
    """Return whether a repository holds a commit, which is given by its whole hash."""
    if commit is None or not COMMIT.fullmatch(commit):
        return False
    return try_git(repository, "cat-file", "-e", f"{commit}^{{commit}}") is not None


def has_work_tree(repository: str) -> bool:
    """Return whether a repository has one: a bare one has none."""
    return try_git(repository, "rev-parse", "--is-inside-work-tree") == "true"


def has_git_lfs() -> bool:
    """Return whether git-lfs is installed."""
    return shutil.which("git-lfs") is not None


def read_objects(repository: str | Path, names: Sequence[str]) -> Iterator[bytes]:
    """Yield the contents of objects of a repository, in their order. Raises `ConfigError`."""
    rest = _run(repository, ("cat-file", "--batch"), "".join(f"{name}\n" for name in names).encode()) if names else b""
    for _ in names:
        head, _, rest = rest.partition(b"\n")
        size = int(head.rsplit(b" ", 1)[-1])
        yield rest[:size]
        rest = rest[size + 1 :]


def _run(folder: str | Path, arguments: Sequence[str], feed: bytes) -> bytes:
    options = ("-C", str(folder), "-c", "core.hooksPath=/dev/null", *(() if has_git_lfs() else _NO_LFS))
    try:
        process = subprocess.Popen(
            ["git", *options, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=inherited_variables() | {"GIT_TERMINAL_PROMPT": "0"},
        )
    except FileNotFoundError:
        raise ConfigError("a rerun needs git, which is not on the PATH: install it") from None
    try:
        output, said = process.communicate(feed, timeout=_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        _end(process)
        raise ConfigError(f"git {arguments[0]} in {folder} took longer than {_TIMEOUT_S} s") from None
    except BaseException:
        _end(process)
        raise
    if process.returncode:
        reason = said.decode(errors="replace").strip() or f"exit code {process.returncode}"
        raise ConfigError(f"git {' '.join(arguments[:2])} failed in {folder}: {reason}")
    return output


def _end(process: subprocess.Popen[bytes]) -> None:
    """End git so that it can remove what it has begun. Its filters may hold the pipes, which are not waited for."""
    process.terminate()
    try:
        process.wait(_END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
