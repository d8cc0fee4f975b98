"""The packages of a run: whether this environment has them, and how another one gets them."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from unitrack.environment.packages import installed_packages
from unitrack.environment.record import Environment, Package
from unitrack.errors import ConfigError
from unitrack.rerun.worktree import inside

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_VERSION = re.compile(r"[A-Za-z0-9.!+_-]+")
_URL = re.compile(r"[\x21-\x7e]+")
"""Nothing of a record may become another line, or an option, of a requirements file."""


def differing(environment: Environment) -> list[str]:
    """Return how the packages of this interpreter differ from the recorded ones, in words; none if they are the same.

    Of editable ones nothing but their presence is compared, since their code is not in them.
    """
    here = {package.name: package.version for package in installed_packages(seconds=0)}
    recorded = {package.name: package for package in environment.packages}
    found = []
    number = sys.version.split()[0]
    if environment.python.number != number:
        found.append(f"Python {environment.python.number} there, {number} here")
    for name, package in recorded.items():
        if name not in here:
            found.append(f"{name} {package.version} there, missing here")
        elif not package.editable and here[name] != package.version:
            found.append(f"{name} {package.version} there, {here[name]} here")
    further = sum(1 for name in here if name not in recorded)
    if further:
        found.append("1 package only here" if further == 1 else f"{further} packages only here")
    return found


def requirements(environment: Environment, top: Path) -> list[str]:
    """Return the recorded packages as lines of a requirements file; editable ones of the repository from `top`.

    Raises `ConfigError` for a package that can't be installed from what is recorded.
    """
    return [_requirement(package, environment, top) for package in environment.packages]


def source_folders(environment: Environment, top: Path) -> list[str]:
    """Return the folders of the work tree from which its own packages are imported: those that were editable.

    In `PYTHONPATH` they come before the editable installs of this environment, which lead to the user's work tree.
    """
    folders: list[str] = []
    for _, folder in own_packages(environment, top):
        folders += [str(source) for source in (folder / "src", folder) if source.is_dir()]
    return folders


def own_packages(environment: Environment, top: Path) -> Iterator[tuple[Package, Path]]:
    """Yield the editable packages of the repository, with their folders in the work tree."""
    root = environment.git.root if environment.git else ""
    for package in environment.packages:
        place = _local_path(package)
        if root and package.editable and place is not None and inside(place, Path(root)):
            yield package, top / place.relative_to(root)


def _requirement(package: Package, environment: Environment, top: Path) -> str:
    name = package.name
    parts = (package.url or "-", package.commit or "-", package.subdirectory or "-")
    if not (_NAME.fullmatch(name) and _VERSION.fullmatch(package.version) and all(map(_URL.fullmatch, parts))):
        raise ConfigError(f"the record names a package that can't be one: {name!r} {package.version!r} {package.url!r}")
    for own, folder in own_packages(environment, top):
        if own.name == name:
            return f"-e {folder.as_uri()}"
    place = _local_path(package)
    if place is not None and place.exists():
        return f"-e {package.url}" if package.editable else f"{name} @ {package.url}"
    if place is not None and package.editable:
        raise ConfigError(f"{name} was installed from {place}, which is not here: use --env current")
    if place is not None or not package.url:
        return f"{name}=={package.version}"
    url = package.url
    if package.commit:
        url = f"{url if url.startswith('git+') else f'git+{url}'}@{package.commit}"
    return f"{name} @ {url}" + (f"#subdirectory={package.subdirectory}" if package.subdirectory else "")


def _local_path(package: Package) -> Path | None:
    parts = urlsplit(package.url)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None


def shown(lines: Iterable[str], most: int = 3) -> str:
    """Return the first of several lines in one, and how many more there are."""
    listed = list(lines)
    more = f"; {len(listed) - most} more" if len(listed) > most else ""
    return "; ".join(listed[:most]) + more
