"""The environment as params: Python, platform, packages, the git commit. Facts that are unknown are left out."""

from __future__ import annotations

import contextlib
import os
import platform
import sys
from collections.abc import Collection, Mapping
from typing import Any

from unitrack.environment.call import LATER
from unitrack.environment.git import Git, GitError
from unitrack.environment.record import Environment
from unitrack.system.installation import CORE

_FRAMEWORKS = ("torch", "tensorflow", "jax", "numpy", "scikit-learn", "xgboost", "lightgbm", "transformers")
"""Packages whose versions change results: they have params of their own, to sort and filter by."""
_MODULES = {"scikit-learn": "sklearn"}
_GIT_TIMEOUT_S = 5
_VERSIONS = {package: f"{package.removesuffix('-core').replace('-', '_')}_version" for package in (*_FRAMEWORKS, CORE)}
"""The params of the versions of those packages."""
_PARAMS = {"python_version", "platform", "git_hash", "git_dirty", *_VERSIONS.values()}
_PACKAGES = "packages."


def capture_environment() -> dict[str, Any]:
    """Return the Python version, the platform, `capture_git`, the versions of the ML packages as "torch_version" and
    the like, and below `packages` those of all installed distributions, by their names in lower case.
    """
    from unitrack.environment.packages import installed_packages  # noqa: PLC0415  # importlib.metadata costs 20 ms

    packages = {package.name: package.version for package in installed_packages(seconds=0)}
    captured: dict[str, Any] = {"python_version": sys.version, "platform": platform.platform(), **capture_git()}
    captured |= {param: packages[package] for package, param in _VERSIONS.items() if package in packages}
    return captured | {"packages": packages}


def call_params(call: Environment) -> dict[str, Any]:
    """Return the params that the call of `log_environment` logs itself; `completed_params` has the rest."""
    captured: dict[str, Any] = {"python_version": call.python.version, "platform": call.platform}
    if call.git is not None:
        captured["git_hash"] = call.git.commit
    elif call.git_note != LATER:
        captured["git_hash"] = "unknown"
    for package in _FRAMEWORKS:
        module = sys.modules.get(_MODULES.get(package, package))
        version = getattr(module, "__version__", None)
        if isinstance(version, str):
            captured[_VERSIONS[package]] = str(version)  # torch's is a subclass
    return captured


def completed_params(whole: Environment, logged: Collection[str]) -> dict[str, Any]:
    """Return the params of a whole record, without those that the call has logged."""
    packages = {package.name: package.version for package in whole.packages}
    captured: dict[str, Any] = {"git_hash": (whole.git and whole.git.commit) or "unknown"}
    if whole.git is not None and whole.git.dirty is not None:
        captured["git_dirty"] = whole.git.dirty
    captured |= {param: packages[package] for package, param in _VERSIONS.items() if package in packages}
    return {name: value for name, value in captured.items() if name not in logged} | {"packages": packages}


def is_package(param: str) -> bool:
    """Return whether a param, by its dotted name, is the version of an installed distribution."""
    return param.startswith(_PACKAGES)


def is_environment(param: str) -> bool:
    """Return whether a param, by its dotted name, is one of those that `capture_environment` gives."""
    return param in _PARAMS or param.startswith(_PACKAGES)


def recorded_environment(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the environment among a run's params, as `capture_environment` gave it; empty if none was logged."""
    if "python_version" not in params:  # "platform" alone may be a param of the user's
        return {}
    found = {name: value for name, value in params.items() if is_environment(name)}
    packages = {name.removeprefix(_PACKAGES): found.pop(name) for name in list(found) if name.startswith(_PACKAGES)}
    return found | {"packages": packages}


def capture_git() -> dict[str, Any]:
    """Return `git_hash` ("unknown" outside a repository or without git) and, if known, `git_dirty`."""
    git = Git(os.curdir, _GIT_TIMEOUT_S)
    captured: dict[str, Any] = {"git_hash": "unknown"}
    with contextlib.suppress(GitError):
        captured["git_hash"] = git.line("rev-parse", "--verify", "HEAD")
        captured["git_dirty"] = bool(git.output("status", "--porcelain", "--untracked-files=no"))
    return captured
