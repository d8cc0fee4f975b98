"""Ways to make a store fail for a while, for a conformance file's `outage`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal


@contextlib.contextmanager
def in_the_way(path: Path, by: Literal["file", "folder"]) -> Iterator[None]:
    """Within, a file or a folder is where a store needs the other; it has what it had before afterwards.

    It fails for root too, whom permissions do not stop.
    """
    aside = path.with_name(f"{path.name}.aside")
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        path.rename(aside)
    if by == "file":
        path.write_bytes(b"in the way")
    else:
        path.mkdir()
    try:
        yield
    finally:
        if by == "file":
            path.unlink()
        else:
            path.rmdir()
        if aside.exists():
            aside.rename(path)
