"""The run folder and its paths. All files of a run lie in it:

<root>/<run name>/
  .spool/            the delivery buffer: journals, and copies of logged files; gone once all sinks are complete
  .unitrack/
    run.json         the manifest: identity, sinks, owner
    <sink>.ledger.json  the sink's ledger (see delivery/ledger.py)
    <sink>.dead.jsonl   records that the backend refused
    <sink>.dead/        copies of refused artifacts
    <sink>.waiting.jsonl   artifacts that wait until the backend's store of files can be used
    <sink>.superseded.jsonl   points replaced by others, since training went back to an earlier step
    <sink>.transfer.json   how far the upload of a file is
    <sink>/          the sink's own notes
    refused.json     the points that log calls did not take
    columns.bin      a copy of the points in columns, kept by readers; deleting it costs only time
    import.lock      held by the courier that imports its SDK
  metadata.json params.json metrics.jsonl artifacts/     written by the local sink
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

import msgspec

from unitrack.errors import ConfigError, JournalError
from unitrack.runfolder.manifest import Manifest
from unitrack.system.atomic import write_atomically
from unitrack.system.files import FILE_MODE, FOLDER_MODE, UnsafePathError, read_regular
from unitrack.system.life import Life, last_beat, life_of, sign_file
from unitrack.system.locks import FileLock, is_file_locked
from unitrack.system.processes import Owner
from unitrack.values.codec import decode

_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,127}")
"""The form of ids of runs, names of sinks and names of journals."""
_UNSAFE = re.compile(r"[^\w.\- ]+")
_MAX_FOLDER_NAME = 200  # bytes; file systems take 255, and a number may follow


def is_run_id(text: str) -> bool:
    """Return whether a text can be the id of a run, or the name of a sink or of a journal."""
    return _FILE_NAME.fullmatch(text) is not None


class RunFolder:
    """The paths of one run folder, absolute and with symbolic links resolved.

    Sinks store paths in their checkpoints, and a later process may reach the folder by another path.
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
        """Make a new folder under `root`, named after the run; a second run of the name gets "<name>-2".

        Characters of the name that a folder's name should not hold are replaced. Raises `ConfigError` if the root can't
        be written.
        """
        try:
            folder = cls(claim_path(root, name))
            folder.prepare()
        except OSError as error:
            raise ConfigError(
                f"can't create a run folder in {str(root)!r}: {error.strerror}; "
                "set `root=` (or UNITRACK_ROOT) to a folder that can be written"
            ) from error
        return folder

    def discard(self) -> None:
        """Remove a new run folder, because the run could not begin in it."""
        with contextlib.suppress(OSError):  # the import may fail: too many open files
            import shutil  # noqa: PLC0415  # three compressors cost 2 ms

            shutil.rmtree(self.path, ignore_errors=True)

    def is_gone(self) -> bool:
        """Return whether the run folder was deleted; False if it only can't be read now."""
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
        """Return the path of the sink's ledger."""
        return self.state / f"{sink}.ledger.json"

    def dead_letter_file(self, sink: str) -> Path:
        """Return the path of the records that the backend refused."""
        return self.state / f"{sink}.dead.jsonl"

    def waiting_file(self, sink: str) -> Path:
        """Return the path of the list of artifacts that wait until the backend's store of files can be used."""
        return self.state / f"{sink}.waiting.jsonl"

    def superseded_file(self, sink: str) -> Path:
        """Return the path of the points that the sink's curve does not hold; see `unitrack.delivery.lane.curves`."""
        return self.state / f"{sink}.superseded.jsonl"

    @property
    def alerts_file(self) -> Path:
        """The alerts that were raised: one as JSON a line."""
        return self.state / "alerts.jsonl"

    @property
    def refused_file(self) -> Path:
        """The points that log calls did not take: see `unitrack.validation.refusals`."""
        return self.state / "refused.json"

    def lock_file(self, sink: str) -> Path:
        """Return the path of the lock that the process which delivers to the sink holds."""
        return self.state / f"{sink}.ledger.lock"

    @property
    def ended_file(self) -> Path:
        """The empty file that the owner makes when it ends the run, for the other processes that log to it."""
        return self.spool / "ended"

    def life_of(self, owner: Owner) -> Life:
        """Return whether the owner, or a rank, is alive, gone, or unknown."""
        if owner.is_near():
            return Life.ALIVE if owner.is_alive() else Life.GONE
        return life_of(self.spool, owner.writer) or Life.UNKNOWN

    def silent_for(self, owner: Owner) -> float | None:
        """Return the seconds since the owner's last sign of life; None if there was none."""
        return last_beat(self.spool, owner.writer)

    def is_open(self, owner: Owner) -> bool:
        """Return whether a process that may be alive has the run open.

        An owner on another machine that leaves no signs of life, as in older versions, counts as gone.
        """
        if not self.spool.exists() or self.ended_file.exists():
            return False
        life = self.life_of(owner)
        return life is Life.ALIVE or (life is Life.UNKNOWN and self.silent_for(owner) is not None)

    def mark_ended(self) -> None:
        """Make `ended_file`. Errors are ignored, since it is only a hint: the spool may be gone, or the disk full."""
        with contextlib.suppress(OSError):
            self.ended_file.touch(mode=FILE_MODE)

    @contextlib.contextmanager
    def spool_lock(self) -> Iterator[None]:
        """Hold the lock of the spool: a run takes its spool into use, and a lane removes it, only under this lock."""
        lock = FileLock(self.state / "spool.lock")
        lock.acquire(wait=True)
        try:
            yield
        finally:
            lock.release()

    def is_delivered(self, sink: str) -> bool:
        """Return whether a process delivers to the sink now."""
        return is_file_locked(self.lock_file(sink))

    def holds_lock(self, owner: Owner) -> bool:
        """Return whether the owner's lock is held, which proves that it is alive."""
        return is_file_locked(sign_file(self.spool, owner.writer))

    def write_manifest(self, manifest: Manifest) -> None:
        """Write `run.json` atomically."""
        write_atomically(self.manifest_file, msgspec.json.encode(manifest))

    def read_manifest(self) -> Manifest:
        """Return the content of `run.json`. Raises `JournalError` if it is missing, damaged, or holds unsafe names."""
        try:
            manifest = decode(read_regular(self.manifest_file), Manifest)
            self._refuse_unsafe(manifest)
        except (OSError, ValueError, RecursionError) as error:
            raise JournalError(0, f"not a run folder of unitrack ({error})", str(self.path)) from error
        return manifest

    def _refuse_unsafe(self, manifest: Manifest) -> None:
        """Raise `UnsafePathError` if parts of the folder are links or names are unsafe: it may be a stranger's."""
        for part in (self.state, self.spool):
            with contextlib.suppress(FileNotFoundError):  # the spool is removed once everything is delivered
                if not stat.S_ISDIR(os.lstat(part).st_mode):
                    raise UnsafePathError(f"{part.name} is a symbolic link, or no folder")
        names = [sink.name for sink in manifest.sinks]
        for name in (*names, manifest.run.run_id, manifest.owner.writer):
            if not is_run_id(name):
                raise UnsafePathError(f"{name[:40]!r} can't be a part of file names")
        if len(set(names)) < len(names):
            raise UnsafePathError("two sinks have one name")

    def remove_spool(self) -> None:
        """Delete the spool. Call it only when every ledger is complete.

        It is renamed first, so that no reader meets a spool that is half deleted.
        """
        import shutil  # noqa: PLC0415  # three compressors cost 2 ms, and only couriers do this

        condemned = self.state / "spool.removed"
        shutil.rmtree(condemned, ignore_errors=True)  # left by a process that died here
        with contextlib.suppress(OSError):  # there is no spool
            os.rename(self.spool, condemned)
        shutil.rmtree(condemned, ignore_errors=True)


def claim_path(root: Path, name: str) -> Path:
    """Make a new, empty folder under `root` for a run of this name, as `RunFolder.claim` names it. Raises `OSError`."""
    safe = _UNSAFE.sub("_", name).encode()[:_MAX_FOLDER_NAME].decode(errors="ignore").strip(" .") or "run"
    root.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    number = 1
    while True:
        path = root / (safe if number == 1 else f"{safe}-{number}")
        try:
            path.mkdir(mode=FOLDER_MODE)
        except FileExistsError:
            number += 1
        else:
            return path
