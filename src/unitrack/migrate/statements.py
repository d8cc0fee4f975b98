"""Statements that were removed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import libcst as cst

_MARK = "__removed_by_unitrack__"

_Statement = TypeVar("_Statement", bound=cst.CSTNode)


def emptied(statement: cst.SimpleStatementLine) -> cst.SimpleStatementLine:
    """Return what stands for a line that nothing is left of, until `without_empty`: libcst would drop it at once."""
    return statement.with_changes(body=[cst.Expr(cst.Name(_MARK))])


def _is_emptied(statement: cst.CSTNode) -> bool:
    if not isinstance(statement, cst.SimpleStatementLine) or len(statement.body) != 1:
        return False
    [one] = statement.body
    return isinstance(one, cst.Expr) and isinstance(one.value, cst.Name) and one.value.value == _MARK


def without_empty(body: Sequence[_Statement]) -> list[_Statement]:
    """Return statements without those that nothing is left of; the comments and blank lines before such a one stay."""
    kept: list[_Statement] = []
    lines: list[cst.EmptyLine] = []
    for statement in body:
        if isinstance(statement, cst.SimpleStatementLine) and _is_emptied(statement):
            lines += statement.leading_lines
            continue
        own = getattr(statement, "leading_lines", None)
        if lines and own is not None and (not own or any(line.comment for line in lines)):
            statement = statement.with_changes(leading_lines=[*lines, *own])
        lines = []
        kept.append(statement)
    return kept
