"""Markdown as TensorBoard's text dashboard renders it."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

_SHOWN_CHARACTERS = 1_000
"""Of one cell of a table. The whole value is in the record or the file beside it."""


def as_json(value: Any) -> str:
    """A value as one line of JSON, readable rather than escaped."""
    return json.dumps(value, ensure_ascii=False, default=str)


def table(headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table: one line for each row."""
    return "\n".join([*table_head(headings), *map(table_row, rows)])


def table_head(headings: Sequence[str]) -> list[str]:
    """The two lines that a table begins with."""
    return [table_row(headings), _row(["---"] * len(headings))]


def table_row(cells: Sequence[Any]) -> str:
    """Return one line of a table."""
    return _row([_cell(cell) for cell in cells])


def fenced(text: str, language: str = "") -> str:
    """`text` as a code block that no fence in the text itself can end."""
    longest = max((len(run) for run in re.findall("`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def _row(cells: Sequence[str]) -> str:
    line = " | ".join(cells)
    return line if len(cells) > 1 else f"| {line} |"  # a single column is no table without them


def _cell(value: Any) -> str:
    text = value if isinstance(value, str) else as_json(value)
    if len(text) > _SHOWN_CHARACTERS:
        text = f"{text[:_SHOWN_CHARACTERS]}..."
    escaped = re.sub(r"([\\`*_\[\]])", r"\\\1", html.escape(text, quote=False))
    return " ".join(escaped.replace("|", "&#124;").splitlines()) or " "
