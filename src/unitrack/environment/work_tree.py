"""The code of a run: its repository, what is not committed there, and what of it is kept where."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from unitrack.environment.changes import Bounds, Changes
from unitrack.environment.git import Git, GitError
from unitrack.environment.patch import make_patch
from unitrack.environment.record import Git as GitState
from unitrack.environment.record import LeftOut, Part, Submodule
from unitrack.environment.repository import (
    Head,
    branch_of,
    find_head,
    pushed_commit,
    remote_of,
    without_credentials,
)
from unitrack.environment.request import TreeTerms
from unitrack.environment.tree import Label, Snapshot, take_snapshot
from unitrack.limits import CAPTURE_S, MAX_LISTED
from unitrack.values.plain import plain_text

_GITLINK = b"160000 "


class Code(Part, frozen=True, kw_only=True):
    """What was found."""

    git: GitState | None
    reason: str = ""
    """Why there is no `git`."""
    patch: bytes = b""


def capture_code(
    folders: Iterable[str], terms: TreeTerms, patterns: Sequence[str], called_at: int, scratch: Path
) -> Code:
    """Return the state of the repository of the first folder that is in one, and keep its tree.

    `called_at`: milliseconds since the epoch. Raises `GitError` without a repository; any later failure is a note.
    """
    head = find_head(folders, CAPTURE_S)
    git = Git(head.root, CAPTURE_S)
    branch = branch_of(git)
    state = GitState(
        commit=head.commit,
        branch=branch,
        remote=remote_of(git, branch),
        root=plain_text(head.root),
        patch_base=head.commit or "",
    )
    label = Label(terms.run_id, terms.run_name, called_at // 1000)
    bounds = Bounds(file_bytes=terms.file_bytes, total_bytes=terms.total_bytes, stores=terms.stores)
    try:
        snapshot = take_snapshot(git, head, label, bounds, scratch, keep=terms.keep_tree)
    except (GitError, OSError) as error:
        return Code(git=msgspec.structs.replace(state, note=f"the tree could not be taken: {error}"))
    state = _with_snapshot(state, snapshot, head, called_at)
    if not terms.keep_patch:
        return Code(git=state)
    return _with_patch(state, snapshot, head, patterns)


def _with_snapshot(state: GitState, snapshot: Snapshot, head: Head, called_at: int) -> GitState:
    git, changes = snapshot.git, snapshot.changes
    notes = [snapshot.note] if snapshot.note else []
    submodules: tuple[Submodule, ...] = ()
    has_lfs = False
    try:
        submodules = _submodules(git, changes)
        has_lfs = bool(git.output("ls-files", "-z", "--", ":(top,attr:filter=lfs)"))
        if has_lfs and not git.line("config", "--get", "filter.lfs.clean", ok=(0, 1)):
            notes.append("git-lfs is not set up here: changed files of it are in the tree with their whole content")
    except GitError as error:
        notes.append(str(error))
    if any(one.dirty for one in submodules):
        notes.append("submodules have changes, which are not in the tree: it holds only their commits")
    return msgspec.structs.replace(
        state,
        dirty=changes.dirty,
        untracked=changes.untracked,
        ref=snapshot.ref,
        tree_commit=snapshot.commit,
        tree=snapshot.tree,
        left_out=listed(snapshot.left_out),
        submodules=submodules,
        lfs=has_lfs,
        changed_after=tuple(_changed_after(head.root, changes.kept, called_at))[:MAX_LISTED],
        note="; ".join(notes),
    )


def _with_patch(state: GitState, snapshot: Snapshot, head: Head, patterns: Sequence[str]) -> Code:
    try:
        base = pushed_commit(snapshot.git, head.commit) if head.commit else None
        patch = make_patch(snapshot.git, base, snapshot.tree, patterns)
    except GitError as error:
        note = "; ".join(filter(None, (state.note, f"there is no patch: {error}")))
        return Code(git=msgspec.structs.replace(state, note=note))
    state = msgspec.structs.replace(state, patch_base=base or "", patch_left_out=listed(patch.left_out))
    return Code(git=state, patch=patch.text)


def listed(left_out: Sequence[LeftOut]) -> tuple[LeftOut, ...]:
    """Return a list of files that a record can hold."""
    more = len(left_out) - MAX_LISTED
    shown = tuple(left_out[:MAX_LISTED])
    return (*shown, LeftOut(path="...", why=f"and {more:,} more")) if more > 0 else shown


def _submodules(git: Git, changes: Changes) -> tuple[Submodule, ...]:
    """Return the repositories within the repository: submodules, and untracked folders that are repositories."""
    found = []
    for entry in git.names("ls-files", "--stage", "-z"):
        if entry.startswith(_GITLINK):
            place, _, path = entry.partition(b"\t")
            found.append((path, place.split()[1].decode(), changes.submodules.get(path, False)))
    urls = _urls(git) if found else {}
    submodules = [
        Submodule(path=_shown(path), commit=commit, dirty=dirty, url=urls.get(_shown(path), ""))
        for path, commit, dirty in found
    ]
    for path in changes.repositories:
        inner = Git(os.path.join(git.folder, os.fsdecode(path)), CAPTURE_S)
        commit = inner.line("rev-parse", "--verify", "--quiet", "HEAD^{commit}", ok=(0, 1, 128))
        submodules.append(Submodule(path=_shown(path), commit=commit))
    return tuple(submodules)


def _urls(git: Git) -> dict[str, str]:
    """Return the URL of each submodule, by path, as `.gitmodules` has it."""
    known: dict[str, dict[str, str]] = {}
    for entry in git.names("config", "-z", "--file", ".gitmodules", "--get-regexp", r"^submodule\..*\.(path|url)$"):
        name, _, value = os.fsdecode(entry).partition("\n")
        if found := re.fullmatch(r"submodule\.(.*)\.(path|url)", name, re.DOTALL):
            known.setdefault(found[1], {})[found[2]] = value
    return {
        plain_text(one["path"]): without_credentials(one["url"])
        for one in known.values()
        if {"path", "url"} <= set(one)
    }


def _changed_after(root: str, paths: Iterable[bytes], called_at: int) -> Iterable[str]:
    """Yield the files that were changed after the call."""
    for path in paths:
        try:
            changed = os.lstat(os.path.join(os.fsencode(root), path)).st_mtime_ns
        except OSError:
            continue
        if changed > (called_at + 1) * 1_000_000:
            yield _shown(path)


def _shown(path: bytes) -> str:
    return plain_text(os.fsdecode(path))
