"""`unitrack config`: the configuration that holds here, and where each value comes from."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from unitrack.cli.parameters import AS_JSON

if TYPE_CHECKING:
    from unitrack.config import Resolved


_SECRET_OPTIONS = ("*api_key*", "*token*", "*passw*", "*secret*")
"""Wider than for params: `eos_token` is no option of a backend."""

_USERINFO = r"(?<=://)[^/?#\s]*@"
"""All of it: a token may stand there without a password, as in https://TOKEN@host."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    group = typer.Typer(invoke_without_command=True)
    group.callback()(print_config)
    group.command("schema")(schema)
    app.add_typer(group, name="config")


def schema() -> None:
    """Print the JSON Schema of the file, with the options of the backends that are installed here."""
    from unitrack.config.schema import schema_text
    from unitrack.plugins.registry import installed

    plugins = installed()
    backends = {name: plugins.backends[name].options for name in plugins.sinks}
    typer.echo(schema_text(backends, plugins.middleware), nl=False)


def print_config(
    context: typer.Context,
    file: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="Read this file, not the one found from here.")
    ] = None,
    as_json: AS_JSON = False,
) -> None:
    """Show the configuration that holds here, and where each value comes from."""
    if context.invoked_subcommand is not None:
        return
    from unitrack.cli.arguments import configured

    resolved = configured(file)
    if as_json:
        _print_json(resolved)
    else:
        _print_table(resolved)


def _print_json(resolved: Resolved) -> None:
    import json

    document = {"file": str(resolved.file) if resolved.file else None, "settings": _shown(resolved)}
    document |= {"origins": resolved.origins}
    typer.echo(json.dumps(document, indent=2, default=str))


def _print_table(resolved: Resolved) -> None:
    import sys

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("key", "value", "from", box=None, pad_edge=False, header_style="bold")
    for key, value in _rows(_shown(resolved)):
        origin = resolved.origins[key]
        cells = key, "-" if value is None else _text(value), "file" if origin == str(resolved.file) else origin
        table.add_row(*(Text(cell, overflow="fold") for cell in cells), style="dim" if origin == "default" else None)
    # In a pipe there is no width to fit in, and a cut value is of no use to grep.
    console = Console(width=None if sys.stdout.isatty() else 10_000, highlight=False)
    console.print(Text(f"file: {resolved.file or 'none found'}"))
    console.print(table)


def _shown(resolved: Resolved) -> dict[str, Any]:
    """Return the settings as plain values without secrets, sinks by name."""
    import msgspec

    settings = resolved.settings
    values: dict[str, Any] = msgspec.to_builtins(settings, enc_hook=str)
    values["tracking"]["sinks"] = {
        sink.name: {"backend": sink.backend, "options": sink.options} for sink in settings.sinks
    }
    globs = (*_SECRET_OPTIONS, *settings.safeguards.redact)
    # Only these two hold what users wrote freely; keys such as `max_name_length` are no secret, whatever the globs.
    return values | {section: _hidden(values[section], "", globs) for section in ("experiment", "tracking")}


def _hidden(value: Any, key: str, globs: tuple[str, ...]) -> Any:
    from unitrack.values.redaction import REDACTED, redact

    is_secret = redact("x", key, globs) != "x"
    if isinstance(value, dict):
        return {name: _hidden(item, key if is_secret else str(name), globs) for name, item in value.items()}
    if isinstance(value, list):
        return [_hidden(item, key, globs) for item in value]
    if value is None or value == "":
        return value
    if is_secret:  # of any type: a password may be a number
        return REDACTED
    return re.sub(_USERINFO, f"{REDACTED}@", redact(value)) if isinstance(value, str) else value


def _rows(values: dict[str, Any]) -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for section, keys in values.items():
        for key, value in keys.items():
            name = f"{section}.{key}"
            if name == "tracking.sinks":
                rows.append((name, ", ".join(value)))
                for sink, parts in value.items():
                    rows += [(f"{name}.{sink}.{option}", item) for option, item in parts["options"].items()]
            elif name == "experiment.tags":
                rows += [(name, value)] if not value else [(f"{name}.{tag}", text) for tag, text in value.items()]
            else:
                rows.append((name, value))
    return rows


def _text(value: Any) -> str:
    import json

    return value if isinstance(value, str) else json.dumps(value, default=str)
