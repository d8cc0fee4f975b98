"""The run folder: who puts what where. Everything of a run lies in it, and nothing outside of it.

<root>/<run name>/
  .spool/            the delivery buffer: journals, and copies of logged files; gone once all sinks are complete
  .unitrack/
    run.json         the manifest: identity, sinks, owner
    <sink>.ledger.json  the sink's ledger (see delivery/ledger.py)
    <sink>.dead.jsonl   records that the backend refused
    <sink>.dead/        copies of the artifacts among them
    <sink>.waiting.jsonl   artifacts that wait, as the place where the backend keeps files can't be used
    <sink>.superseded.jsonl   points that are not on the curve that it shows, as training went back
    <sink>/          the sink's own notes
  metadata.json params.json metrics.jsonl artifacts/     written by the local sink
"""

from __future__ import annotations

import contextlib
import glob
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

import msgspec

from unitrack.errors import ConfigError, JournalError
from unitrack.manifest import Manifest
from unitrack.owner import Owner, process_start
from unitrack.safe_files import FILE_MODE, FOLDER_MODE, UnsafePathError, open_private, read_regular
from unitrack.system.life import Life, last_beat, life_of, sign_file
from unitrack.system.locks import FileLock, is_file_locked

_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,127}")
"""What ids of runs, names of sinks and names of journals look like."""
_UNSAFE = re.compile(r"[^\w.\- ]+")
_MAX_FOLDER_NAME = 200  # bytes; file systems take 255, of which a few are for a number


