"""The table of kinds and backends, as the plugins declare them.

`python -m unitrack.testing.kinds docs/reference/kinds.md` renews it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

from unitrack.hookspecs import Backend
from unitrack.plugins.registry import installed
from unitrack.records import KINDS, ArtifactType

_CONFIRMS = {"flush": "each batch", "end": "the end"}


def kinds_table(backends: Mapping[str, Backend]) -> str:
    """Return a Markdown table, kind x backend; its last rows say what is held exactly and when it is confirmed.

    Backends that can only be read are left out.
    """
    backends = {name: backend for name, backend in backends.items() if backend.sink is not None}
    rows = [f"| | {' | '.join(backends)} |", f"|---|{'---|' * len(backends)}"]
    for kind in KINDS:
        rows.append(f"| {kind} | {' | '.join(_cell(backend, kind) for backend in backends.values())} |")
    facts: dict[str, list[str]] = {
        "float64 bit for bit": ["yes" if backend.exact_floats else "no" for backend in backends.values()],
        "NaN, infinity": [backend.non_finite for backend in backends.values()],
        "resumed behind the log": [
            "the new points" if backend.rewinds else "the first" for backend in backends.values()
        ],
        "confirms at": [_CONFIRMS[backend.confirms] for backend in backends.values()],
    }
    rows += [f"| *{fact}* | {' | '.join(cells)} |" for fact, cells in facts.items()]
    return "\n".join(rows)


def _cell(backend: Backend, kind: str) -> str:
    if kind in backend.native:
        return backend.native[kind]
    return "file" if kind in get_args(ArtifactType) else "-"


def with_table(page: str, backends: Mapping[str, Backend]) -> str:
    """Return a Markdown page with a new table below its marker `<!-- kinds -->`."""
    return re.sub(r"(<!-- kinds -->\n)(?:\|.*\n)*", lambda marker: f"{marker[1]}{kinds_table(backends)}\n", page)


if __name__ == "__main__":
    file = Path(sys.argv[1])
    file.write_text(with_table(file.read_text(encoding="utf-8"), installed().backends), encoding="utf-8")
