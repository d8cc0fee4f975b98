"""`unitrack migrate`: rewrite scripts that call other trackers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unitrack.cli.parameters import AS_JSON

if TYPE_CHECKING:
    from unitrack.migrate import Migration, Remark


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("migrate")(migrate_scripts)


def migrate_scripts(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="Python scripts.")],
    write: Annotated[bool, typer.Option("--write", help="Change the files, not only show how.")] = False,
    as_json: AS_JSON = False,
) -> None:
    """Rewrite calls of W&B, trackio, MLflow and SummaryWriter to unitrack's, and print the change as a diff.

    What has no counterpart is left as it is and named with its line. The scripts are read, never run.
    """
    from unitrack.terminal.console import print_json

    read = {path: _read(path) for path in files}
    found = {path: _migrated(path, text) for path, (text, _) in read.items()}
    if write:
        from unitrack.system.atomic import write_atomically

        for path, migration in found.items():
            if migration.after != migration.before:
                mode = path.stat().st_mode
                write_atomically(path.resolve(), migration.after.encode(read[path][1]))
                path.chmod(mode)
    if as_json:
        print_json([_as_json(path, migration, is_written=write) for path, migration in found.items()])
        return
    for path, migration in found.items():
        typer.echo(migration.diff(str(path)), nl=False)
    for path, migration in found.items():
        _print_remarks(path, migration, is_written=write)


def _read(path: Path) -> tuple[str, str]:
    """Return a script and its encoding, which a comment in it may name."""
    import io
    import tokenize

    from unitrack.errors import ArtifactNotFoundError, InvalidValueError

    try:
        data = path.read_bytes()
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        return data.decode(encoding), encoding
    except (FileNotFoundError, IsADirectoryError):
        raise ArtifactNotFoundError(f"there is no file {path}") from None
    except (SyntaxError, UnicodeDecodeError) as error:
        raise InvalidValueError(f"{path} can't be read as text: {error}") from None


def _migrated(path: Path, text: str) -> Migration:
    from unitrack.errors import InvalidValueError, MissingPackageError
    from unitrack.system.installation import install_command

    try:
        from unitrack.migrate import migrate_script
    except ModuleNotFoundError as error:
        if error.name != "libcst":
            raise
        command = install_command("unitrack-core[migrate]")
        raise MissingPackageError(f"migrate needs libcst: run `{command}`") from None
    try:
        return migrate_script(text)
    except InvalidValueError as error:
        raise InvalidValueError(f"{path}: {error}") from None


def _print_remarks(path: Path, migration: Migration, *, is_written: bool) -> None:
    what = "call or name" if migration.changed == 1 else "calls and names"
    verb = "rewritten" if is_written else "to rewrite"
    typer.echo(f"{path}: {migration.changed} {what} {verb}", err=True)
    for title, remarks in (("left as it is", migration.left), ("not needed, or configuration now", migration.dropped)):
        if remarks:
            typer.echo(f"  {title}:", err=True)
        for one in remarks:
            typer.echo(f"    line {one.line}: `{one.code}`: {one.why}", err=True)
    if migration.changed and not is_written:
        typer.echo("  `--write` changes the file", err=True)


def _as_json(path: Path, migration: Migration, *, is_written: bool) -> dict[str, object]:
    def listed(remarks: tuple[Remark, ...]) -> list[dict[str, object]]:
        return [{"line": one.line, "code": one.code, "why": one.why} for one in remarks]

    return {
        "file": str(path.absolute()),
        "changed": migration.changed,
        "is_written": is_written and migration.after != migration.before,
        "diff": migration.diff(str(path)),
        "left": listed(migration.left),
        "dropped": listed(migration.dropped),
    }
