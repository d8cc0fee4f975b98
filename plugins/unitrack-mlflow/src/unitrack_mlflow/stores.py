"""Tracking URIs: what kind of store one names, and where it lies. Pure; imports no MLflow."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

import msgspec

from unitrack.names import nearest

_SQLITE_SUFFIXES = {".db", ".sqlite", ".sqlite3"}
_DATABASES = {"sqlite", "mysql", "mssql", "postgresql", "postgres"}


class Store(msgspec.Struct, frozen=True, kw_only=True):
    """A tracking URI, and what must be known of the store behind it."""

    uri: str
    is_server: bool
    """It answers over HTTP, so what fails may be the network."""
    is_folder: bool
    """MLflow's file store: it appends every point again that is sent again, and names are paths in it."""
    folds_case: bool
    """Names that differ only in case may meet: MySQL and SQL Server, some file systems, and who knows what
    is behind a server."""
    path: Path | None
    """The file store's folder, or the SQLite file."""

    @property
    def is_database(self) -> bool:
        """It is reached through SQLAlchemy, and has a pool of connections; not a database in memory."""
        return not self.is_server and not self.is_folder and (self.path is not None or _scheme(self.uri) != "sqlite")

    @property
    def shareable(self) -> str:
        """The URI without a password, fit to be shown and kept."""
        parts = urlsplit(self.uri)
        if parts.password is None:
            return self.uri
        return urlunsplit(parts._replace(netloc=f"{parts.username}@{parts.netloc.rpartition('@')[2]}"))

    def without_password(self, text: str) -> str:
        """`text`, such as an error's, with the URI's password left out."""
        password = urlsplit(self.uri).password
        return text.replace(f":{password}@", "@") if password else text

    @property
    def command(self) -> str | None:
        """The command that shows a store that has no server of its own."""
        if self.is_server:
            return None
        allow = "MLFLOW_ALLOW_FILE_STORE=true " if self.is_folder else ""
        return f"{allow}mlflow ui --backend-store-uri {shlex.quote(self.shareable)}"

    def run_page(self, experiment_id: str, run_id: str) -> str | None:
        """The run's page on a server."""
        parts = urlsplit(self.uri)
        if parts.scheme not in ("http", "https"):
            return None
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", "")) + (
            f"/#/experiments/{experiment_id}/runs/{run_id}"
        )


def describe(uri: str) -> Store:
    """Return the store that `uri` names; relative paths are taken from the current directory."""
    uri = anchor(uri, Path.cwd())
    kind = _scheme(uri)
    is_folder = kind in ("", "file")
    is_server = not is_folder and kind not in _DATABASES
    own_case_folding = is_folder and sys.platform in ("win32", "darwin")
    return Store(
        uri=uri,
        is_server=is_server,
        is_folder=is_folder,
        folds_case=is_server or kind in ("mysql", "mssql") or own_case_folding,
        path=_path(uri, kind),
    )


def check_uri(uri: str) -> None:
    """Raise `ValueError` for a tracking URI that no store of MLflow, and none of its plugins, can be behind."""
    scheme = _scheme(uri)
    known = {"", "file", "http", "https", "databricks", "databricks-uc", "uc", *_DATABASES}
    if scheme not in known and scheme not in _schemes_of_plugins():
        close = nearest(scheme, known)
        hint = f"did you mean {close}://?" if close else "use http://host:5000, sqlite:///mlflow.db, or a folder"
        raise ValueError(f"tracking_uri {uri!r}: MLflow has no store of the kind {scheme!r}; {hint}")
    if scheme in ("http", "https") and not urlsplit(uri).hostname:
        raise ValueError(f"tracking_uri {uri!r} names no host: write {scheme}://host:5000")


def _schemes_of_plugins() -> set[str]:
    from importlib.metadata import entry_points  # noqa: PLC0415  # 40 ms, for a scheme of a plugin only

    return {entry.name for entry in entry_points(group="mlflow.tracking_store")}


def anchor(uri: str, directory: Path) -> str:
    """Return a tracking URI with a relative path made absolute from `directory`.

    `runs.db` is understood as the SQLite file that it looks like.
    """
    kind = _scheme(uri)
    if kind == "sqlite":
        prefix, slashes, rest = uri.partition(":///")
        path, question, query = rest.partition("?")
        if not path or path.startswith((":memory:", "file:")):
            return uri
        return f"{prefix}{slashes}{_absolute(path, directory)}{question}{query}"
    if kind == "" and Path(uri).suffix.lower() in _SQLITE_SUFFIXES:
        return f"sqlite:///{_absolute(uri, directory)}"
    return anchor_folder(uri, directory)


def anchor_folder(location: str, directory: Path) -> str:
    """Return a folder or `file:` URI made absolute from `directory`; any other location as it is."""
    kind = _scheme(location)
    if kind not in ("", "file"):
        return location
    path = _path_of(location) if kind == "file" else location
    absolute = _absolute(path, directory)
    # MLflow cuts a plain path at "#" and "?", which a file URI can hold
    return Path(absolute).as_uri() if kind == "file" or quote(absolute, safe="/:\\ ~@+,=()") != absolute else absolute


def artifact_folder(store: Store, experiment: str) -> str | None:
    """Return where a new experiment of an SQLite store keeps artifacts: beside the database.

    MLflow itself would take `./mlruns` from the current directory, which is the courier's. None: MLflow's own choice
    is right.
    """
    if store.is_folder or store.path is None:
        return None
    safe = "".join(c if c.isalnum() or c in "-_" else f"_x{ord(c):x}_" for c in experiment)
    beside = store.path.parent
    return anchor_folder(str(beside / "mlartifacts" / safe[:100]), beside)


def local_path(location: str) -> Path | None:
    """Return the path that a folder or `file:` URI names; None for any other location."""
    kind = _scheme(location)
    if kind == "file":
        return Path(_path_of(location))
    return Path(location) if kind == "" else None


def _path(uri: str, kind: str) -> Path | None:
    if kind == "sqlite":
        path = uri.partition(":///")[2].partition("?")[0]
        return Path(path) if path and not path.startswith((":memory:", "file:")) else None
    return local_path(uri)


def _scheme(uri: str) -> str:
    if uri in ("databricks", "databricks-uc", "uc"):
        return uri
    scheme = urlsplit(uri).scheme.partition("+")[0]
    return "" if len(scheme) == 1 else scheme  # one letter is a Windows drive


def _path_of(file_uri: str) -> str:
    from urllib.request import url2pathname  # noqa: PLC0415  # 18 ms for an HTTP client, in training

    return url2pathname(urlsplit(file_uri).path)


def _absolute(path: str, directory: Path) -> str:
    return (directory / Path(path).expanduser()).absolute().as_posix()
