"""`unitrack plugins`: what can be logged to here, what is disabled and why, what could be installed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from unitrack.cli.parameters import AS_JSON

if TYPE_CHECKING:
    from rich.text import Text

    from unitrack.plugins.registry import Plugin, Plugins


def register(app: typer.Typer) -> None:
    """Add the command, and the one below it."""
    group = typer.Typer(invoke_without_command=True)
    group.callback()(list_plugins)
    group.command("new")(new)
    app.add_typer(group, name="plugins")


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One plugin."""

    name: str
    distribution: str
    version: str
    backends: tuple[str, ...]
    only_read: tuple[str, ...]
    """Those backends that have no sink."""
    summary: str
    ok: bool
    problem: str | None = None
    """Why it can't be used, or what to install."""


def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What configuration will call the backend.")],
    directory: Annotated[Path, typer.Option("--dir", metavar="FOLDER", help="Where to make unitrack-NAME.")] = Path(),
) -> None:
    """Write a plugin to start from: a distribution with a working backend, and the conformance suite as its tests."""
    from unitrack.cli.scaffold import write_plugin
    from unitrack.terminal.console import from_here

    folder = write_plugin(name, directory.expanduser())
    typer.echo(f"wrote {from_here(folder)}: install it with `pip install -e {from_here(folder)}`, run `pytest` in it")


def list_plugins(context: typer.Context, as_json: AS_JSON = False) -> None:
    """List the plugins of this environment, and the official ones that are not installed."""
    if context.invoked_subcommand is not None:
        return
    from unitrack.plugins.registry import OFFICIAL, installed
    from unitrack.terminal.console import cell, make_console, make_table, print_json

    found = installed()
    rows = [_row(plugin, found) for plugin in found.plugins]
    if as_json:
        print_json({"plugins": rows, "not_installed": _not_installed(rows, OFFICIAL)})
        return
    table = make_table("plugin", "from", "backends", "")
    for row in rows:
        source = f"{row.distribution} {row.version}"
        table.add_row(cell(row.name), cell(source), cell(_backends(row)), _verdict(row))
    for name, command in _not_installed(rows, OFFICIAL).items():
        table.add_row(cell(name, "dim"), cell("not installed", "dim"), cell("-", "dim"), cell(command, "dim"))
    make_console().print(table)


def _row(plugin: Plugin, found: Plugins) -> Row:
    problem = plugin.error or _missing_packages(plugin, found)
    return Row(
        name=plugin.name,
        distribution=plugin.distribution,
        version=plugin.version,
        backends=plugin.backends,
        only_read=tuple(name for name in plugin.backends if name not in found.sinks),
        summary="; ".join(found.backends[name].summary for name in plugin.backends),
        ok=problem is None,
        problem=problem,
    )


def _backends(row: Row) -> str:
    return ", ".join(f"{name} (read only)" if name in row.only_read else name for name in row.backends) or "-"


def _missing_packages(plugin: Plugin, found: Plugins) -> str | None:
    from unitrack.errors import ConfigError

    for name in plugin.backends:
        try:
            found.backend(name)
        except ConfigError as error:
            return str(error)
    return None


def _not_installed(rows: list[Row], official: dict[str, str]) -> dict[str, str]:
    from unitrack.system.installation import install_command

    present = {row.name for row in rows} | {name for row in rows for name in row.backends}
    return {name: install_command(extra) for name, extra in official.items() if name not in present}


def _verdict(row: Row) -> Text:
    from unitrack.terminal.console import cell

    return cell(f"ok: {row.summary}" if row.summary else "ok") if row.ok else cell(f"disabled: {row.problem}", "red")
