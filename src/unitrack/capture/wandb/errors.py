"""W&B's errors, which are unitrack's as well."""

from __future__ import annotations

from unitrack.errors import UnitrackError


class Error(UnitrackError):
    """Base of the errors of this module, as of W&B's."""


class UsageError(Error):
    """A call that W&B refuses."""


class ConfigError(Error):
    """A value of a config that may not change."""


class CommError(Error):
    """Never raised here: there is no server."""


class UnavailableError(UsageError, NotImplementedError):
    """A name of W&B that can't work without it. The message says why."""
