"""Finding the configuration file, and reading it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unitrack.config.checking import SECTIONS
from unitrack.config.layers import KeyPath, Layer, make_layer
from unitrack.errors import ConfigError
from unitrack.limits import MIB

MAX_FILE_BYTES = MIB
"""A configuration is a few kilobytes; more is the wrong file."""

MAX_KEY_PARTS = 100
"""Of a dotted TOML key: Python's parser takes the square of their number."""
_LONG_KEY = re.compile(rb"(?<![\w-])(?:[\w-]++[ \t]*+\.[ \t]*+){%d}" % MAX_KEY_PARTS)

YAML_NAMES = ("unitrack.yaml", "unitrack.yml")
EXPERIMENT_FILE = Path("config", "experiment.yaml")
PYPROJECT = "pyproject.toml"


def find_file(directory: Path) -> Layer | None:
    """Return the file of the nearest folder, from `directory` upward, that configures unitrack.

    In one folder unitrack.yaml comes before unitrack.yml, that before the table `tool.unitrack` of pyproject.toml, and
    that before config/experiment.yaml. Other programs use that name as well, so it counts only if all its sections are
    unitrack's.
    """
    for folder in (directory, *directory.parents):
        for name in YAML_NAMES:
            if os.path.isfile(path := folder / name):
                return read_file(path)
        if os.path.isfile(path := folder / PYPROJECT):
            # Most pyproject files never mention unitrack: no need to parse those, or to trip over their mistakes.
            content = _content(path)
            if b"unitrack" in content and (layer := _toml_layer(path, content)) is not None:
                return layer
        if os.path.isfile(path := folder / EXPERIMENT_FILE) and (layer := _experiment_layer(path)) is not None:
            return layer
    return None


def user_file(environ: Mapping[str, str]) -> Path:
    """Return the path of the user's own configuration, which holds for all projects; it may not exist."""
    base = environ.get("XDG_CONFIG_HOME") or os.path.join(os.path.expanduser("~"), ".config")
    return Path(base, "unitrack", "config.yaml")


def _experiment_layer(path: Path) -> Layer | None:
    try:
        layer = read_file(path)
    except ConfigError:  # it may be the file of another program
        return None

    return layer if layer.values and layer.values.keys() <= SECTIONS.keys() else None


def read_file(path: Path, *, aliases: bool = False) -> Layer:
    """Return the configuration in a YAML file, or in a TOML file: pyproject.toml's `tool.unitrack`, another one's top
    level.

    `aliases`: whether the YAML may have some.

    Raises `ConfigError` if there is no such file, if it can't be read, or if it is not a mapping.
    """
    content = _content(path)
    if path.suffix == ".toml":
        if (layer := _toml_layer(path, content)) is None:
            raise ConfigError(f"{path}: there is no table [tool.unitrack]")
        return layer
    from unitrack.config.yamlfile import read_yaml  # noqa: PLC0415  # PyYAML costs 11 ms

    values, lines = read_yaml(_decoded(path, content), str(path), aliases=aliases)
    return _layer(path, values, lines)


def _content(path: Path) -> bytes:
    if not path.exists():
        raise ConfigError(f"{path}: there is no such configuration file")
    if not path.is_file():
        raise ConfigError(f"{path}: expected a configuration file, found something else")
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path}: can't be read: {error.strerror}") from error
    if len(content) > MAX_FILE_BYTES:
        raise ConfigError(f"{path}: larger than {MAX_FILE_BYTES} bytes, so hardly a configuration file")
    return content


def _decoded(path: Path, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}:{line}: expected UTF-8 text") from None


def _toml_layer(path: Path, content: bytes) -> Layer | None:
    import tomllib  # noqa: PLC0415  # 2 ms

    if _LONG_KEY.search(content):
        raise ConfigError(f"{path}: not valid TOML: a key has more than {MAX_KEY_PARTS} parts")
    try:
        values: Any = tomllib.loads(_decoded(path, content))
    except ConfigError:
        raise
    except (ValueError, RecursionError) as error:  # a TOMLDecodeError, or a number of thousands of digits
        raise ConfigError(f"{path}: not valid TOML: {error}") from None
    if path.name == PYPROJECT:
        tool = values.get("tool")
        values = tool.get("unitrack") if isinstance(tool, dict) else None
        if values is None:
            return None
    return _layer(path, values, {})


def _layer(path: Path, values: object, lines: dict[KeyPath, int]) -> Layer:
    return make_layer(str(path), {} if values is None else values, lines)
