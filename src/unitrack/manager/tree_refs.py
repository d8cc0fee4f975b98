"""The git references that keep the exact trees of runs: they go when the run is deleted for good."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from unitrack.environment.git import Git, GitError
from unitrack.environment.record import RECORD, REF_PREFIX, read_environment, ref_of
from unitrack.environment.record import Git as RecordedGit
from unitrack.errors import UnitrackError
from unitrack.manager.links import links_of, manifest_of
from unitrack.reading import runs
from unitrack.runfolder.find import find_run_folders
from unitrack.runfolder.run_folder import RunFolder

_SECONDS = 30.0
"""How long git may take in one repository."""


class TreeRef(msgspec.Struct, frozen=True, kw_only=True):
    """The reference of one run in a repository on this machine."""

    repository: str
    """A folder in it."""
    ref: str
    commit: str
    """What the reference must point to: else it is not the one that this run has made."""


def find_tree_refs(trash: Iterable[Path], root: Path) -> list[TreeRef]:
    """Return the references that only runs in the trash of `root` need, in the repositories that can be reached.

    `trash`: folders of run folders. A reference stays if another backend or a team's store holds the run as well, if a
    run of this id is under the root, and if it points elsewhere than the run's record says.
    """
    staying = {manifest.run.run_id for folder in find_run_folders(root) if (manifest := manifest_of(folder))}
    known: dict[str, dict[str, str]] = {}
    found = []
    for run_id, recorded in (one for folder in trash for one in _recorded(folder, root)):
        for place in (recorded.root, str(root)) if run_id not in staying else ():
            if place not in known:
                known[place] = _refs_in(place)
            if known[place].get(recorded.ref) == recorded.tree_commit:
                found.append(TreeRef(repository=place, ref=recorded.ref, commit=recorded.tree_commit))
                break
    return list(dict.fromkeys(found))


def remove_tree_refs(refs: Iterable[TreeRef]) -> tuple[int, list[str]]:
    """Remove references that are still what they were; return how many, and why others stay, each in a sentence."""
    by_repository: dict[str, list[TreeRef]] = {}
    for one in refs:
        by_repository.setdefault(one.repository, []).append(one)
    removed, problems = 0, []
    for repository, some in by_repository.items():
        orders = (b"delete %s\0%s\0" % (one.ref.encode(), one.commit.encode()) for one in some)
        try:
            Git(repository, _SECONDS).output("update-ref", "-z", "--stdin", feed=b"".join(orders))
        except GitError as error:
            problems.append(f"{len(some)} of the references stay in {repository}: {error}")
        else:
            removed += len(some)
    return removed, problems


def _recorded(trash: Path, root: Path) -> Iterator[tuple[str, RecordedGit]]:
    """Yield the ids of runs that are nowhere else and have a reference, with what their records say of it."""
    with tempfile.TemporaryDirectory(prefix="unitrack-") as scratch:
        for number, folder in enumerate(find_run_folders(trash)):
            manifest = manifest_of(folder)
            if manifest is None or _is_elsewhere(folder, root):
                continue
            with contextlib.suppress(UnitrackError, ValueError, OSError):  # without a record, or with a damaged one
                record = runs(folder.path)[0].fetch(RECORD, Path(scratch, str(number)))
                git = read_environment(record.read_bytes()).git
                if git is not None and git.tree_commit and git.ref == ref_of(manifest.run.run_id):
                    yield manifest.run.run_id, git


def _is_elsewhere(folder: RunFolder, root: Path) -> bool:
    """Return whether a backend beside the run folders of `root` holds the run, or may hold it."""
    links = list(links_of(folder))
    return not links or any(Path(link.location) != root for _, link in links)


def _refs_in(place: str) -> dict[str, str]:
    """Return the references of runs in the repository around a folder; none if there is no folder, or no repository."""
    if not Path(place).is_dir():
        return {}
    try:
        listed = Git(place, _SECONDS).output("for-each-ref", "--format=%(refname) %(objectname)", REF_PREFIX)
    except GitError:
        return {}
    return dict(line.rsplit(" ", 1) for line in listed.decode(errors="replace").splitlines())
