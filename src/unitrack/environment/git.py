"""git, run so that it changes nothing of the user's: not the index, not a branch, and no hook of theirs is started."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from unitrack.errors import UnitrackError

_OF_ONE_REPOSITORY = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_OBJECT_DIRECTORY",
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_GRAFT_FILE",
    "GIT_INDEX_FILE",
    "GIT_INDEX_VERSION",
    "GIT_PREFIX",
    "GIT_SHALLOW_FILE",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_EXTERNAL_DIFF",
    "GIT_DIFF_OPTS",
)
"""Variables of `git rev-parse --local-env-vars` and the like. A hook that starts training has them set, and an index
among them that git is about to write. GIT_CONFIG_COUNT stays: it may hold safe.directory."""
_SETTINGS = {
    "core.fsmonitor": "false",  # else status starts a program that the configuration names
    "core.hooksPath": os.devnull,
    "core.quotePath": "false",
    "core.safecrlf": "false",
    "commit.gpgSign": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "submodule.recurse": "false",
}
_VARIABLES = {
    "LC_ALL": "C",  # messages in English
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_LAZY_FETCH": "1",  # of a partial clone, nothing is fetched
    "GIT_AUTHOR_NAME": "unitrack",
    "GIT_AUTHOR_EMAIL": "unitrack@localhost",
    "GIT_COMMITTER_NAME": "unitrack",
    "GIT_COMMITTER_EMAIL": "unitrack@localhost",
}
_FLAGS = [word for name, value in _SETTINGS.items() for word in ("-c", f"{name}={value}")]
_DUBIOUS = "dubious ownership"


class GitError(UnitrackError):
    """git is not there, refuses, fails, or takes too long; the message says which, as a clause."""


class GitTimeoutError(GitError):
    """git took too long."""


class Git:
    """git in one folder, until a deadline."""

    def __init__(self, folder: str | os.PathLike[str], seconds: float) -> None:
        """`seconds`: how long all calls together may take."""
        self.folder = Path(folder)
        self._deadline = time.monotonic() + seconds
        self._seconds = seconds
        self._variables = inherited_variables() | _VARIABLES

    def with_variables(self, **variables: str) -> Git:
        """Return the same with more environment variables, and the same deadline."""
        other = Git(self.folder, 0.0)
        other._deadline, other._seconds = self._deadline, self._seconds
        other._variables = self._variables | variables
        return other

    def output(self, *arguments: str | os.PathLike[str], feed: bytes | None = None, ok: Sequence[int] = (0,)) -> bytes:
        """Return what a command prints. `ok`: the exit codes that are no failure. Raises `GitError`."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise GitTimeoutError(f"git took more than {self._seconds:g} s")
        try:
            done = subprocess.run(
                ["git", *_FLAGS, *arguments],
                cwd=self.folder,
                env=self._variables,
                input=b"" if feed is None else feed,
                capture_output=True,
                timeout=left,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise GitTimeoutError(f"git took more than {self._seconds:g} s ({arguments[0]!s})") from None
        except FileNotFoundError:
            missing = "the folder is gone" if not self.folder.is_dir() else "git is not installed"
            raise GitError(missing) from None
        except OSError as error:
            raise GitError(f"git can't be started ({error.strerror})") from None
        if done.returncode not in ok:
            raise GitError(_reason(done.returncode, done.stderr, arguments))
        return done.stdout

    def line(self, *arguments: str | os.PathLike[str], ok: Sequence[int] = (0,)) -> str:
        """Return the line that a command prints, "" for none. It may hold any character of a path, even a newline."""
        return os.fsdecode(self.output(*arguments, ok=ok).removesuffix(b"\n"))

    def names(self, *arguments: str | os.PathLike[str], feed: bytes | None = None) -> list[bytes]:
        """Return what a command prints with `-z`: texts that end in a NUL byte."""
        return [name for name in self.output(*arguments, feed=feed).split(b"\0") if name]


def inherited_variables() -> dict[str, str]:
    """Return the environment variables of this process without those that lead git to another repository."""
    return {name: value for name, value in os.environ.items() if name not in _OF_ONE_REPOSITORY}


def joined(names: Iterable[bytes]) -> bytes:
    """Return names as git reads them with `-z`."""
    return b"".join(name + b"\0" for name in names)


def _reason(code: int, stderr: bytes, arguments: Sequence[str | os.PathLike[str]]) -> str:
    said = stderr.decode(errors="replace").strip()
    if _DUBIOUS in said:
        return (
            "git refuses a repository of another user (safe.directory); "
            "`git config --global --add safe.directory <folder>` trusts it"
        )
    if "not a git repository" in said:
        return "the folder is in no git repository"
    if "must be run in a work tree" in said:
        return "the repository is bare: it has no work tree"
    first = said.splitlines()[0] if said else f"exit code {code}"
    return f"git {arguments[0]!s} failed: {first}"
