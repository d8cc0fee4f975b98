"""Errors of a database as those of a sink: to be tried again, to be mended in the setup, or a record that is refused.

No message holds a statement's parameters or a password: only the words of the database itself are shown.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import sqlalchemy.exc

from unitrack.errors import RecordRejectedError, SinkError, SinkMisconfiguredError, SinkUnavailableError

_REFUSED_STATES = ("22", "23", "54")
"""Classes of PostgreSQL's codes that are about the data: a value out of range, a constraint, a limit."""
_MISCONFIGURED_STATES = ("28", "3D", "3F", "42", "0A", "25006")
"""Not allowed in, no such database or schema, no such table or no permission, not supported, a replica."""

_MISCONFIGURED_WORDS = {
    "password authentication failed": "check the user and the password: set PGPASSWORD, or write a file ~/.pgpass",
    "no password supplied": "set PGPASSWORD, or write a file ~/.pgpass",
    "does not exist": "create it, or mend the url",
    "no pg_hba.conf entry": "have the server's pg_hba.conf let this machine in",
    "permission denied": "have the owner of the database grant it",
    "server does not support ssl": "mend sslmode in the url",
    "invalid connection option": "mend the parameters of the url",
    "invalid uri query parameter": "mend the parameters of the url",
    'missing "="': "mend the url",
    "invalid port number": "mend the port in the url",
    "invalid integer value": "mend the parameters of the url",
    "invalid sslmode value": "mend sslmode in the url",
    "unable to open database file": "mend the path, or the permissions of its folder",
    "readonly database": "mend the permissions of the file and its folder",
    "file is not a database": "name another file",
    "malformed": "restore the file from a copy, or name another one",
}
"""Words of a database that asks for a person, in lower case, and what to do. A server that lets nobody in gives no code
to the client, only words."""


def sink_error(error: Exception, shareable: str) -> SinkError:
    """Return the error by which a sink tells its lane what happened. `shareable`: the database, without a password."""
    original = getattr(error, "orig", None) or error
    words = _first_line(original)
    text, mend = f"{shareable}: {words}", _remedy(words)
    state = getattr(original, "sqlstate", None) or ""
    if state == "23503":  # the content of a file went with the last run that had it: it is to be stored again
        return SinkUnavailableError(text, reopen=True)
    if state.startswith(_REFUSED_STATES):
        return RecordRejectedError(text)
    if state.startswith(_MISCONFIGURED_STATES) or (not state and mend):
        return SinkMisconfiguredError(f"{text}; {mend}" if mend else text)
    if isinstance(original, OverflowError | UnicodeError) or isinstance(error, sqlalchemy.exc.DataError):
        return RecordRejectedError(text)
    return SinkUnavailableError(text)


@contextlib.contextmanager
def translated(shareable: str) -> Iterator[None]:
    """Raise errors of the database, and of its driver, as those of `unitrack.errors`."""
    try:
        yield
    except SinkError:
        raise
    except (sqlalchemy.exc.SQLAlchemyError, OSError) as error:
        raise sink_error(error, shareable) from error
    except Exception as error:
        if type(error).__module__.partition(".")[0] in ("psycopg", "sqlite3"):  # from connecting
            raise sink_error(error, shareable) from error
        raise


def describe(error: Exception) -> str:
    """Return the words of the database in an error, and what to do if that is known."""
    words = _first_line(getattr(error, "orig", None) or error)
    mend = _remedy(words)
    return f"{words}; {mend}" if mend else words


def _remedy(words: str) -> str | None:
    """Return what a person has to do about the words of a database; None if that is not known."""
    lower = words.lower()
    return next((mend for known, mend in _MISCONFIGURED_WORDS.items() if known in lower), None)


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
