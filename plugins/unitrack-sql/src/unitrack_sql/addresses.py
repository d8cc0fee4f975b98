"""The address of a database: a URL without its password, or the path of an SQLite file."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

_POSTGRESQL = re.compile(r"(?:postgresql(?:\+psycopg)?|postgres)://(?:(?P<login>[^/?#]*)@)?(?P<rest>.*)", re.DOTALL)
_SQLITE = re.compile(r"sqlite:///(?P<path>.+)", re.DOTALL)
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*)://")
_SECRETS = ("password", "sslpassword", "passfile")
"""Parameters of a URL of PostgreSQL's that are secret, or say where a secret lies."""
_HELP = "expected sqlite:///FILE, a path, or postgresql://USER@HOST:PORT/DATABASE"


class Address(msgspec.Struct, frozen=True):
    """Where a database is, and the password that its URL held."""

    url: str
    """Without the password."""
    password: str | None = None
    path: Path | None = None
    """Of an SQLite file."""

    @classmethod
    def parse(cls, text: str) -> Address:
        """Return the address that a URL or a path names. Raises `ValueError` for one that is neither."""
        if found := _POSTGRESQL.fullmatch(text):
            user, has_password, password = (found["login"] or "").partition(":")
            rest, of_query = _without_password(found["rest"])
            login = f"{user}@" if user else ""
            return cls(f"postgresql://{login}{rest}", _decoded(password) if has_password else of_query)
        found = _SQLITE.fullmatch(text)
        if found is None and (scheme := _SCHEME.match(text)):
            raise ValueError(f"url begins with {scheme[0]!r}: {_HELP}")
        path = found["path"] if found else text
        if not path.strip() or path.startswith(":memory:"):
            raise ValueError(f"url names no file: {_HELP}")
        return cls(f"sqlite:///{path}", path=Path(path).expanduser())

    def anchored(self, directory: Path) -> Address:
        """Return the address with the path of an SQLite file made absolute from `directory`."""
        if self.path is None:
            return self
        path = directory / self.path
        return Address(f"sqlite:///{path}", path=path)


def _without_password(rest: str) -> tuple[str, str | None]:
    """Return what follows the login of a URL without the parameter `password`, and its value."""
    before, mark, query = rest.partition("?")
    parameters = query.split("&") if mark else []
    kept = [one for one in parameters if one.partition("=")[0] not in _SECRETS]
    found = [one.partition("=")[2] for one in parameters if one.partition("=")[0] == "password"]
    return (f"{before}?{'&'.join(kept)}" if kept else before), (_decoded(found[0]) if found else None)


def _decoded(text: str) -> str:
    from urllib.parse import unquote  # noqa: PLC0415  # 2 ms, for a URL with a password only

    return unquote(text)
