"""What the fault tests share: their long form, and the figures that they print into docs/reliability.md.

A test adds up what it saw: `figure("Kill the trainer", "SIGKILL", kills=1, logged=813, lost=0)`. Whole numbers of one
row are added up over all rounds, and everything else must be said once. `tox -e faults` collects the figures of the
long form and renews the tables of the page: `python tests/support/unitrack_faults.py FIGURES docs/reliability.md`.
"""

from __future__ import annotations

import json
import os
import platform
import re
import sys
from datetime import date
from pathlib import Path

FULL = os.environ.get("UNITRACK_FAULTS") == "full"  # read before a fixture clears it
SOAK = os.environ.get("UNITRACK_FAULTS") == "soak"
"""The form of `tests/faults/test_soak.py` that takes a quarter of an hour; the other tests are short in it."""
FIGURES = os.environ.get("UNITRACK_FIGURES")

Value = int | float | str
Tables = dict[str, dict[str, dict[str, Value]]]
"""Table, row, column."""


def rounds(short: int, full: int) -> int:
    """How often a test of random faults repeats itself."""
    return full if FULL else short


def figure(table: str, row: str, **columns: Value) -> None:
    """Note figures for the page; a column's name is its heading, with `_` for a space."""
    if FIGURES is None:
        return
    line = json.dumps([table, row, columns]) + "\n"
    with open(FIGURES, "ab", buffering=0) as file:  # one write: tests run in parallel
        file.write(line.encode())


def read_figures(file: Path) -> Tables:
    """All figures of a run of the tests, rounds added up."""
    tables: Tables = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        table, row, columns = json.loads(line)
        cells = tables.setdefault(table, {}).setdefault(row, {})
        for column, value in columns.items():
            cells[column] = cells.get(column, 0) + value if type(value) is int else value
    return tables


def with_figures(page: str, tables: Tables) -> str:
    """The page with each table below a marker `<!-- figures: NAME -->` renewed, if there are figures for it."""

    def renewed(marker: re.Match[str]) -> str:
        name = marker[1]
        if name == "machine":
            return f"<!-- figures: machine -->\n{_machine()}\n"
        return f"<!-- figures: {name} -->\n{_table(tables[name])}\n" if name in tables else marker[0]

    unknown = set(tables) - set(re.findall(r"<!-- figures: (.*) -->", page))
    if unknown:
        raise SystemExit(f"the page has no place for {sorted(unknown)}: add <!-- figures: NAME -->")
    return re.sub(r"<!-- figures: (.*) -->\n(?:[^\n]+\n)*", renewed, page)


def _table(rows: dict[str, dict[str, Value]]) -> str:
    columns = list(dict.fromkeys(column for cells in rows.values() for column in cells))
    lines = [f"| | {' | '.join(column.replace('_', ' ') for column in columns)} |", "|---|" + "---:|" * len(columns)]
    for row, cells in rows.items():
        lines.append(f"| {row} | {' | '.join(_cell(cells.get(column, '')) for column in columns)} |")
    return "\n".join(lines)


def _cell(value: Value) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.3g}" if isinstance(value, float) else value


def _machine() -> str:
    form = "long" if FULL else "short"
    return (
        f"Measured on {date.today():%Y-%m-%d}: {platform.system()} {platform.release()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}, the {form} form."
    )


if __name__ == "__main__":
    figures, page_file = Path(sys.argv[1]), Path(sys.argv[2])
    page_file.write_text(with_figures(page_file.read_text(encoding="utf-8"), read_figures(figures)), encoding="utf-8")
