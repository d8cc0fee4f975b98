"""Errors of the store that keeps a run's files, which concern artifacts alone.

boto3, azure and the others are not imported: their errors are known by what they carry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar
from urllib.parse import urlsplit

from mlflow.exceptions import MlflowException

from unitrack.errors import (
    ArtifactStoreError,
    RecordRejectedError,
    SinkError,
    SinkMisconfiguredError,
    SinkUnavailableError,
)
from unitrack.hookspecs import install_command, retry_in_place
from unitrack_mlflow.errors import classify
from unitrack_mlflow.stores import Store

_Answer = TypeVar("_Answer")
_EXTRAS = {"s3": "s3", "gs": "gcs", "wasbs": "azure", "abfss": "azure", "sftp": "sftp"}
"""By the scheme of a location: the extra of this distribution that brings the packages for it."""


def ask_for_artifacts(store: Store, location: str, request: Callable[[], _Answer]) -> _Answer:
    """Make a request for a run's artifacts that is safe to repeat: again in place while their store is unavailable.

    Raises as `artifact_trouble`. If it stays unavailable and is another service than the tracking server, raises
    `ArtifactStoreError`: everything else goes on.
    """

    def once() -> _Answer:
        with artifact_trouble(store, location):
            return request()

    try:
        return retry_in_place(once)
    except SinkUnavailableError as error:
        if urlsplit(location).scheme in _EXTRAS:
            raise ArtifactStoreError(str(error)) from error
        raise


@contextmanager
def artifact_trouble(store: Store, location: str) -> Iterator[None]:
    """Raise what happens inside as the `SinkError` that fits; what needs mending is an `ArtifactStoreError`."""
    try:
        yield
    except (ArtifactStoreError, RecordRejectedError, SinkUnavailableError):
        raise
    except Exception as error:
        known = _classified(error, store, location)
        if known is None:
            raise
        raise known from error


def _classified(error: Exception, store: Store, location: str) -> SinkError | None:
    if isinstance(error, SinkMisconfiguredError):
        return ArtifactStoreError(str(error))
    if isinstance(error, ImportError):
        extra = _EXTRAS.get(urlsplit(location).scheme)
        how = f"run `{install_command(f'unitrack-mlflow[{extra}]')}`" if extra else f"install what it needs ({error})"
        return ArtifactStoreError(f"artifacts can't be stored at {location}: {how}")
    for one in _chain(error):
        if (status := _cloud_status(one)) is not None:
            text = f"artifacts can't be stored at {location}: {str(one).strip()[:300]}"
            is_passing = status >= 500 or status in (408, 429)
            return SinkUnavailableError(text) if is_passing else ArtifactStoreError(text)
        if (
            type(one).__module__.partition(".")[0] == "botocore"
        ):  # credentials, a region, the network: no record's fault
            text = f"artifacts can't be stored at {location}: {str(one).strip()[:300]}"
            return SinkUnavailableError(text) if isinstance(one, _no_answers()) else ArtifactStoreError(text)
    if isinstance(error, MlflowException) and "registered artifact repository" in str(error):
        return ArtifactStoreError(f"artifacts can't be stored at {location}: MLflow knows no store of this kind")
    known = classify(error, store)
    if isinstance(known, SinkMisconfiguredError):
        return ArtifactStoreError(str(known))
    return known


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    for _ in range(10):
        if error is None:
            return
        yield error
        error = error.__cause__ or error.__context__


def _cloud_status(error: BaseException) -> int | None:
    """The HTTP status that botocore's `ClientError`, or an error of azure or Google, carries."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        return status if isinstance(status, int) else None
    for name in ("status_code", "code"):
        status = getattr(error, name, None)
        if type(error).__module__.partition(".")[0] in ("azure", "google") and isinstance(status, int):
            return status
    return None


def _no_answers() -> tuple[type[BaseException], ...]:
    from botocore.exceptions import ConnectionError, HTTPClientError  # noqa: PLC0415  # optional; here it is imported

    return ConnectionError, HTTPClientError
