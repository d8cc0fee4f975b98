"""Joining a run as one of its ranks.

One process owns a run: it starts the run, has it delivered, and ends it. Other ranks write their own journals into its
spool, and the owner's couriers deliver these as well.
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import msgspec

from unitrack.config import Settings
from unitrack.errors import ConfigError, JournalError
from unitrack.journal import JournalWriter
from unitrack.run.parts import rank_parts
from unitrack.run.run import Run
from unitrack.runfolder.find import find_run
from unitrack.runfolder.manifest import Manifest
from unitrack.runfolder.rank_files import RankFiles
from unitrack.runfolder.run_folder import RunFolder
from unitrack.system.life import Life
from unitrack.system.processes import Owner

_JOIN_TIMEOUT_S = 60.0
"""How long a rank waits for rank 0 to start the run: nodes start Python at different speeds."""
_JOIN_POLL_S = 0.05


def join_as_rank(root: Path, run_id: str, rank: int, settings: Settings) -> Run:
    """Join the run that rank 0 starts, or has started, under `root`; wait for it at most a minute.

    Raises `ConfigError` if it does not appear: rank 0 did not start it, has another `root`, or has already ended it
    because it did not know of this rank.
    """
    deadline = time.monotonic() + _JOIN_TIMEOUT_S
    folder = None
    while True:
        folder = folder or find_run(root, run_id)
        joined = folder and _join_if_open(folder, rank, settings)
        if joined:
            return joined
        if time.monotonic() >= deadline:
            if folder:
                raise ConfigError(
                    f"rank {rank} found run {run_id!r} in {folder.path} only after its end, and waited "
                    f"{_JOIN_TIMEOUT_S:.0f} s for rank 0 to go on with it; where WORLD_SIZE says how many ranks there "
                    "are, rank 0 waits for all; a new job needs a run id of its own, or resume='allow'"
                )
            raise ConfigError(
                f"rank {rank} has waited {_JOIN_TIMEOUT_S:.0f} s for rank 0 to start run {run_id!r} under {root}; "
                "is that folder the same for all ranks?"
            )
        time.sleep(_JOIN_POLL_S)


def _join_if_open(folder: RunFolder, rank: int, settings: Settings) -> Run | None:
    with contextlib.suppress(JournalError), folder.spool_lock():
        manifest: Manifest = folder.read_manifest()
        if not folder.spool.exists() or folder.ended_file.exists() or folder.life_of(manifest.owner) is Life.GONE:
            return None  # left by an earlier job: rank 0 will resume it
        journal = JournalWriter(folder.spool)
        RankFiles(folder).file(rank).write_bytes(msgspec.json.encode(Owner.current(journal.writer)))
        return Run(rank_parts(manifest.run, folder, settings, rank, journal))
    return None
