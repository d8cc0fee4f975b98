"""Whether the originals of a copy can be deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unitrack.manager.verification.verification import Verification
from unitrack.terminal.console import cell

if TYPE_CHECKING:
    from rich.console import Console


def why_not_ready(verification: Verification) -> str | None:
    """Return why the originals can't be deleted without loss; None if they can."""
    if not verification.checks:
        return "nothing was compared"
    if not verification.ok:
        return "the copy is not whole"
    if any(one.problem == "missing" for one in verification.stated):
        return "the copy lacks something, though that is allowed"
    return None


def print_readiness(console: Console, verification: Verification) -> None:
    """Print whether the originals can be deleted, and what the copy holds in another form."""
    why = why_not_ready(verification)
    if why is None:
        text = "Ready for deletion: everything in the original is in the copy, and nothing was cut."
    else:
        text = f"Not ready for deletion: {why}."
    console.print(cell(text, "bold red" if why else "bold green"), soft_wrap=True)
    console.print(cell("Held in another form:" if verification.stated else "Nothing is held in another form."))
    for check in verification.checks:
        for one in check.differences:
            if one.allowed:
                console.print(cell(f"  {check.name}: {one}"), soft_wrap=True)
