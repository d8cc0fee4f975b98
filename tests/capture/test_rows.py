"""W&B's way of counting steps."""

from __future__ import annotations

from typing import Any

import pytest

from unitrack.capture.forwarding.rows import Rows


@pytest.fixture
def written() -> list[tuple[int, dict[str, Any]]]:
    return []


@pytest.fixture
def rows(written: list[tuple[int, dict[str, Any]]]) -> Rows:
    return Rows(lambda row, step: written.append((step, row)))


def test_each_call_without_a_step_is_a_row(rows: Rows, written: list[Any]) -> None:
    rows.add({"a": 1})
    rows.add({"a": 2})
    assert written == [(0, {"a": 1}), (1, {"a": 2})]
    assert rows.step == 2


def test_calls_without_commit_join_the_next_one_and_a_key_is_replaced(rows: Rows, written: list[Any]) -> None:
    rows.add({"a": 1, "b": 1}, commit=False)
    rows.add({"a": 2})
    assert written == [(0, {"a": 2, "b": 1})]


def test_a_step_is_written_when_a_later_one_comes(rows: Rows, written: list[Any]) -> None:
    rows.add({"a": 1}, step=5)
    rows.add({"b": 2}, step=5)
    assert written == []
    rows.add({"a": 3}, step=9)
    assert written == [(5, {"a": 1, "b": 2})]
    rows.flush()
    rows.flush()
    assert written[1:] == [(9, {"a": 3})]


def test_an_earlier_step_is_dropped(rows: Rows, written: list[Any]) -> None:
    assert rows.add({"a": 1}, step=5) == 5
    assert rows.add({"a": 2}, step=4) is None
    rows.flush()
    assert written == [(5, {"a": 1})]


def test_commit_at_a_step_completes_it(rows: Rows, written: list[Any]) -> None:
    rows.add({"a": 1}, step=5, commit=True)
    assert written == [(5, {"a": 1})]
    assert rows.step == 6
