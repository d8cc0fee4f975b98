"""MLflow's error, which is unitrack's as well."""

from __future__ import annotations

from unitrack.errors import UnitrackError


class MlflowException(UnitrackError):
    """Base of the errors of this module, as of MLflow's."""
