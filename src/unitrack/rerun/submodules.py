"""The repositories within the code of a run: submodules, and folders that are repositories without being one.

They come from the user's own copies, so that no network is needed and commits that were never pushed are there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from unitrack.environment.record import Submodule
from unitrack.errors import ConfigError
from unitrack.rerun.git import has_commit, run_git, try_git

_GITLINK = re.compile(r"160000 commit ([0-9a-f]{40,64})\t(.*)", re.DOTALL)


class InnerRepository(msgspec.Struct, frozen=True, kw_only=True):
    """A repository within the code."""

    path: str
    """Below the top of the code, with slashes."""
    commit: str
    source: str
    """The repository on this machine that has the commit; "" if git has to bring it from the submodule's URL."""
    url: str = ""

    def __str__(self) -> str:
        return f"{self.path} at {self.commit[:12]}, from {self.source or self.url or 'the URL in .gitmodules'}"


def find_inner(
    repository: str, tree_commit: str, recorded: Sequence[Submodule]
) -> tuple[list[InnerRepository], list[str]]:
    """Return the repositories within a run's code, where they are taken from, and notes on those that are missing."""
    known = dict(gitlinks(repository, tree_commit))
    found, notes = [], []
    for one in recorded:
        source = find_source(repository, tree_commit, one.path, one.commit)
        if source or one.path in known:
            found.append(InnerRepository(path=one.path, commit=one.commit, source=source, url=one.url))
        else:
            what = f"commit {one.commit[:12]} of it" if one.commit else "a commit of it"
            notes.append(f"{one.path}, a repository that is no submodule, is missing: {what} is not on this machine")
    return found, notes


def gitlinks(repository: str | Path, commit: str) -> Iterator[tuple[str, str]]:
    """Yield the path and the commit of each submodule in a commit."""
    for entry in (try_git(repository, "ls-tree", "-r", "-z", "--full-tree", commit) or "").split("\0"):
        if found := _GITLINK.fullmatch(entry):
            yield found[2], found[1]


def find_source(repository: str | Path, tree_commit: str, path: str, commit: str) -> str:
    """Return the repository here that holds a commit of what lies at `path`: in the work tree, or in git's folder of
    submodules; "" if none does.
    """
    for place in _places(repository, tree_commit, path):
        if place.is_dir() and _is_top(place) and has_commit(place, commit):
            return str(place)
    return ""


def _places(repository: str | Path, tree_commit: str, path: str) -> Iterator[Path]:
    yield Path(repository, path)
    name, common = _name_of(repository, tree_commit, path), try_git(repository, "rev-parse", "--git-common-dir")
    if name and common:
        yield Path(repository, common, "modules", name)


def _name_of(repository: str | Path, tree_commit: str, path: str) -> str:
    """Return the name of the submodule at a path, as `.gitmodules` in a commit has it; "" if it has none."""
    listed = try_git(repository, "config", "-z", "--blob", f"{tree_commit}:.gitmodules", "--get-regexp", r"\.path$")
    for entry in (listed or "").split("\0"):
        key, _, value = entry.partition("\n")
        if value == path:
            return key.removeprefix("submodule.").removesuffix(".path")
    return ""


def _is_top(place: Path) -> bool:
    """Return whether a folder is a repository itself, and not only in one."""
    top = try_git(place, "rev-parse", "--show-toplevel") or try_git(place, "rev-parse", "--absolute-git-dir")
    return top is not None and os.path.realpath(top) == os.path.realpath(place)


def check_out_inner(inner: Sequence[InnerRepository], top: Path) -> None:
    """Check the repositories within the code out in its work tree, and those within them. Raises `ConfigError`."""
    for one in inner:
        _check_out(one.path, one.commit, one.source, top)


def _check_out(path: str, commit: str, source: str, top: Path) -> None:
    place = top / path
    if not Path(os.path.normpath(place)).is_relative_to(top):
        raise ConfigError(f"the recorded submodule {path!r} leads out of the repository")
    if not source:
        _fetch(path, commit, top)
        return
    place.mkdir(parents=True, exist_ok=True)
    run_git(top, "clone", "--quiet", "--shared", "--no-checkout", "--", source, str(place))
    run_git(place, "checkout", "--quiet", "--detach", commit)
    for inner_path, inner_commit in gitlinks(place, commit):
        _check_out(inner_path, inner_commit, find_source(source, commit, inner_path, inner_commit), place)


def _fetch(path: str, commit: str, top: Path) -> None:
    """Let git bring a submodule from its URL. What it notes of that in the user's configuration is removed again."""
    name = _name_of(top, "HEAD", path) or path
    is_known = try_git(top, "config", "--get", f"submodule.{name}.url") is not None
    try:
        run_git(top, "submodule", "update", "--init", "--recursive", "--", path)
    except ConfigError as error:
        raise ConfigError(
            f"the submodule {path} at {commit[:12]} is not on this machine, and could not be fetched: bring it "
            f"into your clone by `git submodule update --init {path}`, or take it from there by --link {path}.\n{error}"
        ) from error
    finally:
        if not is_known:
            try_git(top, "config", "--local", "--remove-section", f"submodule.{name}")
