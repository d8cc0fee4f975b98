"""A framework as its users see it: one function that trains, and calls callbacks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any


def fit(
    steps: int,
    callbacks: Sequence[Any],
    at_step: Callable[[int], None] = lambda step: None,
    stop_below: float = 0.0,
) -> dict[str, list[float]]:
    """Return the losses. It tells callbacks of its beginning, of each step, and of its end unless something raises."""
    losses: list[float] = []
    for callback in callbacks:
        callback.on_begin({"steps": steps})
    for step in range(steps):
        losses.append(1 / (step + 1))
        for callback in callbacks:
            callback.on_step(step, {"loss": losses[-1]})
        at_step(step)
        if losses[-1] < stop_below:
            break
    for callback in callbacks:
        callback.on_end()
    return {"loss": losses}
