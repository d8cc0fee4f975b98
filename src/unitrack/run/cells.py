"""Runs that cells of a notebook have left open: the next cell that starts a run finishes them.

`wandb.init()` does the same in a notebook: a cell that is run again begins anew. Runs that one cell starts may be open
side by side, as in a script, and the run that is given as `parent` stays open.
"""

from __future__ import annotations

import sys
import threading
from typing import Any

from unitrack.run.run import Run


class Cells:
    """Which cell started which run. There is one instance, `cells`."""

    def __init__(self) -> None:
        self._open: list[tuple[int, Run]] = []
        self._has_said_so = False

    def add(self, run: Run) -> None:
        """Remember that the cell that runs now, if one does, has started a run."""
        cell = current_cell()
        if cell is not None:
            self._open = [(number, one) for number, one in self._open if not one.has_ended] + [(cell, run)]

    def end_earlier_runs(self, parent: str | None) -> None:
        """Finish the runs that earlier cells have left open, if a cell runs now; `parent`: the id of one that stays."""
        cell = current_cell()
        if cell is None:
            return
        for number, run in self._open:
            if number != cell and run.id != parent and not run.has_ended:
                self._say(run)
                run.finish()

    def _say(self, run: Run) -> None:
        """Print once for all runs what happens to them."""
        if not self._has_said_so and sys.stderr is not None:
            self._has_said_so = True
            print(
                f"unitrack: run {run.name!r} of an earlier cell is finished, because this cell starts another one "
                "(said once)",
                file=sys.stderr,
                flush=True,
            )


cells = Cells()
"""Those of this process."""


def shell() -> Any:
    """Return the shell of IPython in which this program runs; None if it is no notebook and no IPython."""
    module = sys.modules.get("IPython")
    find = getattr(module, "get_ipython", None)
    return None if find is None else find()


def current_cell() -> int | None:
    """Return the number of the cell that this thread runs; None outside of cells, and in other threads than theirs."""
    found = shell()
    if found is None or threading.current_thread() is not threading.main_thread():
        return None
    number: int = found.execution_count
    return number
