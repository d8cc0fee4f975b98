"""Where the study of a sweep lies: a journal file below the root, on one local disk, or a database."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from unitrack.errors import ConfigError, JournalError
from unitrack.names import leads_out
from unitrack.sweeps.database_lock import held_in_database, new_tables
from unitrack.sweeps.engine import load_optuna, quiet_optuna
from unitrack.sweeps.storage_urls import database_url, warn_of_network_disk, without_password
from unitrack.sweeps.study_file import open_backend
from unitrack.system.locks import FileLock
from unitrack.values.run_names import new_run_name

SWEEPS = ".sweeps"
"""The folder below the root that holds a folder for each sweep."""


class StudyPlace(msgspec.Struct, frozen=True):
    """Where a study lies. Equal places share their storage within a process."""

    name: str
    folder: Path
    """The sweep's own folder, `<root>/.sweeps/<name>`."""
    url: str = ""
    """The database; empty for the journal file in `folder`."""

    @property
    def journal(self) -> Path:
        """The journal file."""
        return self.folder / "study.journal"

    def sync(self) -> None:
        """Wait until the disk has the journal file: a loss of power then costs no trial that was told before."""
        if not self.url:
            descriptor = os.open(self.journal, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def lock(self) -> contextlib.AbstractContextManager[None]:
        """Return the lock within which a trial is taken, so that agents take one after the other, on all machines."""
        return _held(self)


def new_sweep_name() -> str:
    """Return a name that no other sweep has: a second sweep of one name would go on with the first."""
    return f"{new_run_name()}-{os.urandom(3).hex()}"


def place_of(root: str | os.PathLike[str], name: str, url: str | None) -> StudyPlace:
    """Return where the study of a sweep lies. Raises `ConfigError` for a name that no folder can have."""
    if leads_out(name) or "/" in name or "\\" in name or len(name) > 200 or name.startswith("."):
        raise ConfigError(f"sweep {name!r}: the name becomes a folder: without slashes, and not beginning with a dot")
    return StudyPlace(name, Path(root).expanduser().absolute() / SWEEPS / name, url or "")


@contextlib.contextmanager
def _held(place: StudyPlace) -> Iterator[None]:
    lock = FileLock(place.folder / "ask.lock")
    lock.acquire(wait=True)
    try:
        if place.url:
            with held_in_database(open_storage(place).engine, place.name):
                yield
        else:
            yield
    finally:
        lock.release()


@functools.lru_cache(maxsize=8)
def open_storage(place: StudyPlace) -> Any:
    """Return Optuna's storage of a place. Raises `ConfigError` for a database that can't be opened."""
    optuna = load_optuna()
    with quiet_optuna():
        if place.url:
            url = database_url(place.url)
            try:
                with new_tables(url):
                    return optuna.storages.RDBStorage(url)
            except Exception as error:
                text = without_password(f"{type(error).__name__}: {error}")
                raise ConfigError(f"storage: the database of sweep {place.name!r} can't be opened: {text}") from error
        warn_of_network_disk(place.folder, "the study of the sweep")
        try:
            place.folder.mkdir(parents=True, exist_ok=True)
            backend = open_backend(place.journal)
        except OSError as error:
            raise JournalError(
                error.errno, f"the study of sweep {place.name!r} can't be written ({error.strerror})", error.filename
            ) from error
        return optuna.storages.JournalStorage(backend)
