"""What an exception of a file system of fsspec means: that a person has to mend something, or that it will pass."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from unitrack.blobs.address import Address
from unitrack.errors import ArtifactStoreError, SinkUnavailableError, UnitrackError
from unitrack.values.redaction import redact_text

_NO_BUCKET = frozenset(
    (
        "NoSuchBucket",
        "ContainerNotFound",
        "InvalidBucketName",
    )
)
_REFUSED = frozenset(
    (
        "AccessDenied",
        "AccountProblem",
        "AllAccessDisabled",
        "AuthorizationFailure",
        "AuthenticationFailed",
        "ExpiredToken",
        "Forbidden",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidToken",
        "InvalidSecurity",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
        "TokenRefreshRequired",
        "UnrecognizedClientException",
    )
)
_WRONG_REGION = frozenset(
    (
        "AuthorizationHeaderMalformed",
        "IllegalLocationConstraintException",
        "PermanentRedirect",
    )
)
_TOO_BUSY = frozenset(
    (
        "BandwidthLimitExceeded",
        "InternalError",
        "RequestTimeout",
        "ServiceUnavailable",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequests",
        "OperationAborted",
        "IncompleteBody",
        "XAmzContentSHA256Mismatch",
    )
)
_NO_CREDENTIALS = frozenset(
    (
        "NoCredentialsError",
        "PartialCredentialsError",
        "CredentialRetrievalError",
        "TokenRetrievalError",
        "UnauthorizedSSOTokenError",
        "SSOTokenLoadError",
        "DefaultCredentialsError",
        "RefreshError",
        "ClientAuthenticationError",
        "AuthenticationException",
        "BadHostKeyException",
        "PasswordRequiredException",
    )
)
_BAD_SETUP = frozenset(
    (
        "ProfileNotFound",
        "ConfigParseError",
        "ConfigNotFound",
        "InvalidConfigError",
        "InvalidRegionError",
        "InvalidEndpointConfigurationError",
        "ParamValidationError",
        "NoRegionError",
        "EndpointProviderError",
    )
)
_LOST_UPLOAD = "NoSuchUpload"


@contextlib.contextmanager
def explained(address: Address, key: str = "") -> Iterator[None]:
    """Turn exceptions of an SDK into those of `Objects`. `key`: of the object that is asked for."""
    try:
        yield
    except UnitrackError:
        raise
    except Exception as error:
        raise meaning_of(error, address, key) from error


def meaning_of(error: Exception, address: Address, key: str = "") -> Exception:
    """Return the exception to raise in place of one of an SDK."""
    code, status = code_of(error), _status_of(error)
    names = {one.__name__ for shown in _chain(error) for one in type(shown).__mro__}
    what = f"{address.url}: {_words(error)}"
    if code in _NO_BUCKET:
        where = address.bucket
        return ArtifactStoreError(f"the bucket {where!r} of {what}; create it, or give the location of another one")
    if code in _REFUSED or status in (401, 403) or isinstance(error, PermissionError):
        return ArtifactStoreError(
            f"the bucket {address.bucket!r} refuses the credentials for {what}; set {address.credentials}"
        )
    if names & _NO_CREDENTIALS:
        return ArtifactStoreError(f"no credentials work for {what}; set {address.credentials}")
    if code in _WRONG_REGION:
        return ArtifactStoreError(f"the bucket {address.bucket!r} is in another region, {what}; set AWS_DEFAULT_REGION")
    if names & _BAD_SETUP:
        return ArtifactStoreError(f"can't use {what}; mend that in the environment or in `storage_options`")
    if isinstance(error, FileNotFoundError) or status == 404:
        return FileNotFoundError(f"there is no {address.url}/{key}")
    if code in _TOO_BUSY or (status is not None and (status >= 500 or status in (408, 429))):
        return SinkUnavailableError(f"{address.bucket!r} is too busy or away, {what}")
    if status is not None and 400 <= status < 500:
        return ArtifactStoreError(f"{address.bucket!r} refuses a request, {what}")
    return SinkUnavailableError(f"can't reach {what}")


def is_lost_upload(error: Exception) -> bool:
    """Return whether an error says that an upload in parts is not known (any more)."""
    return code_of(error) == _LOST_UPLOAD


def code_of(error: BaseException) -> str:
    """Return the code that the server gave, such as "NoSuchBucket"; "" if there is none."""
    for one in _chain(error):
        code = _response(one).get("Error", {}).get("Code") or getattr(one, "error_code", None)
        if isinstance(code, str):
            return code
    return ""


def _status_of(error: BaseException) -> int | None:
    for one in _chain(error):
        found = _response(one).get("ResponseMetadata", {}).get("HTTPStatusCode")
        for status in (found, getattr(one, "status_code", None), getattr(one, "code", None)):
            if isinstance(status, int) and not isinstance(status, bool):
                return status
    return None


def _response(error: BaseException) -> dict[str, Any]:
    response = getattr(error, "response", None)
    return response if isinstance(response, dict) else {}


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    for _ in range(10):
        if seen is None:
            return
        yield seen
        seen = seen.__cause__ or seen.__context__


def _words(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    code = code_of(error)
    return redact_text(text if not code or code in text else f"{code}: {text}")[:300]
