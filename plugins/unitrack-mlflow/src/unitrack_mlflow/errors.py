"""Errors of MLflow as errors of a sink, which say what the lane is to do."""

from __future__ import annotations

import errno
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from typing import TypeVar

import requests
from mlflow.exceptions import MlflowException, RestException
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError, StatementError

from unitrack.errors import RecordRejectedError, SinkError, SinkMisconfiguredError, SinkUnavailableError
from unitrack.hookspecs import retry_in_place
from unitrack_mlflow.stores import Store

_Answer = TypeVar("_Answer")

_LATER = {
    "TEMPORARILY_UNAVAILABLE",
    "REQUEST_LIMIT_EXCEEDED",
    "RESOURCE_EXHAUSTED",
    "DEADLINE_EXCEEDED",
    "ABORTED",
    "CANCELLED",
    "RESOURCE_CONFLICT",
}
_NEVER = {"INVALID_PARAMETER_VALUE", "RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS"}
_MAY_WRAP_DATABASE = {"BAD_REQUEST", "RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS", "INTERNAL_ERROR"}
"""The codes that MLflow gives to errors of its database, with their text as message: BAD_REQUEST to all but those that
SQLAlchemy calls operational."""
_DATABASE_TEXT = re.compile(
    r"QueuePool limit of size|https://sqlalche\.me/"
    r"|\((sqlite3|psycopg2?|asyncpg|pymysql|MySQLdb|mysql\.connector|pyodbc|pymssql)\."
)
"""What SQLAlchemy writes into each of its errors: over HTTP there is only the text."""
_RECORD_TEXT = re.compile(
    rf"sqlalche\.me/e/\w+/({DataError.code}|{IntegrityError.code})\b|\.(DataError|IntegrityError)\)"
)
"""Those of them that may be about what was sent."""
_CREDENTIALS = (
    "the credentials are missing or wrong: set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or "
    "MLFLOW_TRACKING_TOKEN"
)
_MEND = {
    "PERMISSION_DENIED": "the credentials don't allow this; see MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
    "CUSTOMER_UNAUTHORIZED": _CREDENTIALS,
    "UNAUTHENTICATED": _CREDENTIALS,
    "ENDPOINT_NOT_FOUND": "is this URL an MLflow server, and the whole of its path right?",
    "NOT_FOUND": "is this URL an MLflow server, and the whole of its path right?",
    "NOT_IMPLEMENTED": "the server is too old, or not an MLflow server",
    "RESOURCE_DOES_NOT_EXIST": "the run or its experiment is gone",
    "INVALID_STATE": "the store refuses; has the run or its experiment been deleted?",
}
_HOST_CHECK = "the server refuses the host name in the URL: start it with MLFLOW_SERVER_ALLOWED_HOSTS naming that host"
_FULL_OR_BUSY = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EAGAIN, errno.EBUSY, errno.EMFILE, errno.ENFILE}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST}
_SQLITE_MEND = ("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_NOTADB", "SQLITE_CORRUPT", "SQLITE_PERM", "SQLITE_AUTH")
_NETWORK = {
    r"Connection refused": "refuses connections; is the server running?",
    r"Name or service not known|Temporary failure in name resolution|Failed to resolve": (
        "has a host name that can't be resolved"
    ),
    r"(Read|Connect) ?timed out|ConnectTimeoutError|ReadTimeoutError": "did not answer in time",
    r"Connection reset|Connection aborted|RemoteDisconnected": "broke the connection off",
    r"No route to host|Network is unreachable": "can't be reached over the network",
}
"""The causes that a user meets, in place of the four exceptions that requests wraps around each."""
_HTTP_STATUS = re.compile(r"failed with error code (\d{3})\b")


def ask(store: Store, request: Callable[[], _Answer]) -> _Answer:
    """Make a request that is safe to repeat: again in place while the store is unavailable. Raises as `translated`."""

    def once() -> _Answer:
        with translated(store):
            return request()

    return retry_in_place(once)


@contextmanager
def translated(store: Store) -> Iterator[None]:
    """Raise what happens inside as the `SinkError` that fits; what is nobody's known failure passes as it is."""
    try:
        yield
    except SinkError:
        raise
    except Exception as error:
        known = classify(error, store)
        if known is None:
            raise
        raise known from error


