"""How the environments of two runs differ, in words."""

from __future__ import annotations

from collections.abc import Iterator

from unitrack.environment.record import Environment

_PLACES = {"PYTHONPATH", "VIRTUAL_ENV"}
"""Variables that lead to the code of the run and to its packages, wherever these lie."""


def differences(first: Environment, again: Environment) -> Iterator[str]:
    """Yield what differs between the environments of a run and of its rerun; the folders they lie in don't count."""
    facts = {
        "Python": (first.python.number, again.python.number),
        "platform": (first.platform, again.platform),
        "host": (first.machine.host, again.machine.host),
        "CPU": (first.machine.cpu, again.machine.cpu),
        "GPUs": (_gpus(first), _gpus(again)),
        "GPU driver": (first.machine.driver, again.machine.driver),
        "container": (first.container, again.container),
        "code": (_tree(first), _tree(again)),
    }
    for name, (before, after) in facts.items():
        if before != after:
            yield f"{name}: {before or 'none'} became {after or 'none'}"
    yield from _packages(first, again)
    for name in sorted({*first.variables, *again.variables} - _PLACES):
        was, is_now = first.variables.get(name), again.variables.get(name)
        if was != is_now:
            yield f"{name}: {was or 'not set'} became {is_now or 'not set'}"


def _packages(first: Environment, again: Environment) -> Iterator[str]:
    if not (first.packages and again.packages):
        return
    before = {package.name: package.version for package in first.packages if not package.editable}
    after = {package.name: package.version for package in again.packages if not package.editable}
    editable = {package.name for one in (first, again) for package in one.packages if package.editable}
    for name in sorted({*before, *after} - editable):
        if before.get(name) != after.get(name):
            yield f"{name}: {before.get(name, 'not installed')} became {after.get(name, 'not installed')}"


def _gpus(environment: Environment) -> str:
    return ", ".join(gpu.name for gpu in environment.machine.gpus)


def _tree(environment: Environment) -> str:
    return environment.git.tree[:12] if environment.git else ""
