"""The options of the SQL sink."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

import msgspec

from unitrack.hookspecs import SinkOptions
from unitrack_sql.addresses import Address


class SqlOptions(SinkOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of `sinks=[{"sql": {...}}]`."""

    url: Annotated[str, msgspec.Meta(min_length=1)] = "sqlite:///unitrack.db"
    """The database: `sqlite:///FILE`, or `postgresql://USER@HOST:PORT/DATABASE` with the parameters that libpq takes,
    such as `?sslmode=require`. A password in it becomes the option `password`."""
    password: str | None = None
    """The password of PostgreSQL's user. It is never stored with a run: better leave it out, and set PGPASSWORD or
    write a file ~/.pgpass, which libpq reads."""
    timeout: Annotated[int, msgspec.Meta(ge=1, le=600)] = 10
    """Seconds that connecting may take, and that a locked SQLite file is waited for."""
    max_artifact_size: Annotated[int, msgspec.Meta(ge=0)] = 1024**3
    """Bytes of a file, or of a folder in all, that the database takes; a larger one becomes a dead letter."""

    def __post_init__(self) -> None:
        """Raise `ValueError` for a URL of a kind that is not known."""
        Address.parse(self.url)

    @classmethod
    def at(cls, place: str) -> Self:
        """Options of a database by its URL, or by the path of an SQLite file."""
        return cls(url=place)

    def anchored(self, directory: Path) -> Self:
        """The path of an SQLite file made absolute, and a password in the URL moved to `password`."""
        address = self.address().anchored(directory)
        return msgspec.structs.replace(self, url=address.url, password=address.password)

    def address(self) -> Address:
        """The database, with the password."""
        address = Address.parse(self.url)
        if address.path is not None:
            return address
        return msgspec.structs.replace(address, password=self.password or address.password)

    def is_shared(self) -> bool:
        """Whether it is a database server."""
        return Address.parse(self.url).path is None

    def store(self) -> str:
        """The database: its runs take turns."""
        return Address.parse(self.url).url
