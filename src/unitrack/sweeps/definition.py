"""The definition of a sweep over a program: what is searched, how, and the command of a trial."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from unitrack.sweeps.distributions import Distribution

NO_METRIC = "exec/exit_code"
"""What stands for the metric of a sweep that names none."""

Method = Literal["grid", "random", "bayes"]


class Parameter(msgspec.Struct, frozen=True):
    """A parameter: its name, in parts if it is nested, and its values."""

    path: tuple[str, ...]
    distribution: Distribution

    @property
    def name(self) -> str:
        """The name, with dots between its parts."""
        return ".".join(self.path)


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """The metric that a sweep optimizes."""

    name: str
    goal: Literal["minimize", "maximize"] = "minimize"
    target: float | None = None
    """No new trial begins once one has reached it."""

    @property
    def mode(self) -> Literal["min", "max"]:
        """The goal, as the functions of unitrack call it."""
        return "min" if self.goal == "minimize" else "max"


class EarlyTermination(msgspec.Struct, frozen=True, kw_only=True):
    """W&B's `early_terminate`: at some numbers of logged values a trial goes on only if it is among the best."""

    bands: tuple[int, ...]
    """Numbers of values of the metric at which a trial is judged, ascending."""
    eta: float = 3.0
    """About one of this many trials passes a band."""
    strict: bool = False
    """Whether the value at the band counts, not the best one so far."""


class Definition(msgspec.Struct, frozen=True, kw_only=True):
    """A sweep over a program."""

    method: Method
    parameters: tuple[Parameter, ...]
    command: tuple[str, ...]
    """The command of a trial, with the macros of W&B, such as `${args}`, or with `{name}` for a parameter."""
    program: str | None = None
    """What `${program}` stands for."""
    has_macros: bool = True
    """Whether the command has the macros of W&B; `{name}` is literal then."""
    metric: Metric | None = None
    early_terminate: EarlyTermination | None = None
    run_cap: int | None = None
    """The number of trials, over all agents."""
    name: str | None = None
    project: str | None = None
    description: str | None = None
    notes: tuple[str, ...] = ()
    """What a user should know about how the file was understood."""

    def size(self) -> int | None:
        """Return the number of combinations of a grid; None for another method."""
        if self.method != "grid":
            return None
        return math.prod(size for one in self.parameters if (size := one.distribution.grid_size()) is not None)


def nested(values: Mapping[tuple[str, ...], Any]) -> dict[str, Any]:
    """Return values by path as mappings within mappings."""
    result: dict[str, Any] = {}
    for path, value in values.items():
        inner = result
        for part in path[:-1]:
            inner = inner.setdefault(part, {})
        inner[path[-1]] = value
    return result
