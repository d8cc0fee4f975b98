"""The checks between a log call and the journal: pure functions, and the chain that applies them.

They run once, before the fan-out, so every backend gets the same values. The fast path of `Run.log_metrics` accepts
plain finite floats and small ints of known metrics by itself; everything else is checked here.
"""

from __future__ import annotations

from unitrack.validation.artifacts import check_artifact_name, check_source_file, is_member_name
from unitrack.validation.chain import ValidationChain
from unitrack.validation.metrics import check_step, to_float, validate_metric
from unitrack.validation.names import check_name

__all__ = [
    "ValidationChain",
    "check_artifact_name",
    "check_name",
    "check_source_file",
    "check_step",
    "is_member_name",
    "to_float",
    "validate_metric",
]
