"""The result of a verification: a row for each backend, or for each copy, and a verdict."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from unitrack.manager.verification.check import Check
from unitrack.manager.verification.difference import Difference
from unitrack.terminal.console import as_plain_text, cell, from_here, make_table
from unitrack.terminal.notebook import html_table

if TYPE_CHECKING:
    from rich.console import Console

_SHOWN_DIFFERENCES = 10
"""Of each run; `--json` has all."""
_NUMBERS = ("points", "params", "tags", "files")


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """Whether stored runs hold the same. `print(verification)` shows a table; a notebook does as well."""

    title: str
    """What was verified."""
    is_copy: bool = False
    """Whether runs of one location were compared with those of another, and not one run in its backends."""
    checks: tuple[Check, ...]
    """One for each backend of a run; of a copy, one for each run that both locations hold."""
    missing: tuple[str, ...] = ()
    """Runs that the copy lacks, by name and id."""
    extra: tuple[str, ...] = ()
    """Runs that only the copy has. They are no fault."""

    @property
    def ok(self) -> bool:
        """Whether everything is the same, but for what backends declare not to hold."""
        return not self.missing and all(check.ok for check in self.checks)

    @property
    def differences(self) -> tuple[Difference, ...]:
        """The differences that are faults."""
        return tuple(one for check in self.checks for one in check.faults)

    @property
    def stated(self) -> tuple[Difference, ...]:
        """The differences that are allowed: what is held in another form."""
        return tuple(one for check in self.checks for one in check.differences if one.allowed)

    @property
    def verdict(self) -> str:
        """The result in one sentence."""
        wrong = [check.name for check in self.checks if not check.ok]
        if self.missing:
            return f"Not the same: {_runs(len(self.missing))} missing" + (
                f", {_runs(len(wrong))} differ" if wrong else ""
            )
        if wrong:
            return f"Not the same: {', '.join(wrong)}"
        if not self.checks:
            return "Nothing to compare: there are no runs"
        points = sum(check.points for check in self.checks if self.is_copy or check.is_reference)
        exact = "" if any(one.subject == "point" for one in self.stated) else ", bit for bit"
        if self.is_copy:
            return f"{_runs(len(self.checks))}, the same in both: {points} points{exact}"
        if len(self.checks) == 1:
            return f"Nothing to compare with: only {self.checks[0].name} has the run ({points} points)"
        return f"All {len(self.checks)} backends agree: {points} points{exact}"

    def print_to(self, console: Console) -> None:
        """Print a table, the first differences of each run, and the verdict."""
        console.print(cell(self.title, "bold"), soft_wrap=True)
        if self.checks:
            table = make_table(self._subject, *_NUMBERS, "status", "verdict", right=_NUMBERS)
            for check in self.checks:
                style = "" if check.is_reference else "green" if check.ok else "red"
                cells = (cell(value) for value in _numbers(check))
                table.add_row(cell(check.name, "bold"), *cells, cell(check.verdict, style))
            console.print(table)
        for line, style in self._details():
            console.print(cell(from_here(line), style), soft_wrap=True)
        console.print(cell(f"{self.verdict}.", "bold green" if self.ok else "bold red"), soft_wrap=True)

    def __str__(self) -> str:
        return as_plain_text(self.print_to)

    def _repr_html_(self) -> str:
        rows = [(check.name, *_numbers(check), check.verdict) for check in self.checks]
        return html_table(f"{self.title}: {self.verdict}", (self._subject, *_NUMBERS, "status", "verdict"), rows)

    @property
    def _subject(self) -> str:
        return "run" if self.is_copy else "backend"

    def _details(self) -> Iterator[tuple[str, str]]:
        """Yield the lines below the table, each with its style."""
        for check in self.checks:
            ordered = [*check.faults, *(one for one in check.differences if one.allowed)]
            for one in ordered[:_SHOWN_DIFFERENCES]:
                yield f"{check.name}: {one}", "dim" if one.allowed else "red"
            if len(ordered) > _SHOWN_DIFFERENCES:
                yield f"{check.name}: and {len(ordered) - _SHOWN_DIFFERENCES} more, which --json lists", "dim"
            if check.pending:
                yield f"{check.name}: not everything is delivered: run `unitrack sync`", "red"
            if check.lost:
                yield f"{check.name}: records were refused or are damaged: see `unitrack status`", "red"
        for run in self.missing:
            yield f"missing: {run}", "red"
        for run in self.extra:
            yield f"only in the copy: {run}", "dim"


def _numbers(check: Check) -> tuple[object, ...]:
    if not check.status:  # nothing was read
        return ("-",) * (len(_NUMBERS) + 1)
    return check.points, check.params, check.tags, check.files, check.status


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count} runs"
