"""The changes since a commit as a patch, for those who have no access to the repository that holds the tree."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence

import msgspec

from unitrack.environment.git import Git
from unitrack.environment.record import LeftOut
from unitrack.limits import MAX_PATCH_BYTES, MIB
from unitrack.values.plain import plain_text
from unitrack.values.redaction import holds_credential

_FILE = re.compile(rb"^diff --git ", re.MULTILINE)
_FORM = ("--binary", "--full-index", "--no-ext-diff", "--no-textconv", "--no-color", "--no-renames")
_PREFIXES = ("--src-prefix=a/", "--dst-prefix=b/")


class Patch(msgspec.Struct, frozen=True):
    """A patch that `git apply` takes, and what it lacks."""

    text: bytes
    left_out: tuple[LeftOut, ...] = ()


def make_patch(git: Git, base: str | None, tree: str, patterns: Sequence[str] = ()) -> Patch:
    """Return the changes from a commit to a tree; `base`: None for all files of the tree. Raises `GitError`.

    A file whose change holds what looks like a credential is left out, and so is what does not fit into
    `MAX_PATCH_BYTES`. `patterns`: those of `safeguards.redact_patterns`.
    """
    base = base or git.line("hash-object", "-t", "tree", os.devnull)
    kept: list[bytes] = []
    left_out: list[LeftOut] = []
    size = 0
    for name, change in _changes(git, base, tree):
        if holds_credential(change.decode(errors="replace"), patterns):
            why = "its change holds what looks like a credential"
        elif size + len(change) > MAX_PATCH_BYTES:
            why = f"the patch would have more than {MAX_PATCH_BYTES // MIB} MiB"
        else:
            kept.append(change)
            size += len(change)
            continue
        left_out.append(LeftOut(path=plain_text(os.fsdecode(name)), why=why))
    return Patch(b"".join(kept), tuple(left_out))


def _changes(git: Git, base: str, tree: str) -> Iterator[tuple[bytes, bytes]]:
    """Yield the name and the change of each file."""
    names = git.names("diff-tree", "-r", "-z", "--name-only", "--no-renames", base, tree)
    text = git.output("diff-tree", "-r", "-p", *_FORM, *_PREFIXES, base, tree)
    starts = [found.start() for found in _FILE.finditer(text)]
    for name, start, end in zip(names, starts, [*starts[1:], len(text)], strict=False):
        yield name, text[start:end]
