"""Printing for the commands: a console that suits its reader, times in words, JSON."""

from __future__ import annotations

import io
import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TextIO, cast

import msgspec

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

_UNBOUNDED = 10_000  # columns: in a pipe there is no width to fit in, and a cut value is of no use to grep
_OBEYED = re.compile(
    "[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069\\ud800-\\udfff]"
)
"""Control characters but tab and newline, those that reorder a line, and halves of characters."""
_BLANKS_AT_ENDS = re.compile(r"(?<! ) +$", re.MULTILINE)  # the look-behind: a long gap inside a line is tried once
_TEXT_WIDTH = 160
"""Of what `print` shows of an object; a console of the commands is as wide as its terminal."""
_GAP = 2
"""Characters between two columns of a table."""
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def make_console(*, stderr: bool = False) -> Console:
    """Return a console as wide as the terminal, as COLUMNS says, or, in a pipe, as wide as need be."""
    from rich.console import Console  # noqa: PLC0415  # rich costs 24 ms

    stream = sys.stderr if stderr else sys.stdout
    fits = stream.isatty() or "COLUMNS" in os.environ
    width = None if fits else _UNBOUNDED
    file = None if stream.isatty() else cast("IO[str]", _Trimmed(stream))
    return Console(stderr=stderr, file=file, width=width, highlight=False, soft_wrap=False)


class _Trimmed:
    """A stream without the blanks at the ends of lines: rich makes all cells of a column as wide as its widest, and one
    long value would make every line of a file or a pipe as long.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write(_BLANKS_AT_ENDS.sub("", text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def as_plain_text(print_to: Callable[[Console], None]) -> str:
    """Return what a function prints to a console, without colors, at most 160 characters wide."""
    from rich.console import Console  # noqa: PLC0415  # rich costs 24 ms

    console = Console(file=io.StringIO(), force_jupyter=False, width=_TEXT_WIDTH, color_system=None, highlight=False)
    with console.capture() as captured:
        print_to(console)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def make_table(*headers: str, right: tuple[str, ...] = ()) -> Table:
    """Return a table without lines; the columns named in `right` hold numbers."""
    from rich.table import Table  # noqa: PLC0415  # rich costs 24 ms

    table = Table(box=None, pad_edge=False, header_style="bold")
    for header in headers:
        if header in right:
            table.add_column(header, justify="right", no_wrap=True)
        else:
            table.add_column(header, overflow="fold")
    return table


class Column(msgspec.Struct, frozen=True):
    """A column of a table that is left out where it does not fit."""

    header: str
    cells: list[str]

    @property
    def width(self) -> int:
        """The characters that its widest cell takes."""
        from rich.cells import cell_len  # noqa: PLC0415  # rich costs 24 ms

        return max(map(cell_len, (self.header, *map(visible, self.cells))))


def fit(columns: Sequence[Column], width: int) -> list[Column]:
    """Return the columns that fit into `width` characters, the most important first; always the first one."""
    shown: list[Column] = []
    for column in columns:
        needed = sum(one.width + _GAP for one in shown) + column.width
        if not shown or needed <= width:
            shown.append(column)
    return shown


def table_of(columns: Sequence[Column]) -> Table:
    """Return a table of columns, with "-" where a cell is empty."""
    table = make_table(*(column.header for column in columns))
    for row in zip(*(column.cells for column in columns), strict=True):
        table.add_row(*(cell(text or "-") for text in row))
    return table


def print_columns(console: Console, columns: Sequence[Column]) -> None:
    """Print a table in which no cell is cut or broken; a terminal may still break a line that is too long for it."""
    needed = sum(column.width + _GAP for column in columns)
    console.width = max(console.width, needed)
    console.print(table_of(columns))


def visible(value: object) -> str:
    """Return a value as text in which escapes and changes of direction, which a terminal acts on, are written out."""
    return _OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", str(value))


def cell(value: object, style: str = "") -> Text:
    """Return a value for a table as it is: nothing in it is markup, or a command to the terminal."""
    from rich.text import Text  # noqa: PLC0415  # rich costs 24 ms

    return Text(visible(value), style=style, overflow="fold")


def print_json(content: Any) -> None:
    """Print structs, mappings and lists as indented JSON."""
    import typer  # noqa: PLC0415  # 24 ms

    typer.echo(visible(msgspec.json.format(msgspec.json.encode(content), indent=2).decode()))


def print_json_line(content: Any) -> None:
    """Print a struct as JSON in one line."""
    import typer  # noqa: PLC0415  # 24 ms

    typer.echo(visible(msgspec.json.encode(content).decode()))


def in_words(seconds: float) -> str:
    """Return a duration in its largest unit: "3 min"."""
    for length, unit in _UNITS:
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return "0 s"


def in_bytes(size: float) -> str:
    """Return a number of bytes in its largest unit: "3.4 MiB"."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def ago(milliseconds: int) -> str:
    """Return how long ago a moment was, given in milliseconds since the epoch."""
    return f"{in_words(time.time() - milliseconds / 1000)} ago"


def from_here(text: str | Path) -> str:
    """Return a path, or a URI or a command that holds paths, with those below the working directory made relative."""
    here = Path.cwd()
    if here == here.parent:  # at the root of the file system "below" is everything, and tells nothing
        return str(text)
    return re.sub(rf"(?<![^\s/'\"=:]){re.escape(f'{here}{os.sep}')}", "", str(text))
