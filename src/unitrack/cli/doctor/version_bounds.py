"""Whether the packages that unitrack and its plugins stand on have the versions that they were tested with."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import metadata

from unitrack.hookspecs import Finding
from unitrack.plugins.entry_points import find_entry_points
from unitrack.system.installation import CORE, install_command

_REQUIREMENT = re.compile(r"\s*([\w.-]+)\s*(?:\[[^]]*\])?\s*\(?([^;()]*)\)?\s*")
_BOUND = re.compile(r"\s*(>=|<=|>|<)\s*(\d+(?:\.\d+)*)\s*")
_RELEASE = re.compile(r"(?:\d+!)?(\d+(?:\.\d+)*)")


def check_versions() -> Iterator[Finding]:
    """Yield each package that is missing or outside of the bounds that an installed plugin or the core declares."""
    declared = sorted({entry.distribution for entry in find_entry_points("unitrack")})
    is_well = True
    for distribution in declared:
        for package, bounds in _requirements(distribution):
            found = _version(package)
            if found is not None and _is_within(found, bounds):
                continue
            is_well = False
            wanted = f"{package}{bounds}"
            is_there = f"{package} {found} is installed" if found else f"{package} is not installed"
            yield Finding(
                ok=False,
                subject="versions",
                message=f"{is_there}, but {distribution} needs {wanted}: `python -m pip install '{wanted}'`",
            )
    if is_well:
        verb = "needs" if len(declared) == 1 else "need"
        yield Finding(ok=True, subject="versions", message=f"what {', '.join(declared)} {verb} is installed")


def check_namesake() -> Iterator[Finding]:
    """Yield a failure if the distribution `unitrack` of another project lies here: both have a package of this name."""
    found = _version("unitrack")
    if found is not None:
        mend = f"`pip uninstall unitrack`, then `{install_command(CORE)} --force-reinstall`"
        message = f"unitrack {found}, another project's distribution, is installed, too, and may replace files: {mend}"
        yield Finding(ok=False, subject="namesake", message=message)


def _requirements(distribution: str) -> Iterator[tuple[str, str]]:
    """Yield packages and bounds such as ">=3.9,<4". Those that only an extra or another system needs are left out."""
    try:
        required = metadata.requires(distribution) or []
    except metadata.PackageNotFoundError:
        return
    for requirement in required:
        found = _REQUIREMENT.fullmatch(requirement)
        if found is not None:
            yield found[1], found[2].replace(" ", "")


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _is_within(version: str, bounds: str) -> bool:
    """Compare release numbers; the core has no library for versions. Other forms of bounds hold for any version."""
    release = _RELEASE.match(version)
    for bound in map(_BOUND.fullmatch, bounds.split(",")):
        if release is None or bound is None:
            continue
        is_less, is_same = _numbers(release[1]) < _numbers(bound[2]), _numbers(release[1]) == _numbers(bound[2])
        fits = {">=": not is_less, "<": is_less, ">": not is_less and not is_same, "<=": is_less or is_same}
        if not fits[bound[1]]:
            return False
    return True


def _numbers(release: str) -> list[int]:
    """Return the numbers of a release without zeros at its end: 3.9 and 3.9.0 are the same."""
    numbers = [int(number) for number in release.split(".")]
    while numbers and not numbers[-1]:
        numbers.pop()
    return numbers
