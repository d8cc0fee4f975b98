"""Every error that unitrack raises, and the three answers a sink can give to a failure.

Each error derives from `UnitrackError` and from the builtin that a user would catch for it. A message says what
was wrong, where, and what to do about it.
"""

from __future__ import annotations


class UnitrackError(Exception):
    """Base of all errors of unitrack."""


class ConfigError(UnitrackError, ValueError):
    """The configuration can't be used. Raised in the caller, at `start_run`, with the key and the fix."""


class NoActiveRunError(UnitrackError, RuntimeError):
    """A tracker was asked to log while no run of it is active."""


class RunFinishedError(UnitrackError, RuntimeError):
    """A run was asked to log after `finish()`."""


class RunExistsError(UnitrackError, ValueError):
    """`run_id` names a run that exists (or, for `resume="must"`, one that does not)."""


class InvalidTypeError(UnitrackError, TypeError):
    """A value has a type that can't be logged."""


class InvalidValueError(UnitrackError, ValueError):
    """A value has the right type but can't be accepted: NaN, out of range, too large, an unsafe path."""


class ArtifactNotFoundError(UnitrackError, FileNotFoundError):
    """The file or folder to log does not exist."""


class JournalError(UnitrackError, OSError):
    """A line could not be appended to the journal (disk full, folder gone). What was logged before is safe."""


class DeliveryError(UnitrackError, RuntimeError):
    """A sink is in trouble.

    Raised by `flush()` and `finish()` with `on_sink_error: raise`, and by `MLflowTracker.start_run`.
    """


class MissingPackageError(UnitrackError, ImportError):
    """An optional package is needed for what was asked; the message holds the install command."""


class SinkError(UnitrackError):
    """What a sink raises to say how the lane should answer; see the three subclasses."""


class SinkUnavailableError(SinkError):
    """Try again later: 5xx, 408, 429, a network error, a full disk.

    The lane first makes the same call again, with the same arguments, a few times. So a hook raises this only where its
    call may be repeated as it is; `reopen=True` says that it may not, and that the sink must be opened again first.
    `retry_after`: seconds that the backend asked for, if it did.
    """

    def __init__(self, message: str, retry_after: float | None = None, *, reopen: bool = False) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.reopen = reopen


class SinkMisconfiguredError(SinkError):
    """Someone has to mend something: 401, 403, 404, a bad URL. The lane parks, visibly, and loses nothing."""


class ArtifactStoreError(SinkMisconfiguredError):
    """The place where the backend keeps files can't be used: artifacts wait there, and everything else goes on.

    Only `log_artifacts` raises it.
    """


class RecordRejectedError(SinkError):
    """The backend will never take this batch. The lane bisects it and keeps the culprit as a dead letter."""


class DeliveryWarning(UserWarning):
    """A sink is in trouble, or something is pending at the end. Given once a run and sink; nothing is lost."""
