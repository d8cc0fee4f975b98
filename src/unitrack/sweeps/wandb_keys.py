"""Reading the keys of a mapping with their checks, and the problems that come up, each with its place in the file."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from unitrack.config.checking import shown
from unitrack.config.layers import KeyPath, Layer, dotted
from unitrack.errors import ConfigError
from unitrack.names import nearest

_EXPONENT = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+")
"""A number such as 1e-4, which YAML 1.1, and so PyYAML, takes for text."""


class Problems:
    """The problems of a file."""

    def __init__(self, layer: Layer) -> None:
        self._layer = layer
        self._found: dict[KeyPath, list[str]] = {}

    def add(self, path: KeyPath, text: str) -> None:
        """Add the problem of a key; () for the file as a whole."""
        self._found.setdefault(path, []).append(text)

    def count(self) -> int:
        """Return the number of problems so far."""
        return sum(map(len, self._found.values()))

    def replace(self, path: KeyPath, text: str) -> None:
        """Add the problem of a key in place of those that it has."""
        self._found[path] = [text]

    def raise_any(self) -> None:
        """Raise `ConfigError` with a line for each problem, in the order of the file; do nothing without one."""
        lines = self._layer.lines
        ordered = sorted(self._found.items(), key=lambda one: next(
            (lines[one[0][:length]] for length in range(len(one[0]), 0, -1) if one[0][:length] in lines), 0
        ))  # fmt: skip
        told = [
            f"{self._layer.where(path)}: {f'{dotted(path)}: ' if path else ''}{text}"
            for path, texts in ordered
            for text in texts
        ]
        if len(told) == 1:
            raise ConfigError(told[0])
        if told:
            raise ConfigError("\n  ".join([f"{len(told)} problems in the sweep:", *told]))


class Keys:
    """The keys of one mapping."""

    def __init__(
        self,
        values: Mapping[Any, Any],
        path: KeyPath,
        problems: Problems,
        known: Collection[str],
        elsewhere: Mapping[str, str] | None = None,
    ) -> None:
        """`elsewhere`: keys that are known but can't be followed, and why. Unknown keys become problems at once."""
        self.values, self._path, self._problems = values, path, problems
        for key in values:
            if elsewhere and key in elsewhere:
                self.problem(str(key), f"can't be followed here: {elsewhere[key]}")
            elif key not in known:
                similar = nearest(str(key), known)
                hint = f'did you mean "{similar}"?' if similar else f"known here: {', '.join(known)}"
                self.problem(str(key), f"unknown key; {hint}")

    def problem(self, key: str | int | None, text: str) -> None:
        """Add the problem of a key of this mapping, or of the mapping itself."""
        self._problems.add(self._path if key is None else (*self._path, key), text)

    def mapping(self, key: str, known: Collection[str]) -> Keys | None:
        """Return the keys of a mapping; None if it is missing or something else."""
        given = self.values.get(key)
        if isinstance(given, Mapping):
            return Keys(given, (*self._path, key), self._problems, known)
        if key in self.values:
            self.problem(key, f"expected a mapping with {', '.join(known)}, got {shown(key, given)}")
        return None

    def text(self, key: str, *, required: bool = False) -> str | None:
        """Return a text that is not empty; a number counts as one."""
        given = self.values.get(key)
        if isinstance(given, str) and given:
            return given
        if isinstance(given, int | float) and not isinstance(given, bool):
            return str(given)
        self._missing_or_wrong(key, "text", required=required)
        return None

    def choice(self, key: str, choices: Sequence[str], *, required: bool = False) -> str | None:
        """Return one of some texts."""
        given = self.values.get(key)
        if isinstance(given, str) and given in choices:
            return given
        options = " or ".join([", ".join(choices[:-1]), choices[-1]]) if len(choices) > 1 else choices[0]
        similar = nearest(given, choices) if isinstance(given, str) else None
        self._missing_or_wrong(key, options, required=required, hint=f'; did you mean "{similar}"?' if similar else "")
        return None

    def boolean(self, key: str) -> bool | None:
        """Return true or false."""
        given = self.values.get(key)
        if isinstance(given, bool):
            return given
        self._missing_or_wrong(key, "true or false")
        return None

    def number(self, key: str, *, required: bool = False) -> float | None:
        """Return a finite number, as int or float."""
        number = as_number(self.values.get(key))
        if number is None:
            self._missing_or_wrong(key, "a finite number", required=required)
        return number

    def integer(self, key: str, *, least: int) -> int | None:
        """Return an integer that is at least `least`."""
        given = as_number(self.values.get(key))
        if given is not None and given == int(given) and given >= least:
            return int(given)
        self._missing_or_wrong(key, f"an integer >= {least}")
        return None

    def _missing_or_wrong(self, key: str, expected: str, *, required: bool = False, hint: str = "") -> None:
        if key in self.values:
            self.problem(key, f"expected {expected}, got {shown(key, self.values[key])}{hint}")
        elif required:
            self.problem(None, f"there is no `{key}`: expected {expected}")


def as_number(value: object) -> float | None:
    """Return a finite number, also one written as 1e-4, which is text in YAML 1.1; None for anything else."""
    value = number_if_exponent(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return value


def number_if_exponent(value: object) -> Any:
    """Return a float for a text such as 1e-4, anything else as it is."""
    return float(value) if isinstance(value, str) and _EXPONENT.fullmatch(value) else value