class RunFolder:
    """The paths of one run folder, absolute and without symbolic links, however the folder was named.

    Sinks keep paths in their notes, and a later process may come by another one.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(os.path.realpath(path))
        self.spool = self.path / ".spool"
        self.files = self.spool / "files"
        self.state = self.path / ".unitrack"

    def __repr__(self) -> str:
        return f"RunFolder({str(self.path)!r})"

    @classmethod
    def claim(cls, root: Path, name: str) -> RunFolder:
        """A new folder under `root`, named after the run: a second run of the name gets "<name>-2".

        The folder's name holds no separators and no leading dot, whatever the run is called. Raises `ConfigError` if
        the root can't be written.
        """
        safe = _UNSAFE.sub("_", name).encode()[:_MAX_FOLDER_NAME].decode(errors="ignore").strip(" .") or "run"
        number = 1
        try:
            root.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
            while True:
                path = root / (safe if number == 1 else f"{safe}-{number}")
                try:
                    path.mkdir(mode=FOLDER_MODE)
                    break
                except FileExistsError:
                    number += 1
            folder = cls(path)
            folder.prepare()
        except OSError as error:
            raise ConfigError(
                f"can't create a run folder in {str(root)!r}: {error.strerror}; "
                "set `root=` (or UNITRACK_ROOT) to a folder that can be written"
            ) from error
        return folder

    def discard(self) -> None:
        """Remove a run folder that has just been made, and in which the run could not begin."""
        with contextlib.suppress(OSError):  # too many open files for an import, say
            import shutil

            shutil.rmtree(self.path, ignore_errors=True)

    def is_gone(self) -> bool:
        """Whether the run folder was deleted; not if it only can't be read now."""
        try:
            os.stat(self.manifest_file)
        except (FileNotFoundError, NotADirectoryError):
            return True
        except OSError:
            return False
        return False

    def prepare(self) -> None:
        """Make the folders that delivery needs."""
        self.spool.mkdir(mode=FOLDER_MODE, exist_ok=True)
        self.state.mkdir(mode=FOLDER_MODE, exist_ok=True)

    @property
    def manifest_file(self) -> Path:
        """`run.json`."""
        return self.state / "run.json"

    def ledger_file(self, sink: str) -> Path:
        """Where the sink's ledger lies."""
        return self.state / f"{sink}.ledger.json"

    def dead_letter_file(self, sink: str) -> Path:
        """Where records that the backend refused are kept."""
        return self.state / f"{sink}.dead.jsonl"

    def waiting_file(self, sink: str) -> Path:
        """Where artifacts are noted that wait until the backend's store of files can be used."""
        return self.state / f"{sink}.waiting.jsonl"

    def superseded_file(self, sink: str) -> Path:
        """Where points are kept that are not on the curve which the sink shows; see `delivery.curves`."""
        return self.state / f"{sink}.superseded.jsonl"

    def lock_file(self, sink: str) -> Path:
        """Locked by whoever delivers to the sink."""
        return self.state / f"{sink}.ledger.lock"

    @property
    def ended_file(self) -> Path:
        """There once the owner has ended the run: a sign for those who log beside it and read no journal."""
        return self.spool / "ended"

    def rank_file(self, rank: int) -> Path:
        """There once another rank than 0 has joined the run; it holds the `Owner` of that rank's journal."""
        return self.spool / f"rank{rank}.json"

    def rank_ended_file(self, rank: int) -> Path:
        """There once that rank has ended its part."""
        return self.spool / f"rank{rank}.ended"

    def other_ranks_log(self, world_size: int) -> bool:
        """Whether one of the ranks 1 ... `world_size` - 1, or another one that has joined, may still log."""
        joined = {int(file.stem[4:]): file for file in self.spool.glob("rank[0-9]*.json")}
        for rank in {*range(1, world_size), *joined}:
            if self.rank_ended_file(rank).exists():
                continue
            if rank not in joined:
                return True  # it is slow to start
            with contextlib.suppress(OSError, msgspec.MsgspecError):
                if self.life_of(msgspec.json.decode(joined[rank].read_bytes(), type=Owner)) is not Life.GONE:
                    return True
        return False

    def forget_ranks(self) -> None:
        """The run is taken up: the ranks of before are gone."""
        for file in (*self.spool.glob("rank[0-9]*.json"), *self.spool.glob("rank[0-9]*.ended")):
            file.unlink(missing_ok=True)

    def life_of(self, owner: Owner) -> Life:
        """Return whether the owner, or a rank, is alive, gone, or out of sight."""
        if owner.is_near():
            return Life.ALIVE if owner.is_alive() else Life.GONE
        return life_of(self.spool, owner.writer) or Life.UNKNOWN

    def silent_for(self, owner: Owner) -> float | None:
        """Return the seconds since the owner's last sign of life; None if it never gave one."""
        return last_beat(self.spool, owner.writer)

    def is_open(self, owner: Owner) -> bool:
        """Whether a process that may be alive has the run open. One of an older version elsewhere is no bar."""
        if not self.spool.exists() or self.ended_file.exists():
            return False
        life = self.life_of(owner)
        return life is Life.ALIVE or (life is Life.UNKNOWN and self.silent_for(owner) is not None)

    def mark_ended(self) -> None:
        """Make `ended_file`. That the spool is already gone, or the disk full, is no reason to fail: it is a hint."""
        with contextlib.suppress(OSError):
            self.ended_file.touch(mode=FILE_MODE)

    @contextlib.contextmanager
    def spool_lock(self) -> Iterator[None]:
        """Held while a run takes up its spool and while a lane removes it, so that the one can't undo the other."""
        lock = FileLock(self.state / "spool.lock")
        lock.acquire(wait=True)
        try:
            yield
        finally:
            lock.release()

    @contextlib.contextmanager
    def lane_lock(self, sink: str) -> Iterator[bool]:
        """Gives whether nobody delivers to the sink, nor will while this is held. Raises `OSError` without a folder."""
        lock = FileLock(self.lock_file(sink))
        is_ours = lock.acquire()
        try:
            yield is_ours
        finally:
            lock.release()

    def is_delivered(self, sink: str) -> bool:
        """Whether a process delivers to the sink now."""
        return is_file_locked(self.lock_file(sink))

    def holds_lock(self, owner: Owner) -> bool:
        """Whether the owner's lock is held, which proves that it lives."""
        return is_file_locked(sign_file(self.spool, owner.writer))

    def write_manifest(self, manifest: Manifest) -> None:
        """Write `run.json`, whole or not at all."""
        write_atomically(self.manifest_file, msgspec.json.encode(manifest))

    def read_manifest(self) -> Manifest:
        """Read `run.json`. Raises `JournalError` if it is missing or damaged, or names what leads out of the folder."""
        try:
            manifest = msgspec.json.decode(read_regular(self.manifest_file), type=Manifest)
            self._refuse_unsafe(manifest)
        except (OSError, ValueError, RecursionError) as error:
            raise JournalError(0, f"not a run folder of unitrack ({error})", str(self.path)) from error
        return manifest

    def _refuse_unsafe(self, manifest: Manifest) -> None:
        """A folder may come from a stranger: its parts must be in it, and names must be what we make file names of."""
        for part in (self.state, self.spool):
            with contextlib.suppress(FileNotFoundError):  # the spool goes when all is delivered, perhaps just now
                if not stat.S_ISDIR(os.lstat(part).st_mode):
                    raise UnsafePathError(f"{part.name} is a symbolic link, or no folder")
        names = [sink.name for sink in manifest.sinks]
        for name in (*names, manifest.run.run_id, manifest.owner.writer):
            if not _FILE_NAME.fullmatch(name):
                raise UnsafePathError(f"{name[:40]!r} can't be a part of file names")
        if len(set(names)) < len(names):
            raise UnsafePathError("two sinks have one name")

    def remove_spool(self) -> None:
        """Delete the delivery buffer. Only for who has seen every ledger complete.

        It is renamed first: of a spool that is half deleted, nobody could tell what was in it.
        """
        import shutil  # couriers do this, and training need not pay for its compressors

        condemned = self.state / "spool.removed"
        shutil.rmtree(condemned, ignore_errors=True)  # of one that died here
        with contextlib.suppress(OSError):  # there is none
            os.rename(self.spool, condemned)
        shutil.rmtree(condemned, ignore_errors=True)


def find_run_folders(root: Path) -> Iterator[RunFolder]:
    """The run folders directly under `root`, in the order of their names; `root` itself if it is one."""
    if is_run_folder(root):
        yield RunFolder(root)
        return
    if root.is_dir():
        for path in sorted(root.iterdir()):
            if is_run_folder(path):
                yield RunFolder(path)


def is_run_folder(path: Path) -> bool:
    """Return whether a folder is that of a run."""
    return os.path.exists(path / ".unitrack" / "run.json")  # `Path.exists` raises for a folder of somebody else's


def find_run(root: Path, run_id: str) -> RunFolder | None:
    """The folder of the run with this id under `root`."""
    for folder in find_run_folders(root):
        with contextlib.suppress(JournalError):  # what can't be read is not the run that was asked for
            if folder.read_manifest().run.run_id == run_id:
                return folder
    return None


def write_atomically(path: Path, data: bytes) -> None:
    """Replace a file's content so that a reader sees the old or the new one, never a part."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb", opener=open_private) as file:
            file.write(data)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def remove_torn(path: Path) -> None:
    """Remove what processes left beside a file that died while they replaced it."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        pid = left.name.split(".")[-2]
        if pid.isdecimal() and process_start(int(pid)) is None:
            left.unlink(missing_ok=True)
