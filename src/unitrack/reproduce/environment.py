"""The environment as params: Python, platform, packages, the git commit. What can't be found out is left out."""

from __future__ import annotations

import platform
import subprocess
import sys
from typing import Any

from unitrack.installation import CORE

_FRAMEWORKS = ("torch", "tensorflow", "jax", "numpy", "scikit-learn", "xgboost", "lightgbm", "transformers")
"""Packages whose versions change results: they have params of their own, to sort and filter by."""
_GIT_TIMEOUT_S = 5


def capture_environment() -> dict[str, Any]:
    """Python version, platform, `capture_git`, the versions of the ML packages as "torch_version" and the like, and
    below `packages` those of all installed distributions, by their names in lower case.
    """
    packages = _installed_versions()
    captured: dict[str, Any] = {"python_version": sys.version, "platform": platform.platform(), **capture_git()}
    for package in (*_FRAMEWORKS, CORE):
        if package in packages:
            captured[f"{package.removesuffix('-core').replace('-', '_')}_version"] = packages[package]
    return captured | {"packages": packages}


def _installed_versions() -> dict[str, str]:
    from importlib.metadata import distributions

    found: dict[str, str] = {}
    for distribution in distributions():
        name = distribution.name  # None where the metadata is damaged
        if name:
            found.setdefault(name.lower().replace("_", "-"), distribution.version)  # the first is what is imported
    return dict(sorted(found.items()))


def capture_git() -> dict[str, Any]:
    """`git_hash` ("unknown" outside a repository or without git) and, if known, `git_dirty`."""
    commit = _git("rev-parse", "HEAD")
    if commit is None:
        return {"git_hash": "unknown"}
    changes = _git("status", "--porcelain", "--untracked-files=no")
    return {"git_hash": commit, **({} if changes is None else {"git_dirty": bool(changes)})}


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True, timeout=_GIT_TIMEOUT_S)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
