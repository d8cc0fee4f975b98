"""MLflow on a bad day: a load through unitrack and through the plain client, from a server that refuses requests.

`python benchmarks/flaky.py [--texts 200] [--limit 120] [--loads alternating ...] [--only WORD ...]`
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, get_args

from rich.console import Console
from rich.table import Table

sys.path.append(str(Path(__file__).parents[1] / "plugins" / "unitrack-mlflow" / "tests"))  # the tests' own server
os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"

from mlflow_loads import TROUBLES, Client, Load, Measured, deliver
from mlflow_proxy import Proxy
from mlflow_server import serving

TEXTS = 200
LIMIT_S = 120.0


class Cell(NamedTuple):
    """One load in one trouble, through one client."""

    load: Load
    trouble: str
    client: Client
    measured: Measured


def run(folder: Path, texts: int = 40, limit: float = 20.0) -> Table:
    """A small load with three of the troubles, in about a minute."""
    few = ["no trouble", "503 for 5 %", "each 60th request 503"]
    return as_table(list(measure(folder, few, ["alternating"], texts, limit)), texts)


def measure(folder: Path, troubles: list[str], loads: list[Load], count: int, limit: float) -> Iterator[Cell]:
    """Measure all of it against one server, the two clients in turn."""
    with serving(folder) as server:
        proxy = Proxy(server.wait())
        with proxy.serving():
            for load in loads:
                for number, trouble in enumerate(troubles):
                    make = TROUBLES[trouble]
                    for client in get_args(Client):
                        place = folder / f"{load} {number}" / client
                        yield Cell(
                            load, trouble, client, deliver(client, proxy, place, make and make(), load, count, limit)
                        )


def as_table(cells: list[Cell], count: int) -> Table:
    """Seconds of each, and their ratios to the same without trouble and to the plain client."""
    headings = ("load", "trouble", "client", "opening s", "s", "x calm", "x plain", "texts", "points", "ends")
    table = Table(*headings, title=f"MLflow on a bad day, {count} of each")
    by = {cell[:3]: cell.measured for cell in cells}
    for load, trouble, client, got in cells:
        table.add_row(
            load,
            trouble,
            client,
            f"{got.opened:.1f}",
            f"{got.seconds:.1f}",
            _ratio(got, by.get((load, "no trouble", client))),
            _ratio(got, by.get((load, trouble, "MLflow"))),
            "" if load == "points" else str(got.texts),
            "" if load == "texts" else str(got.points),
            f"{got.says}, {got.refused} refused" + (f", {got.doubled} doubled" if got.doubled else ""),
        )
    return table


def _ratio(got: Measured, other: Measured | None) -> str:
    return f"{got.seconds / other.seconds:.2f}" if other else ""


def main() -> None:
    """Measure what the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=TEXTS, help="texts, and points, of a load")
    parser.add_argument("--limit", type=float, default=LIMIT_S, help="seconds that one load may take")
    parser.add_argument("--loads", nargs="*", default=get_args(Load), choices=get_args(Load))
    parser.add_argument("--only", nargs="*", help="troubles whose names hold one of these words")
    given = parser.parse_args()
    troubles = [name for name in TROUBLES if given.only is None or any(word in name for word in given.only)]
    warnings.simplefilter("ignore")
    console = Console(width=200)
    cells = []
    with tempfile.TemporaryDirectory(prefix="unitrack-bench-", ignore_cleanup_errors=True) as folder:
        for cell in measure(Path(folder), troubles, list(given.loads), given.texts, given.limit):
            console.print(f"{cell.load}, {cell.trouble}, {cell.client}: {cell.measured}", highlight=False)
            cells.append(cell)
    console.print(as_table(cells, given.texts))


if __name__ == "__main__":
    main()
