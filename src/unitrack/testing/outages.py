"""Making a store fail for a while, for the method `outage` of a conformance file."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal


@contextlib.contextmanager
def in_the_way(path: Path, by: Literal["file", "folder"]) -> Iterator[None]:
    """Put a file at `path` where the store needs a folder, or a folder where it needs a file, within the block.

    What was at `path` is put back afterwards. Unlike a change of permissions it also stops the superuser.
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
