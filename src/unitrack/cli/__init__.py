"""The command line. Each command lives in a module of `commands`, which adds it in its `register(app)`.

Help and completion load all of them, so a command imports what it needs inside its function.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
import warnings
from typing import Annotated, TextIO

import typer

from unitrack.cli import commands
from unitrack.cli.help import Group, use_plain_help
from unitrack.errors import UnitrackError

FAILED = 1
"""Exit code of a command that could not do its work: a server is away, a file is damaged."""
USAGE_ERROR = 2
"""Exit code of a wrong argument, option or configuration."""

app = typer.Typer(
    name="unitrack",
    help="One log call, every tracker.",
    cls=Group,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_show_locals=False,  # locals hold credentials
)


def _print_version(wanted: bool) -> None:
    if wanted:
        import unitrack

        typer.echo(f"unitrack {unitrack.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    pass


for _module in sorted(found.name for found in pkgutil.iter_modules(commands.__path__)):
    importlib.import_module(f"{commands.__name__}.{_module}").register(app)
use_plain_help(app)


def main() -> None:
    """Run the command line. Errors and warnings of unitrack are printed as messages, without where they come from."""
    warnings.showwarning = _show_warning
    try:
        app()
    except UnitrackError as error:
        from unitrack.terminal.console import visible

        print(f"error: {visible(error)}", file=sys.stderr)
        sys.exit(USAGE_ERROR if _is_of_usage(error) else FAILED)


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    from unitrack.errors import AlertWarning, DeliveryWarning
    from unitrack.terminal.console import visible

    is_plain = category in (UserWarning, AlertWarning, DeliveryWarning)
    text = f"warning: {visible(message)}\n" if is_plain else warnings.formatwarning(message, category, filename, lineno)
    (file or sys.stderr).write(text)


def _is_of_usage(error: UnitrackError) -> bool:
    """Return whether another argument or another configuration would help."""
    from unitrack.errors import ConfigError, MissingLocationError, MissingPackageError, NotFoundError

    return isinstance(error, (ConfigError, MissingPackageError, MissingLocationError, NotFoundError))
