"""The git commands of a rerun."""

from __future__ import annotations

import subprocess
from pathlib import Path

from unitrack.environment.git import inherited_variables
from unitrack.environment.repository import COMMIT
from unitrack.errors import ConfigError

_TIMEOUT_S = 600
"""A checkout of a large repository takes minutes."""


def run_git(folder: str | Path, *arguments: str) -> str:
    """Run git in a folder and return what it printed. No hooks run. Raises `ConfigError` with what git said."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), "-c", "core.hooksPath=/dev/null", *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            env=inherited_variables() | {"GIT_TERMINAL_PROMPT": "0"},
            timeout=_TIMEOUT_S,
            check=True,
        )
    except FileNotFoundError:
        raise ConfigError("a rerun needs git, which is not on the PATH: install it") from None
    except subprocess.TimeoutExpired:
        raise ConfigError(f"git {arguments[0]} in {folder} took longer than {_TIMEOUT_S} s") from None
    except subprocess.CalledProcessError as error:
        said = error.stderr.strip() or f"exit code {error.returncode}"
        raise ConfigError(f"git {' '.join(arguments[:2])} failed in {folder}: {said}") from None
    return done.stdout.strip()


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
