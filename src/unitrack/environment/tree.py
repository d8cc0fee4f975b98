"""The exact tree of a run, kept in the repository under `refs/unitrack/<run id>`: also what is not committed.

It is made with an index of its own. The user's index, branches and stash stay as they are, and another git that holds
their lock does not matter.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import msgspec

from unitrack.environment.changes import Bounds, Changes, find_changes
from unitrack.environment.git import Git, GitError, joined
from unitrack.environment.record import LeftOut, ref_of
from unitrack.environment.repository import COMMIT, Head
from unitrack.values.plain import plain_text


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The tree of a work tree."""

    changes: Changes
    tree: str
    commit: str
    """The commit that holds it; "" if nothing could be written to the repository."""
    ref: str
    left_out: tuple[LeftOut, ...]
    git: Git
    """git with the index of the snapshot, and with its objects."""
    note: str = ""


_NOT_WRITABLE = "the repository can't be written, so the tree is not kept in it; the patch holds it"


class Label(msgspec.Struct, frozen=True):
    """Whose tree it is."""

    run_id: str
    run_name: str
    seconds: int
    """Since the epoch: the time of the commit, so that the same tree of the same call is the same commit."""


def take_snapshot(git: Git, head: Head, label: Label, bounds: Bounds, scratch: Path, *, keep: bool = True) -> Snapshot:
    """Return the tree of a work tree, and keep it in the repository.

    `scratch`: an empty folder for the index. `keep`: False to write nothing to the repository. Raises `GitError`.
    """
    objects = _absolute(git, git.line("rev-parse", "--git-path", "objects"))
    is_writable = os.access(objects, os.W_OK) and os.access(os.path.dirname(objects), os.W_OK)
    keep, note = keep and is_writable, "" if is_writable or not keep else _NOT_WRITABLE
    variables = {"GIT_INDEX_FILE": str(scratch / "index")}
    if not keep:
        variables |= {"GIT_OBJECT_DIRECTORY": str(scratch / "objects"), "GIT_ALTERNATE_OBJECT_DIRECTORIES": objects}
        (scratch / "objects").mkdir()
    own = git.with_variables(**variables)
    _begin_index(git, own, head, scratch / "index")
    _show_hidden(own, head.root)
    changes = find_changes(own, head.root, bounds)
    failed = _add(own, changes.kept)
    tree = own.line("write-tree")
    left_out = (*changes.left_out, *failed)
    if not keep:
        return Snapshot(changes=changes, tree=tree, commit="", ref="", left_out=left_out, git=own, note=note)
    ref = ref_of(label.run_id)
    commit = _commit(own, head, tree, ref, label)
    own.output("update-ref", "-m", "unitrack", ref, commit)
    return Snapshot(changes=changes, tree=tree, commit=commit, ref=ref, left_out=left_out, git=own)


def _absolute(git: Git, path: str) -> str:
    return os.path.join(git.folder, path)


def _begin_index(git: Git, own: Git, head: Head, index: Path) -> None:
    """Begin with a copy of the user's index, which knows the state of each file and so saves reading them all."""
    users = _absolute(git, git.line("rev-parse", "--git-path", "index"))
    try:
        shutil.copyfile(users, index)
        status = os.stat(users)
        os.utime(index, ns=(status.st_atime_ns, status.st_mtime_ns))  # git reads files again that are not older
    except OSError:
        index.unlink(missing_ok=True)
        if head.commit is not None:
            own.output("read-tree", head.commit)


def _show_hidden(own: Git, root: str) -> None:
    """Clear the marks that make git overlook changes: assume-unchanged, and skip-worktree of files that are there."""
    assumed, skipped = [], []
    for entry in own.names("ls-files", "-v", "-z"):
        mark, path = entry[:1], entry[2:]
        if mark.islower():
            assumed.append(path)
        if mark in (b"S", b"s") and os.path.lexists(os.path.join(os.fsencode(root), path)):
            skipped.append(path)
    for flag, paths in (("--no-assume-unchanged", assumed), ("--no-skip-worktree", skipped)):
        if paths:
            own.output("update-index", flag, "-z", "--stdin", feed=joined(paths))


def _add(own: Git, paths: Sequence[bytes]) -> list[LeftOut]:
    """Enter files as they are now into the index; return those of which git refuses to."""
    if not paths:
        return []
    try:
        own.output("update-index", "--add", "--remove", "--replace", "-z", "--stdin", feed=joined(paths))
    except GitError as error:
        if len(paths) == 1:
            return [LeftOut(path=plain_text(os.fsdecode(paths[0])), why=str(error))]
        middle = len(paths) // 2
        return [*_add(own, paths[:middle]), *_add(own, paths[middle:])]
    return []


def _commit(own: Git, head: Head, tree: str, ref: str, label: Label) -> str:
    """Return a commit of the tree: HEAD, if that is its tree, or a new one on top of it.

    The run's earlier commit, of a session before it was resumed, is its second parent.
    """
    earlier = own.line("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}", ok=(0, 1))
    if earlier and own.line("rev-parse", f"{earlier}^{{tree}}") == tree and _has_parent(own, earlier, head.commit):
        return earlier
    if head.commit is not None and not earlier and own.line("rev-parse", f"{head.commit}^{{tree}}") == tree:
        return head.commit
    parents = [one for one in (head.commit, earlier) if one and COMMIT.fullmatch(one)]
    date = f"{label.seconds} +0000"
    dated = own.with_variables(GIT_AUTHOR_DATE=date, GIT_COMMITTER_DATE=date)
    message = f"Run {label.run_name} ({label.run_id})"
    return dated.line("commit-tree", tree, *(word for one in parents for word in ("-p", one)), "-m", message)


def _has_parent(own: Git, commit: str, parent: str | None) -> bool:
    if commit == parent:
        return True
    first = own.line("rev-parse", "--verify", "--quiet", f"{commit}^", ok=(0, 1))
    return first == (parent or "")
