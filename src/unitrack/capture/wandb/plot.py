"""`wandb.plot`: charts, of which the table behind is kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from unitrack.capture.session import session
from unitrack.capture.wandb.media import WBValue
from unitrack.capture.wandb.table import Table
from unitrack.run.media_values import Media


class CustomChart(WBValue):
    """A chart made of a table."""

    def __init__(self, kind: str, table: Table) -> None:
        self.kind, self.table = kind, table

    def as_media(self) -> Media:
        """Return the table behind it."""
        session.report.reduce(f"wandb.plot.{self.kind}", "the table behind it")
        return self.table.as_media()


Visualize = CustomChart


def line(
    table: Table, x: str, y: str, stroke: str | None = None, title: str = "", split_table: bool = False
) -> CustomChart:
    """Return a line chart of two columns."""
    return CustomChart("line", table)


def bar(table: Table, label: str, value: str, title: str = "", split_table: bool = False) -> CustomChart:
    """Return a bar chart."""
    return CustomChart("bar", table)


def scatter(table: Table, x: str, y: str, title: str = "", split_table: bool = False) -> CustomChart:
    """Return a scatter plot."""
    return CustomChart("scatter", table)


def histogram(table: Table, value: str, title: str = "", split_table: bool = False) -> CustomChart:
    """Return a histogram of a column."""
    return CustomChart("histogram", table)


def line_series(
    xs: Any, ys: Any, keys: Iterable[str] | None = None, title: str = "", xname: str = "x", split_table: bool = False
) -> CustomChart:
    """Return a chart of several lines, over one list of x values or over one for each line."""
    curves = [list(one) for one in ys]
    given = list(xs)
    each = [list(one) for one in given] if given and isinstance(given[0], Sequence) else [given] * len(curves)
    names = list(keys) if keys is not None else [f"line_{number}" for number in range(len(curves))]
    rows = [
        [x, name, y]
        for name, inner, values in zip(names, each, curves, strict=True)
        for x, y in zip(inner, values, strict=True)
    ]
    return CustomChart("line_series", Table(columns=["step", "lineKey", "lineVal"], data=rows))


def confusion_matrix(
    probs: Any = None,
    y_true: Any = None,
    preds: Any = None,
    class_names: Sequence[str] | None = None,
    title: str = "",
    split_table: bool = False,
) -> CustomChart:
    """Return how often each class was taken for each other one."""
    if probs is not None and preds is not None:
        raise ValueError("Only one of `probs` or `preds` should be provided, not both.")
    found = [max(range(len(row)), key=list(row).__getitem__) for row in probs] if preds is None else list(preds)
    truth = list(y_true)
    if len(found) != len(truth):
        raise ValueError("The number of predictions and true labels must be equal.")
    classes = sorted({*truth, *found}) if class_names is None else list(range(len(class_names)))
    names = class_names if class_names is not None else [f"Class_{number + 1}" for number in range(len(classes))]
    place = {value: number for number, value in enumerate(classes)}
    counts = {(a, b): 0.0 for a in range(len(names)) for b in range(len(names))}
    for actual, predicted in zip(truth, found, strict=True):
        counts[place[actual], place[predicted]] += 1
    rows = [[names[a], names[b], count] for (a, b), count in counts.items()]
    return CustomChart("confusion_matrix", Table(columns=["Actual", "Predicted", "nPredictions"], data=rows))


def plot_table(
    vega_spec_name: str,
    data_table: Table,
    fields: Mapping[str, Any],
    string_fields: Mapping[str, Any] | None = None,
    split_table: bool = False,
) -> CustomChart:
    """Return a chart that W&B would draw by a specification of its own."""
    return CustomChart("plot_table", data_table)


def visualize(id: str, value: Table) -> CustomChart:
    """Return a chart that W&B would draw by a specification of its own."""
    return CustomChart("visualize", value)


def _curve(kind: str, y_true: Any, y_probas: Any) -> CustomChart:
    scores = [[float(one) for one in row] if hasattr(row, "__len__") else [float(row)] for row in y_probas]
    width = len(scores[0]) if scores else 0
    columns = ["truth", *(f"score_{number}" for number in range(width))]
    rows = [[int(truth), *row] for truth, row in zip(y_true, scores, strict=True)]
    return CustomChart(kind, Table(columns=columns, data=rows))


def pr_curve(y_true: Any = None, y_probas: Any = None, labels: Any = None, *args: Any, **kwargs: Any) -> CustomChart:
    """Return the classes and scores from which W&B draws precision over recall."""
    return _curve("pr_curve", y_true, y_probas)


def roc_curve(y_true: Any = None, y_probas: Any = None, labels: Any = None, *args: Any, **kwargs: Any) -> CustomChart:
    """Return the classes and scores from which W&B draws true over false positives."""
    return _curve("roc_curve", y_true, y_probas)
