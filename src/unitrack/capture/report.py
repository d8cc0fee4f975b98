"""What was captured of a program, what was not, and why: counted while it runs, told once at its end."""

from __future__ import annotations

from collections import Counter

from unitrack.errors import DeliveryWarning, warn_from_thread
from unitrack.terminal.console import visible

_SHOWN = 20
"""Lines about things that were not captured; the rest is counted."""


class Report:
    """Counts by name: calls of SDKs that were captured, and those that were not or only in part.

    Counting takes no lock: a count that two threads raise at the same moment may be one too low.
    """

    def __init__(self) -> None:
        self.captured: Counter[str] = Counter()
        """Calls that became records, such as "wandb.log"."""
        self.missed: Counter[str] = Counter()
        """Calls and values that became none, such as "wandb.Object3D"."""
        self.partial: dict[str, str] = {}
        """What arrived in another form, and in which."""
        self.troubles: dict[str, str] = {}
        """The first error of each call that should have been captured."""
        self.runs: list[str] = []
        """A line for each run."""

    def clear(self) -> None:
        """Forget everything: in a forked child, whose parent tells of it."""
        for counts in (self.captured, self.missed, self.partial, self.troubles, self.runs):
            counts.clear()

    def add(self, call: str) -> None:
        """Count a captured call."""
        self.captured[call] += 1

    def miss(self, call: str) -> None:
        """Count a call or a value that is not captured."""
        self.missed[call] += 1

    def reduce(self, what: str, to: str) -> None:
        """Note that `what` arrives in another form."""
        self.partial.setdefault(what, to)

    def trouble(self, call: str, error: BaseException | str) -> None:
        """Count a call that failed on our side, and warn of the first one of its name."""
        self.missed[call] += 1
        if call not in self.troubles:
            self.troubles[call] = str(error) or type(error).__name__
            warn_from_thread(
                f"capture: `{call}` was not captured: {self.troubles[call]} (warned once)", DeliveryWarning
            )

    def lines(self) -> list[str]:
        """Return the report, a line for each run and each thing that was left out; empty if nothing happened."""
        left_out = [self._missed(call, count) for call, count in self.missed.most_common()]
        left_out += [f"`{what}` was captured as {to}" for what, to in self.partial.items()]
        if len(left_out) > _SHOWN:
            left_out[_SHOWN:] = [f"and {len(left_out) - _SHOWN} more"]
        return [*self.runs, *left_out]

    def _missed(self, call: str, count: int) -> str:
        calls = "1 call of" if count == 1 else f"{count} calls of"
        were = "was" if count == 1 else "were"
        why = self.troubles.get(call)
        return f"{calls} `{call}` {were} not captured{f': {why}' if why else ''}"

    def text(self) -> str:
        """Return the lines as they are printed, each after the name of the program."""
        return "".join(f"unitrack: {visible(line)}\n" for line in self.lines())
