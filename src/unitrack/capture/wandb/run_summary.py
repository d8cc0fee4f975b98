"""`wandb.summary`: the last value of each metric, or what `define_metric` asks for, and what is set by hand."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from unitrack.capture.wandb.named_values import NamedValues


class Summary(NamedValues):
    """A run's summary: `summary["loss"]` and `summary.loss`."""

    def __init__(self, changed: Callable[[Mapping[str, Any]], None]) -> None:
        """`changed` gets what is set by hand."""
        vars(self).update(_items={}, _changed=changed, _ops={}, _sums={})

    def define(self, metric: str, summary: str | None) -> None:
        """Summarize a metric, or those that match a glob, by operations with commas: "min,max"."""
        if summary:
            vars(self)["_ops"][metric] = [one.strip().lower() for one in summary.split(",")]

    def take(self, row: Mapping[str, Any]) -> None:
        """Take the numbers of a complete row."""
        for name, value in row.items():
            number = float(value)
            ops = self._ops_of(name)
            if "none" in ops:
                continue
            if not [op for op in ops if op != "copy"]:
                _put(vars(self)["_items"], name, _as_given(value))
                continue
            found = vars(self)["_items"].get(name)
            known = found if isinstance(found, dict) else {}
            for op in ops:
                known[op] = self._applied(name, op, known.get(op), number)
            vars(self)["_items"][name] = known

    def _ops_of(self, name: str) -> list[str]:
        ops: dict[str, list[str]] = vars(self)["_ops"]
        return ops.get(name) or next((ops[glob] for glob in ops if "*" in glob and fnmatchcase(name, glob)), [])

    def _applied(self, name: str, op: str, before: float | None, number: float) -> float:
        if op == "mean":
            total, count = vars(self)["_sums"].get(name, (0.0, 0))
            vars(self)["_sums"][name] = total + number, count + 1
            return float((total + number) / (count + 1))
        if before is None or op in ("last", "copy"):
            return number
        if op == "first" or math.isnan(number):
            return before
        return min(before, number) if op == "min" else max(before, number)

    def update(self, d: Mapping[str, Any]) -> None:
        """Set values."""
        values = {str(key): value for key, value in d.items()}
        vars(self)["_items"].update(values)
        vars(self)["_changed"](values)

    def get(self, key: str, default: Any = None) -> Any:
        """Return a value, or the default."""
        return vars(self)["_items"].get(key, default)

    def __setitem__(self, key: str, value: Any) -> None:
        self.update({key: value})

    __setattr__ = __setitem__

    def __delitem__(self, key: str) -> None:
        del vars(self)["_items"][key]

    __delattr__ = __delitem__

    def __repr__(self) -> str:
        return repr(vars(self)["_items"])


def _put(items: dict[str, Any], name: str, value: Any) -> None:
    """Put a value under a name; "a.b" was logged as {"a": {"b": ...}}."""
    *outer, last = name.split(".")
    for part in outer:
        inner = items.get(part)
        if not isinstance(inner, dict):
            inner = items[part] = {}
        items = inner
    items[last] = value


def _as_given(value: Any) -> Any:
    """Return an int as an int, and any other number as a float."""
    return value if isinstance(value, int | float) else value.item() if hasattr(value, "item") else float(value)
