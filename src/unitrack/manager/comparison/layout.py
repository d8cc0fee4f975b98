"""A comparison as tables: a column for each run while they fit, else a line for each run."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from unitrack.manager.comparison.rows import MetricRow, Row
from unitrack.reading import StoredRun
from unitrack.terminal.console import Column, as_plain_text, cell, fit, make_table, print_columns, visible
from unitrack.terminal.notebook import html_table

if TYPE_CHECKING:
    from rich.console import Console

_LONGEST_CELL = 24
"""Characters of a value in a terminal; Markdown, CSV and JSON have all."""


class Layout(msgspec.Struct, frozen=True):
    """What is shown of a comparison."""

    labels: tuple[str, ...]
    baseline: int
    sections: Mapping[str, Sequence[Row]]
    metrics: Sequence[MetricRow]
    hidden: int
    """Rows that are left out, since all runs are the same in them."""

    def print_to(self, console: Console) -> None:
        """Print a column for each run, or, if they do not fit, a line for each run with the columns that do."""
        tall = [Column("", [name for name, _ in self._lines()]), *self._run_columns()]
        if fit(tall, console.width) == tall:
            self._print_tall(console)
        else:
            self._print_wide(console)
        if self.hidden:
            console.print(cell(f"{self.hidden} more are the same in all runs: --all", "dim"), soft_wrap=True)

    def to_markdown(self) -> str:
        """Return a table with a column for each run."""
        lines = [["", *self._headers()], ["---"] * (len(self.labels) + 1)]
        lines += [[name, *values] for name, values in self._lines()]
        return "\n".join(f"| {' | '.join(_in_markdown(text) for text in line)} |" for line in lines) + "\n"

    def to_csv(self) -> str:
        """Return a line for each run: its name, then params, tags and so on, then metrics, last and best."""
        columns: list[tuple[str, Sequence[Any]]] = [
            (f"{section}.{row.name}", row.values) for section, rows in self.sections.items() for row in rows
        ]
        for row in self.metrics:
            columns += [(f"metrics.{row.name}.last", row.last), (f"metrics.{row.name}.best", row.best)]
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["run", *(name for name, _ in columns)])
        for number, label in enumerate(self.labels):
            writer.writerow([label, *(_exact(values[number]) for _, values in columns)])
        return out.getvalue()

    def to_html(self) -> str:
        """Return the table for a notebook, with a column for each run."""
        title = f"{len(self.labels)} runs; {self.hidden} more rows are the same in all"
        return html_table(title, ("", *self._headers()), [(name, *values) for name, values in self._lines()])

    def as_text(self) -> str:
        """Return the tables without colors."""
        return as_plain_text(self.print_to)

    def _lines(self) -> Iterator[tuple[str, list[str]]]:
        """Yield the name and the values of each line of the table that has a column for each run."""
        for rows in self.sections.values():
            for row in rows:
                yield row.name, [_short(value) for value in row.values]
        for metric in self.metrics:
            yield f"{metric.name} last", [self._last(metric, number) for number in range(len(self.labels))]
            yield f"{metric.name} best ({metric.direction})", [_number(value) for value in metric.best]

    def _last(self, metric: MetricRow, number: int) -> str:
        text = _number(metric.last[number])
        delta, better = metric.delta[number], metric.is_better(number)
        if delta is None or better is None:
            return text
        return f"{text} ({delta:+.4g} {'better' if better else 'worse'})"

    def _headers(self) -> list[str]:
        return [f"{label} (baseline)" if n == self.baseline else label for n, label in enumerate(self.labels)]

    def _run_columns(self) -> list[Column]:
        lines = [values for _, values in self._lines()]
        return [Column(header, [values[n] for values in lines]) for n, header in enumerate(self._headers())]

    def _print_tall(self, console: Console) -> None:
        table = make_table("", *self._headers())
        for section, rows in self.sections.items():
            if rows:
                table.add_row(cell(section, "bold"))
                for row in rows:
                    table.add_row(cell(f"  {row.name}"), *(cell(_short(value)) for value in row.values))
        if self.metrics:
            table.add_row(cell("metrics", "bold"))
        for metric in self.metrics:
            lasts = (cell(self._last(metric, n), _style(metric.is_better(n))) for n in range(len(self.labels)))
            table.add_row(cell(f"  {metric.name} last"), *lasts)
            bests = (cell(_number(value), "dim") for value in metric.best)
            table.add_row(cell(f"  {metric.name} best ({metric.direction})", "dim"), *bests)
        console.print(table)

    def _print_wide(self, console: Console) -> None:
        """Print a line for each run. Params and metrics take turns, so that both are there in a narrow terminal."""
        params = [
            Column(row.name, [_short(value) for value in row.values]) for rows in self.sections.values() for row in rows
        ]
        metrics = [Column(row.name, [self._last(row, n) for n in range(len(self.labels))]) for row in self.metrics]
        name = Column("run", self._headers())
        shown = fit([name, *_in_turns(params, metrics)], console.width)
        print_columns(console, [column for column in (name, *params, *metrics) if column in shown])
        left_out = len(params) + len(metrics) + 1 - len(shown)
        if left_out:
            text = f"{left_out} more columns do not fit: --csv, --markdown and --json have all"
            console.print(cell(text, "dim"), soft_wrap=True)


def labels_of(runs: Sequence[StoredRun]) -> tuple[str, ...]:
    """Return a name for each run: with its id if two have the same name, and its location if they have one id."""
    names, ids = Counter(run.name for run in runs), Counter((run.name, run.id) for run in runs)
    labels = []
    for run in runs:
        more = [run.id] if names[run.name] > 1 else []
        more += [str(run.location)] if ids[run.name, run.id] > 1 else []
        labels.append(" ".join([run.name, *more]))
    return tuple(labels)


def headline(run: StoredRun) -> dict[str, Any]:
    """Return what `--json` tells of a run itself, by the names that all listings have."""
    folder = run.folder
    return {
        "run_id": run.id,
        "name": run.name,
        "project": run.project,
        "folder": None if folder is None else str(folder),
        "location": str(run.location),
        "status": run.status,
        "started": run.started,
        "ended": run.ended,
    }


def _in_turns(params: Sequence[Column], metrics: Sequence[Column]) -> Iterator[Column]:
    for number in range(max(len(params), len(metrics))):
        yield from metrics[number : number + 1]
        yield from params[number : number + 1]


def _style(better: bool | None) -> str:
    return "" if better is None else "green" if better else "red"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.6g}"


def _exact(value: Any) -> str:
    """Return a value so that nothing is lost: floats with all digits, lists and mappings as JSON."""
    if value is None or isinstance(value, str):
        return value or ""
    return repr(value) if isinstance(value, float) else msgspec.json.encode(value).decode()


def _short(value: Any) -> str:
    text = "-" if value is None else visible(value).replace("\n", " ")
    return text if len(text) <= _LONGEST_CELL else f"{text[: _LONGEST_CELL - 1]}…"


def _in_markdown(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|")
