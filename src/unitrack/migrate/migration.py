"""What became of a script."""

from __future__ import annotations

import difflib

import msgspec


class Remark(msgspec.Struct, frozen=True):
    """Something to know about a line of the script as it was."""

    line: int
    code: str
    """The call or the argument."""
    why: str


class Migration(msgspec.Struct, frozen=True):
    """A script before and after."""

    before: str
    after: str
    changed: int
    """How many calls and names were rewritten."""
    left: tuple[Remark, ...]
    """What still calls the other library, or would not do the same: to be rewritten by hand."""
    dropped: tuple[Remark, ...]
    """What is not needed any more, or is configuration now."""

    def diff(self, name: str) -> str:
        """Return the change as a unified diff of the file `name`; "" if there is none."""
        lines = (text.splitlines(keepends=True) for text in (self.before, self.after))
        before, after = ([line if line.endswith("\n") else f"{line}\n" for line in part] for part in lines)
        return "".join(difflib.unified_diff(before, after, name, f"{name} (migrated)"))
