"""Writes a ready distribution of a plugin: one that works, whose tests pass, and that says what to change."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path
from string import Template

from unitrack.errors import ConfigError
from unitrack.plugins.registry import OFFICIAL, installed

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_FILES = {
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    "plugin.py": "{module}.py",
    "test_conformance.py": "test_conformance.py",
}
"""Template -> file."""


def write_plugin(name: str, directory: Path) -> Path:
    """Write `unitrack-<name>` into `directory`, and return its folder.

    Raises `ConfigError` if the name can't be one or is taken, or the folder is there already or can't be made.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{name!r} can't be a backend's name: use lower-case letters, digits and single hyphens")
    if name in {*OFFICIAL, *installed().backends}:
        raise ConfigError(f"there is a backend {name!r} already (see `unitrack plugins`): choose another name")
    folder = directory / f"unitrack-{name}"
    module = f"unitrack_{name.replace('-', '_')}"
    values = {"name": name, "module": module, "class_name": "".join(part.capitalize() for part in name.split("-"))}
    try:
        folder.mkdir(parents=True)
        for template, file in _FILES.items():
            text = resources.files("unitrack.cli").joinpath("plugin_templates", f"{template}.txt").read_text("utf-8")
            (folder / file.format(module=module)).write_text(Template(text).substitute(values), encoding="utf-8")
    except FileExistsError:
        raise ConfigError(f"{str(folder)!r} is there already: choose another name, or another --dir") from None
    except OSError as error:
        raise ConfigError(f"can't write {str(folder)!r}: {error.strerror}") from error
    return folder
