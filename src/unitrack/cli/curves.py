"""The curves of a metric, drawn in the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from operator import itemgetter
from typing import TYPE_CHECKING

from unitrack.charts.braille import Series, draw
from unitrack.terminal.console import cell
from unitrack.terminal.sparklines import sparkline

if TYPE_CHECKING:
    from rich.console import Console

    from unitrack.reading import History

_COLORS = ("cyan", "magenta", "yellow", "green", "red", "blue")
_WIDEST = 100
_HEIGHT = 12
_SAMPLES = 4_000


def in_one_line(history: History) -> str:
    """Return a sparkline of a metric, in the order of its steps; of long histories some points are left out."""
    stride = max(1, len(history) // _SAMPLES)
    steps, values = history.steps[::stride], history.values[::stride]
    if all(map(int.__le__, steps, steps[1:])):
        return sparkline(values)
    return sparkline([value for _, value in sorted(zip(steps, values, strict=True), key=itemgetter(0))])


def print_curves(console: Console, metric: str, histories: Mapping[str, History]) -> None:
    """Print one chart with a curve for each run, by its label, and below it each curve as a sparkline."""
    from rich.text import Text

    series = [Series(history.steps, history.values) for history in histories.values()]
    labels = (f"{history.values[-1]:.6g}" for history in histories.values())
    width = min(console.width, _WIDEST)
    chart = draw(series, max(width - 14, 10), _HEIGHT)
    console.print(cell(metric, "bold"))
    if chart is None:
        console.print(cell("no finite values", "dim"))
        return
    for number, row in enumerate(chart.rows):
        scale = f"{chart.high:.5g}" if number == 0 else f"{chart.low:.5g}" if number == _HEIGHT - 1 else ""
        line = Text(f"{scale:>11} │ ")
        for text, series_number in row:
            line.append(text, style="" if series_number is None else _COLORS[series_number % len(_COLORS)])
        console.print(line, soft_wrap=True)
    steps = f"{chart.first}{chart.last!s:>{max(len(chart.rows[0]) - len(str(chart.first)), 1)}}"
    console.print(cell(f"{'step':>11} └ {steps}", "dim"), soft_wrap=True)
    longest = max(map(len, histories))
    for number, ((label, history), last) in enumerate(zip(histories.items(), labels, strict=True)):
        line = Text(f"  {label:<{longest}}  ")
        line.append(in_one_line(history), style=_COLORS[number % len(_COLORS)])
        line.append(f"  last {last}")
        console.print(line, soft_wrap=True)
