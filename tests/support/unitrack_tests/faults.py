"""What the fault tests share: their long form, and the figures that they print into docs/explanation/reliability.md.

A test adds up what it saw: `figure("Kill the trainer", "SIGKILL", kills=1, logged=813, lost=0)`. Whole numbers of one
row are added up over all rounds, and everything else must be said once. `tox -e faults` runs the long form, a file of
tests after the other, and renews the tables of the page after each: `python tests/support/unitrack_tests/faults.py
FOLDER docs/explanation/reliability.md [FILE ...]`. A part that has passed is not run again, so what was cut off goes on
where it was; `--anew` forgets what was there.
"""

from __future__ import annotations

import itertools
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
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


def read_figures(files: Iterable[Path]) -> Tables:
    """All figures of some parts, rounds added up."""
    tables: Tables = {}
    for line in itertools.chain.from_iterable(file.read_text(encoding="utf-8").splitlines() for file in files):
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
        if name not in tables:
            return marker[0]
        return f"<!-- figures: {name} -->\n{_table(_in_order_of(marker[0], tables[name]))}\n"

    unknown = set(tables) - set(re.findall(r"<!-- figures: (.*) -->", page))
    if unknown:
        raise SystemExit(f"the page has no place for {sorted(unknown)}: add <!-- figures: NAME -->")
    return re.sub(r"<!-- figures: (.*) -->\n(?:[^\n]+\n)*", renewed, page)


def _in_order_of(before: str, rows: dict[str, dict[str, Value]]) -> dict[str, dict[str, Value]]:
    """The rows in the order that the page has; tests run in parallel and end as they like. New ones come last."""
    names = [line.split(" | ")[0].removeprefix("| ") for line in before.splitlines() if line.startswith("| ")]
    return dict(sorted(rows.items(), key=lambda row: names.index(row[0]) if row[0] in names else len(names)))


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


def run_parts(folder: Path, page_file: Path, files: Sequence[str]) -> list[str]:
    """Run the fault tests of each file that have not passed yet, renewing the page; return the files that failed.

    The page holds the figures of parts that passed, of this run and of those before it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    failed = []
    for file in files or fault_files():
        figures = folder / f"{file.replace('/', '.')}.jsonl"
        if not figures.exists():
            unfinished = figures.with_suffix(".part")
            unfinished.write_bytes(b"")
            environment = {**os.environ, "UNITRACK_FIGURES": str(unfinished.absolute())}
            print(f"-- {file}", flush=True)
            pytest = [sys.executable, "-m", "pytest", "-q", "-n", "2", "-m", "faults", file]
            if subprocess.run(pytest, env=environment, check=False).returncode:
                failed.append(file)
                continue
            unfinished.rename(figures)
        page = page_file.read_text(encoding="utf-8")
        page_file.write_text(with_figures(page, read_figures(sorted(folder.glob("*.jsonl")))), encoding="utf-8")
    return failed


def fault_files() -> list[str]:
    """The files with fault tests, from the root of the project."""
    folders = [Path("tests/faults"), *sorted(Path("plugins").glob("*/tests"))]
    files = [file for folder in folders for file in sorted(folder.glob("test_*.py"))]
    return [file.as_posix() for file in files if "mark.faults" in file.read_text(encoding="utf-8")]


if __name__ == "__main__":
    arguments = [argument for argument in sys.argv[1:] if argument != "--anew"]
    if "--anew" in sys.argv:
        shutil.rmtree(arguments[0], ignore_errors=True)
    if failed := run_parts(Path(arguments[0]), Path(arguments[1]), arguments[2:]):
        sys.exit(f"failed, and to be run again: {', '.join(failed)}")
