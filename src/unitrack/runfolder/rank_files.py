"""The files of the ranks of a run in its spool, which tell rank 0 which ranks to wait for."""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec

from unitrack.runfolder.run_folder import RunFolder
from unitrack.system.life import Life
from unitrack.system.processes import Owner
from unitrack.values.codec import decode


class RankFiles:
    """The files of the ranks of a run, in its spool."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder

    def file(self, rank: int) -> Path:
        """Return the path of the file that a rank above 0 makes when it joins; it holds the `Owner` of its journal."""
        return self._folder.spool / f"rank{rank}.json"

    def ended_file(self, rank: int) -> Path:
        """Return the path of the file that a rank makes when it has ended its part."""
        return self._folder.spool / f"rank{rank}.ended"

    def may_others_log(self, world_size: int) -> bool:
        """Return whether a rank in 1 ... `world_size` - 1, or any other that has joined, may still log."""
        joined = {int(file.stem[4:]): file for file in self._folder.spool.glob("rank[0-9]*.json")}
        for rank in {*range(1, world_size), *joined}:
            if self.ended_file(rank).exists():
                continue
            if rank not in joined:
                return True  # it may still start
            with contextlib.suppress(OSError, msgspec.MsgspecError):
                if self._folder.life_of(decode(joined[rank].read_bytes(), Owner)) is not Life.GONE:
                    return True
        return False

    def forget(self) -> None:
        """Remove the files of the ranks of an earlier process, when a run is resumed."""
        for file in (*self._folder.spool.glob("rank[0-9]*.json"), *self._folder.spool.glob("rank[0-9]*.ended")):
            file.unlink(missing_ok=True)
