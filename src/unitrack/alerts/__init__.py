"""Alerts: conditions over a run's metrics, checked record by record, while it runs or afterwards."""

from __future__ import annotations

import msgspec


class AlertTerms(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is to be watched in a run, and what is done about it.

    It goes to a courier by its pipe and never lies on a disk, since it holds a command.
    """

    rules: dict[str, str] = {}
    """By name."""
    command: list[str] = []
    """A program and its arguments, in which {name}, {text}, {step}, {run} and {run_id} are filled in; none if empty."""
