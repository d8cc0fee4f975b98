"""Every error and warning of unitrack, and the functions that warn.

Each error derives from `UnitrackError` and from the builtin that a user would catch for it. A message says what
was wrong, where, and what to do about it.
"""

from __future__ import annotations

import contextlib
import sys
import warnings
from pathlib import Path

_PACKAGE = str(Path(__file__).parent)


class UnitrackError(Exception):
    """Base of all errors of unitrack."""


class SourceError(UnitrackError, OSError):
    """A location can't be read: nothing is there, the server is down, or the backend's reader failed."""


class MissingLocationError(SourceError):
    """There is nothing at a location: no such folder, no such store."""


class NotFoundError(UnitrackError, LookupError):
    """A location has no such run, or a run has no such metric."""


class ConfigError(UnitrackError, ValueError):
    """The configuration can't be used. Raised in the caller, at `start_run`, with the key and the fix."""


class QueryError(ConfigError):
    """A query can't be understood. The message shows it with a mark under the place."""

    def __init__(self, problem: str, query: str, start: int, end: int) -> None:
        super().__init__(f"{problem}\n{_marked(query, start, end)}")
        self.problem = problem
        self.query = query
        self.position = start
        """The place, in characters from 0."""


_SHOWN_BEFORE, _SHOWN_AFTER = 60, 60
"""Characters of a long query that are shown around the place of an error."""


def _marked(query: str, start: int, end: int) -> str:
    line = "".join(character if character.isprintable() else " " for character in query)
    first = max(0, start - _SHOWN_BEFORE) if len(line) > _SHOWN_BEFORE + _SHOWN_AFTER else 0
    shown = line[first : first + _SHOWN_BEFORE + _SHOWN_AFTER]
    before, after = "..." if first else "", "..." if first + len(shown) < len(line) else ""
    width = max(1, min(end - start, len(shown) + first - start))
    return f"  {before}{shown}{after}\n  {' ' * (len(before) + start - first)}{'^' * width}"


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
    """A line could not be appended to the journal (disk full, folder deleted). Everything logged before is safe."""


class DeliveryError(UnitrackError, RuntimeError):
    """A sink is in trouble.

    Raised by `flush()` and `finish()` with `on_sink_error: raise`, and by `MLflowTracker.start_run`.
    """


class TrialPruned(UnitrackError):
    """The sweep's pruner stops this trial: training is not worth finishing.

    Raised in the train function by the log call that reported the metric. Let it pass: the run ends as "pruned".
    """


class SweepError(UnitrackError, RuntimeError):
    """A sweep has no result: each of its trials failed."""


class MissingPackageError(UnitrackError, ImportError):
    """A call needs an optional package that is not installed; the message holds the install command."""


class SinkError(UnitrackError):
    """Base of the errors by which a sink tells the lane how to handle a failure; see the subclasses."""


class SinkUnavailableError(SinkError):
    """Try again later: 5xx, 408, 429, a network error, a full disk.

    The lane repeats the same call with the same arguments a few times. Raise this only where that is allowed;
    `reopen=True` says that the sink must be opened again before the call is repeated. `retry_after`: the pause in
    seconds that the backend asked for; None if it named none.
    """

    def __init__(self, message: str, retry_after: float | None = None, *, reopen: bool = False) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.reopen = reopen


class SinkMisconfiguredError(SinkError):
    """The setup must be fixed by a person: 401, 403, 404, a bad URL. The lane parks, reports it, and loses nothing."""


class ArtifactStoreError(SinkMisconfiguredError):
    """The backend's store of files can't be used: artifacts wait for it, and everything else is delivered.

    Raised by `SinkSpec.log_artifacts`, and by `Source.records` after all other records. `is_passing`: it may mend by
    itself, as a store that is away does; then the artifacts are tried again after seconds, not minutes.
    """

    def __init__(self, message: str, *, is_passing: bool = False) -> None:
        super().__init__(message)
        self.is_passing = is_passing


class RecordRejectedError(SinkError):
    """The backend will never accept this batch. The lane bisects it and stores the refused record as a dead letter."""


class DeliveryWarning(UserWarning):
    """A sink is in trouble, or records are pending at the end. Given once per run and sink; nothing is lost."""


class AlertWarning(UserWarning):
    """An alert of a run: one of its rules has become true, or `Run.alert` was called."""


def warn_caller(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn, with the nearest line outside of unitrack as the location."""
    frame = sys._getframe(1)  # noqa: SLF001  # the documented way to the caller's frame
    level = 2
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
        level += 1
    warnings.warn(message, category, stacklevel=level)


def warn_from_thread(message: str, category: type[Warning]) -> None:
    """Warn without a location in the user's code. A filter that makes errors of warnings does not end the thread."""
    with contextlib.suppress(Warning):
        warnings.warn_explicit(message, category, filename="unitrack", lineno=0)
