"""What `unitrack doctor` says of the runs that are here: the answer to "where are my runs?"."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from unitrack.cli.arguments import counted_runs
from unitrack.config import Resolved
from unitrack.errors import JournalError
from unitrack.hookspecs import Finding
from unitrack.run.launcher import find_rank
from unitrack.runfolder.find import find_run_folders, nearby_roots


def runs_here(resolved: Resolved) -> Iterator[Finding]:
    """Yield whether runs are recorded here at all, and how many there are."""
    tracking = resolved.settings.tracking
    rank = find_rank(tracking.rank)
    if tracking.mode == "disabled":
        origin = resolved.origins.get("tracking.mode", "default")
        yield Finding(
            ok=True, subject="mode", message=f"disabled (tracking.mode from {origin}): runs started here record nothing"
        )
    if rank and tracking.ranks == "zero":
        told = f"this process is rank {rank}, and only rank 0 records runs (tracking.ranks)"
        yield Finding(ok=True, subject="rank", message=told)
    yield Finding(ok=True, subject="runs", message=_told(Path(tracking.root).absolute()))


def _told(root: Path) -> str:
    folders = list(find_run_folders(root))
    if not folders:
        return "; ".join([f"none in {root} (tracking.root)", *_others(nearby_roots(root))])
    pending = sum(folder.spool.exists() for folder in folders)
    try:
        newest = max((folder.read_manifest().run for folder in folders), key=lambda run: run.time).name
    except JournalError as error:
        newest = f"unknown ({error.strerror})"
    waiting = f"; {pending} not delivered yet: unitrack status" if pending else ""
    return f"{counted_runs(len(folders))} in {root}, the newest is {newest!r}{waiting}"


def _others(found: Mapping[Path, int]) -> list[str]:
    return [f"{counted_runs(count)} in {path}: give it as tracking.root, or go there" for path, count in found.items()]