def classify(error: BaseException, store: Store) -> SinkError | None:
    """The answer to `error`, by its declared class, code or status; None if it has none."""
    if isinstance(error, MlflowException):
        return _of_mlflow(error, store)
    if isinstance(error, requests.RequestException):
        return _of_request(error, store)
    if isinstance(error, SQLAlchemyError):
        return _of_database(error, store)
    if isinstance(error, OSError):
        return _of_system(error, store)
    if isinstance(error, ImportError):
        return SinkMisconfiguredError(f"{store.shareable} needs a package that is not installed: {error}")
    return None


def _of_mlflow(error: MlflowException, store: Store) -> SinkError | None:
    text = _text(error, store)
    cause = error.__cause__ or error.__context__
    if isinstance(cause, requests.RequestException) and cause.response is not None:
        return _of_request(cause, store)
    status = _HTTP_STATUS.search(error.message)
    if status and not isinstance(error, RestException):
        return _of_status(int(status[1]), text)
    if error.error_code in _LATER:
        return _of_database(cause, store) if isinstance(cause, SQLAlchemyError) else SinkUnavailableError(text)
    if error.error_code in _MAY_WRAP_DATABASE:
        if isinstance(cause, SQLAlchemyError):
            wrapped, is_database = _of_database(cause, store), True
        else:
            is_database = _DATABASE_TEXT.search(error.message) is not None
            wrapped = None if _RECORD_TEXT.search(error.message) else SinkUnavailableError(text)
        if is_database and (wrapped is not None or error.error_code not in _NEVER):
            return wrapped
    if error.error_code in _NEVER:
        return RecordRejectedError(text)
    if error.error_code == "BAD_REQUEST":
        return None  # it may be about a record or about anything else
    if error.error_code in _MEND:
        return SinkMisconfiguredError(f"{text} ({_MEND[error.error_code]})")
    if store.is_server:
        return SinkUnavailableError(text)
    # a local store wraps whatever happened as an internal error
    return classify(cause, store) if cause is not None else None


def _of_request(error: requests.RequestException, store: Store) -> SinkError | None:
    text = _text(error, store)
    if error.response is None:
        return SinkUnavailableError(text)
    found = _of_status(error.response.status_code, text)
    if isinstance(found, SinkUnavailableError):
        found.retry_after = seconds_until(error.response.headers.get("Retry-After", ""))
    return found


def seconds_until(retry_after: str) -> float | None:
    """Seconds that the header `Retry-After` asks to wait for, given as such or as a date; None if it says nothing."""
    if retry_after.strip().isdecimal():
        return float(retry_after)
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
    except ValueError:
        return None


def _of_status(status: int, text: str) -> SinkError | None:
    if status >= 500 or status in (408, 409, 425, 429):
        return SinkUnavailableError(text)
    if status == 400:
        return None  # without MLflow's own code it says nothing about whose fault it is
    if status in (413, 414, 422):
        return RecordRejectedError(text)
    if status == 403 and "host" in text.lower():
        return SinkMisconfiguredError(f"{text} ({_HOST_CHECK})")
    codes = {401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "ENDPOINT_NOT_FOUND"}
    hint = _MEND.get(codes.get(status, ""), "something between here and MLflow refuses the request")
    return SinkMisconfiguredError(f"{text} ({hint})")


def _of_database(error: SQLAlchemyError, store: Store) -> SinkError | None:
    if isinstance(error, DataError | IntegrityError):
        return None  # about a record, or two that were written at once
    if isinstance(error, StatementError) and not isinstance(error, DBAPIError):
        return None  # a value that the driver can't express
    text = _text(error, store)
    name = getattr(getattr(error, "orig", None), "sqlite_errorname", "")
    if name.startswith(_SQLITE_MEND):
        return SinkMisconfiguredError(f"{text} (the database must be writable, and its folder too)")
    return SinkUnavailableError(text)


def _of_system(error: OSError, store: Store) -> SinkError | None:
    text = _text(error, store)
    if isinstance(error, FileNotFoundError):
        return RecordRejectedError(text)
    if error.errno in _FULL_OR_BUSY or isinstance(error, ConnectionError | TimeoutError):
        return SinkUnavailableError(text)
    if error.errno in _FORBIDDEN:
        return SinkMisconfiguredError(f"{text} (it must be a folder, and writable)")
    return None


def _text(error: BaseException, store: Store) -> str:
    line = str(error).strip().partition("\n")[0]
    for pattern, meaning in _NETWORK.items():
        if re.search(pattern, line):
            return f"{store.shareable} {meaning}"
    return f"{store.shareable}: {store.without_password(line)[:500]}"
