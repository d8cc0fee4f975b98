"""The page of what capture covers. `python docs/capture_page.py` renews docs/reference/capture.md."""

from __future__ import annotations

from pathlib import Path

from unitrack.capture.compatibility import Support, counts, tables

PAGE = Path(__file__).parent / "reference" / "capture.md"

INTRODUCTION = """\
# What capture covers

Each public name of the SDKs in unitrack's drop-in modules: those that `unitrack capture --replace` and
`from unitrack.capture import wandb` use; see [Capture](../how-to/capture.md). *Works* is as the SDK documents it.
*Partly* is with the difference that stands beside it. *Raises* is an error that gives the reason when the name is used;
importing it is none.
"""


def capture_page() -> str:
    """Return the page as Markdown."""
    parts = [INTRODUCTION]
    for owner, rows in tables().items():
        number = counts(rows)
        parts.append(
            f"## `{owner}`\n\n{len(rows)} names: {number['works']} work, {number['partly']} work partly, "
            f"{number['raises']} raise.\n"
        )
        parts.append("\n".join(["| name | verdict | note |", "|---|---|---|", *map(_row, rows)]) + "\n")
    return "\n".join(parts)


def _row(row: Support) -> str:
    return f"| `{row.name}` | {row.verdict} | {row.note} |".replace("|  |", "| |")


if __name__ == "__main__":
    PAGE.write_text(capture_page(), encoding="utf-8")
