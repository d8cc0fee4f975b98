"""The command of a trial: the macros of W&B's sweeps, or `{name}` in place of a parameter."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from unitrack.errors import ConfigError
from unitrack.names import nearest

DEFAULT_COMMAND = ("${env}", "${interpreter}", "${program}", "${args}")
"""W&B's."""
ARGS_FILE = "${args_json_file}"
MACROS = (
    "env", "interpreter", "program", "args", "args_no_hyphens", "args_no_equals", "args_no_boolean_flags", "args_json",
    "args_json_file", "args_append_hydra", "args_override_hydra",
)  # fmt: skip

_MACRO = re.compile(r"\$\{(.*)\}", re.DOTALL)
_VARIABLE = re.compile(r"\$\{envvar:([A-Za-z0-9_]*)\}")
_PLACE = re.compile(r"\{\{|\}\}|\{([A-Za-z_][A-Za-z0-9_.\-]*)\}")


def macro_problem(part: str) -> str | None:
    """Return what is wrong with a part of W&B's `command`; None if nothing is."""
    for name in _VARIABLE.findall(part):
        if name not in os.environ:
            return f"the environment variable {name} is not set"
    rest = _VARIABLE.sub("", part)
    found = _MACRO.fullmatch(rest)
    if found is None or found[1] in MACROS:
        return None
    similar = nearest(found[1], MACROS)
    hint = f"did you mean ${{{similar}}}?" if similar else f"known: {', '.join(f'${{{name}}}' for name in MACROS)}"
    return f"unknown macro {rest}; {hint}"


def render_macros(
    command: Sequence[str], program: str | None, params: Mapping[str, Any], args_file: Path | None = None
) -> list[str]:
    """Return a command of W&B's form with its macros replaced.

    `params`: by name; nested ones are mappings, which W&B writes as Python does. `args_file`: what `${args_json_file}`
    becomes. A part that is a macro and more, such as `--file=${args_json_file}`, stays as it is, as in W&B.
    """
    replaced = _arguments(params) | {
        "env": ["/usr/bin/env"],
        "interpreter": [interpreter()],
        "program": [program or ""],
        "args_json_file": [str(args_file)],
    }
    rendered: list[str] = []
    for part in command:
        text = _VARIABLE.sub(lambda found: os.environ.get(found[1], found[1]), part)
        found = _MACRO.fullmatch(text)
        rendered += replaced[found[1]] if found is not None and found[1] in replaced else [text]
    return rendered


def interpreter() -> str:
    """Return what `${interpreter}` stands for: `python`, as in W&B, or this Python where there is no such program."""
    return "python" if shutil.which("python") else sys.executable


def _arguments(params: Mapping[str, Any]) -> dict[str, list[str]]:
    pairs = [f"{name}={value}" for name, value in params.items()]
    flags = [
        f"--{name}" if isinstance(value, bool) else f"--{name}={value}"
        for name, value in params.items()
        if value is not False
    ]
    return {
        "args": [f"--{pair}" for pair in pairs],
        "args_no_hyphens": pairs,
        "args_no_equals": [part for name, value in params.items() for part in (f"--{name}", str(value))],
        "args_no_boolean_flags": flags,
        "args_json": [json.dumps(params)],
        "args_append_hydra": [f"+{pair}" for pair in pairs],
        "args_override_hydra": [f"++{pair}" for pair in pairs],
    }


def check_places(command: Sequence[str], names: Collection[str]) -> None:
    """Raise `ConfigError` if a command has `{name}` for something that is no parameter."""
    for part in command:
        for name in _places(part):
            if name not in names:
                similar = nearest(name, names)
                hint = f"did you mean {{{similar}}}?" if similar else f"there are {', '.join(names)}."
                raise ConfigError(
                    f"{{{name}}} in the command is no parameter of the sweep; {hint} Write {{{{{name}}}}} if it is "
                    "not meant as one"
                )


def unplaced(command: Sequence[str], names: Collection[str]) -> list[str]:
    """Return the parameters that a command has no `{name}` for."""
    placed = {name for part in command for name in _places(part)}
    return [name for name in names if name not in placed]


def render_places(command: Sequence[str], params: Mapping[str, Any]) -> list[str]:
    """Return a command with `{name}` replaced by the parameter's value, and `{{` by `{`."""

    def value_of(found: re.Match[str]) -> str:
        return str(params[found[1]]) if found[1] else found[0][0]

    return [_PLACE.sub(value_of, part) for part in command]


def _places(part: str) -> Iterator[str]:
    return (found[1] for found in _PLACE.finditer(part) if found[1])
