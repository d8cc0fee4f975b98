"""Where the code of a run is: a commit of a repository on this machine, and perhaps a patch on top of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
from msgspec.structs import replace

from unitrack.environment.record import FOLDER, PATCH, Environment, Git
from unitrack.errors import ConfigError
from unitrack.reading import StoredRun
from unitrack.rerun.git import has_commit, try_git
from unitrack.rerun.lfs import LfsState, look_at
from unitrack.rerun.submodules import InnerRepository, find_inner


class Code(msgspec.Struct, frozen=True, kw_only=True):
    """The code of a run."""

    repository: str
    """The top folder of a work tree of this machine, or a bare repository."""
    commit: str
    """What is checked out."""
    has_patch: bool = False
    """Whether the artifact `environment/code.patch` is applied on top."""
    described: str
    """In words: "refs/unitrack/46e8f549e436, the exact tree"."""
    inner: tuple[InnerRepository, ...] = ()
    """Its submodules, and other repositories in it."""
    lfs: LfsState | None = None
    """Its files of git-lfs; None if it has none."""
    notes: tuple[str, ...] = ()

    @property
    def folder_name(self) -> str:
        """The name of the work tree's folder: that of the repository, after which projects are called."""
        return Path(self.repository).name.removesuffix(".git")


def find_code(run: StoredRun, environment: Environment, *, repository: Path | None, here: Path) -> Code:
    """Return where the code of a run is: its exact tree, else its commit with the recorded patch.

    It is looked for in `repository`, or else in the recorded one and in that of the folder `here`. Raises `ConfigError`
    if the run has recorded no code, or if it is in none of them.
    """
    recorded = environment.git
    if recorded is None:
        why = environment.git_note or "it was not in a git repository"
        raise ConfigError(
            f"the code of run {run.id} is not recorded ({why}), so it can't be rerun: start the program in a git "
            "repository, and the next run can"
        )
    places = list(_repositories(recorded, repository, here))
    code = _find(run, recorded, places)
    if code is None:
        raise ConfigError(_not_found(run, recorded, environment, places, repository))
    inner, notes = find_inner(code.repository, code.commit, recorded.submodules)
    lfs = look_at(code.repository, code.commit) if recorded.lfs else None
    return replace(
        code,
        inner=tuple(inner),
        lfs=lfs if lfs is not None and lfs.files else None,
        notes=(*code.notes, *_notes(recorded), *notes),
    )


def _find(run: StoredRun, recorded: Git, places: Sequence[str]) -> Code | None:
    for place in places:
        if has_commit(place, recorded.tree_commit):
            exact = f"{recorded.ref or recorded.tree_commit[:12]}, the exact tree"
            gone = recorded.ref and try_git(place, "rev-parse", "--verify", "-q", recorded.ref) is None
            described = f"{recorded.tree_commit[:12]}, the exact tree ({recorded.ref} is gone)" if gone else exact
            return Code(repository=place, commit=recorded.tree_commit, described=described)
    for place in places:
        if recorded.commit is not None and has_commit(place, recorded.commit):
            return _from_commit(run, recorded, place)
    return None


def _repositories(recorded: Git, given: Path | None, here: Path) -> Iterator[str]:
    """Yield the repositories in which the code may be, by the top folder of their work tree."""
    seen = set()
    for place in [given] if given is not None else [Path(recorded.root), here]:
        top = _top_of(place) if place.is_dir() else None
        if top and top not in seen:
            seen.add(top)
            yield top


def _top_of(place: Path) -> str | None:
    """Return the top folder of the work tree around a folder, or the folder of a bare repository."""
    top = try_git(place, "rev-parse", "--show-toplevel")
    return top or try_git(place, "rev-parse", "--absolute-git-dir")


def _from_commit(run: StoredRun, recorded: Git, place: str) -> Code:
    """Return the commit that was checked out, with the patch if the work tree differed from it."""
    commit = recorded.commit or ""
    was = "its exact tree is not in the repository" if recorded.tree_commit else (recorded.note or "no exact tree")
    if recorded.dirty is False and not recorded.untracked:
        return Code(repository=place, commit=commit, described=f"commit {commit[:12]}, which had no changes")
    if {PATCH, FOLDER} & {artifact.name for artifact in run.artifacts}:
        described = f"commit {commit[:12]} and {PATCH}"
        return Code(repository=place, commit=commit, has_patch=True, described=described, notes=(was,))
    raise ConfigError(
        f"the code of run {run.id} had changes since commit {commit[:12]} that are not to be had: {was}, and the run "
        f"has no {PATCH}"
    )


def _notes(recorded: Git) -> Iterator[str]:
    if recorded.left_out:
        some = ", ".join(f"{one.path} ({one.why})" for one in recorded.left_out[:3])
        more = f" and {len(recorded.left_out) - 3} more" if len(recorded.left_out) > 3 else ""
        yield f"not in the recorded tree: {some}{more}; --link PATH takes one from the work tree"
    if recorded.changed_after:
        yield f"changed while the tree was recorded: {', '.join(recorded.changed_after[:3])}"
    for submodule in recorded.submodules:
        if submodule.dirty:
            yield (
                f"the submodule {submodule.path} had changes that are in no record; --link {submodule.path} takes it "
                "from the work tree as it is now"
            )
    if recorded.note:
        yield recorded.note


def _not_found(run: StoredRun, recorded: Git, environment: Environment, places: list[str], given: Path | None) -> str:
    ref = recorded.ref or recorded.commit or "its commit"
    host = environment.machine.host
    fetch = f"git fetch REMOTE {recorded.ref}:{recorded.ref}" if recorded.ref else "git fetch"
    if given is not None and not places:
        return f"--repository {given} is no git repository"
    if not places:
        return (
            f"the code of run {run.id} is in {recorded.root} on {host}, and there is no such repository here: name a "
            f"clone by --repository DIR, with {ref} in it ({fetch})"
        )
    return (
        f"neither {ref} nor commit {(recorded.commit or 'none')[:12]} of run {run.id} is in {' or in '.join(places)}: "
        f"bring it there from {recorded.remote or host} ({fetch}), or name another clone by --repository DIR"
    )
