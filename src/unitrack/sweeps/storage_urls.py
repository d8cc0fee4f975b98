"""Addresses of databases that hold studies, checked before Optuna opens them."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

from unitrack.errors import ConfigError, DeliveryWarning, MissingPackageError, warn_caller
from unitrack.system.mounts import file_system_of, is_incoherent

_DRIVERS = {"postgresql": ("psycopg2", "psycopg"), "mysql": ("MySQLdb", "pymysql")}
"""The packages that can talk to a database, as its URL names them; the first is SQLAlchemy's default."""
_INSTALL = {"postgresql": "pip install 'psycopg[binary]'", "mysql": "pip install pymysql"}
_PASSWORD = re.compile(r"(://[^:/@]*):[^@]*@")


def database_url(url: str) -> str:
    """Return the URL for SQLAlchemy, with a driver that is installed.

    Raises `ConfigError` for what is no database that many processes can share, and `MissingPackageError`, which holds
    the command that installs it, where the driver is missing.
    """
    scheme, found, rest = url.partition("://")
    if not found:
        raise ConfigError(
            f"storage {url!r} is not the URL of a database: write postgresql://user@host/database, or leave it out for "
            "a journal file below the root"
        )
    kind, _, driver = scheme.partition("+")
    kind = "postgresql" if kind == "postgres" else kind
    if kind in ("grpc", "journal", "redis", "file"):
        raise ConfigError(
            f"storage {without_password(url)!r}: a journal can't be shared by way of a server, where its writers undo "
            "each other's lines; for agents on many machines write postgresql://user@host/database"
        )
    if kind == "sqlite":
        warn_of_network_disk(Path(rest.removeprefix("/") or "."), "the database of the sweep")
    if driver or kind not in _DRIVERS:
        return f"{kind}{driver and '+' + driver}://{rest}"
    default, *others = _DRIVERS[kind]
    if importlib.util.find_spec(default) is not None:
        return f"{kind}://{rest}"
    for other in others:
        if importlib.util.find_spec(other) is not None:
            return f"{kind}+{other}://{rest}"
    raise MissingPackageError(f"storage {without_password(url)!r} needs a driver: run `{_INSTALL[kind]}`")


def without_password(text: str) -> str:
    """Return a URL, or a text with one, without the password in it."""
    return _PASSWORD.sub(r"\1:***@", text)


def warn_of_network_disk(path: Path, what: str) -> None:
    """Warn if a file that agents share lies where those of two machines would damage it."""
    if is_incoherent(kind := file_system_of(path)):
        warn_caller(
            f"{what} lies on a network file system ({kind}: {path}): agents on two machines would damage it. For many "
            "machines, give storage='postgresql://user@host/database'; for one, a root on a local disk",
            DeliveryWarning,
        )
