"""The installed distributions with their versions, and where those that are from no index came from (PEP 610)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import Distribution, distributions
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec

from unitrack.environment.git import Git, GitError
from unitrack.environment.record import Package
from unitrack.environment.repository import without_credentials
from unitrack.values.plain import plain_text

_MAX_CHECKOUTS = 50
"""Editable installs whose repositories are looked into."""


def installed_packages(path: Sequence[str] | None = None, *, seconds: float) -> tuple[Package, ...]:
    """Return the distributions on an import path, by name; of several of a name, the one that is imported.

    `path`: None for this process's. `seconds`: how long git may take for the checkouts of editable installs.
    """
    found: dict[str, Package] = {}
    checkouts = 0
    for distribution in distributions() if path is None else distributions(path=list(path)):
        package = _package(distribution)
        if package is None or package.name in found:
            continue
        if package.editable and checkouts < _MAX_CHECKOUTS:
            checkouts += 1
            package = _with_commit(package, seconds)
        found[package.name] = package
    return tuple(found[name] for name in sorted(found))


def normalized(name: str) -> str:
    """Return the name of a distribution as PEP 503 has it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def requirements_of(packages: Iterable[Package], python: str) -> str:
    """Return packages as the lines of a requirements file, which pip and uv read."""
    return "".join([f"# Python {python}\n", *(f"{line}\n" for line in _lines(packages))])


def _lines(packages: Iterable[Package]) -> Iterator[str]:
    for package in packages:
        inside = f"#subdirectory={package.subdirectory}" if package.subdirectory else ""
        if package.editable:
            comment = f"  # {package.name} {package.version}"
            yield f"-e {unquote(urlsplit(package.url).path)}{comment}" + (
                f" at commit {package.commit}" if package.commit else ""
            )
        elif package.commit:
            yield f"{package.name} @ git+{package.url}@{package.commit}{inside}"
        elif package.url:
            yield f"{package.name} @ {package.url}{inside}"
        else:
            yield f"{package.name}=={package.version}"


def _package(distribution: Distribution) -> Package | None:
    try:
        metadata = distribution.metadata
    except OSError:  # newer versions of importlib raise where its file is missing
        return None
    name: str | None = metadata["Name"]
    version: str | None = metadata["Version"]
    if not name or not version:  # its metadata is damaged
        return None
    origin = _origin(distribution)
    directory, control = _mapping(origin.get("dir_info")), _mapping(origin.get("vcs_info"))
    return Package(
        name=normalized(plain_text(name)),
        version=plain_text(version),
        url=without_credentials(str(origin.get("url", ""))),
        commit=plain_text(control.get("commit_id", "")),
        editable=directory.get("editable") is True,
        subdirectory=plain_text(origin.get("subdirectory", "")),
    )


def _origin(distribution: Distribution) -> Mapping[str, Any]:
    try:
        text = distribution.read_text("direct_url.json")
        return _mapping(msgspec.json.decode(text)) if text else {}
    except (OSError, ValueError):
        return {}


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _with_commit(package: Package, seconds: float) -> Package:
    """Return an editable install with the commit of its checkout, and whether that has changes; without, if unknown."""
    folder = unquote(urlsplit(package.url).path)
    if not os.path.isdir(folder):
        return package
    git = Git(folder, seconds)
    try:
        commit = git.line("rev-parse", "--verify", "--quiet", "HEAD^{commit}", ok=(0, 1))
        if not commit:
            return package
        dirty = bool(git.output("status", "--porcelain", "--untracked-files=no", "-z", "--", "."))
    except GitError:
        return package
    return msgspec.structs.replace(package, commit=commit, dirty=dirty)
