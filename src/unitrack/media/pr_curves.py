"""Precision-recall curves as tables: a row for each threshold."""

from __future__ import annotations

from typing import Any

import msgspec

from unitrack.errors import InvalidTypeError, InvalidValueError
from unitrack.media.arrays import as_array, numpy
from unitrack.records import PR_CURVE_COLUMNS, Table
from unitrack.validation.messages import brief

MAX_THRESHOLDS = 10_000


def pr_curve_bytes(labels: Any, predictions: Any, name: str, thresholds: int) -> bytes:
    """Return the curve of a binary classifier, at thresholds from 0 to 1 with equal distances.

    A sample counts as positive at a threshold if its prediction is at least the threshold. A precision without
    positives is 0. Raises `InvalidTypeError` and `InvalidValueError` as `Run.log_pr_curve` says.
    """
    np = numpy("log_pr_curve")
    if isinstance(thresholds, bool) or not isinstance(thresholds, int) or not 2 <= thresholds <= MAX_THRESHOLDS:
        raise InvalidValueError(
            f"curve {name!r}: thresholds must be an integer in 2 ... {MAX_THRESHOLDS}, got {brief(thresholds)}"
        )
    truth, given = (
        as_array(values, f"curve {name!r}: {what}").ravel()
        for values, what in ((labels, "labels"), (predictions, "predictions"))
    )
    for values, what in ((truth, "labels"), (given, "predictions")):
        if values.dtype.kind not in "biuf":
            raise InvalidTypeError(f"curve {name!r}: the {what} must be numbers, got {values.dtype}")
    if len(truth) != len(given) or not len(truth):
        raise InvalidValueError(
            f"curve {name!r}: each prediction needs a label, got {len(given)} predictions and {len(truth)} labels"
        )
    if not np.isin(truth, (0, 1)).all():
        raise InvalidValueError(f"curve {name!r}: the labels must be 0 or 1; log one curve for each class")
    given = given.astype("float64")
    if not ((given >= 0) & (given <= 1)).all():
        raise InvalidValueError(f"curve {name!r}: the predictions must be probabilities in 0 ... 1, none of them NaN")
    buckets = np.floor(given * (thresholds - 1)).astype("int64")
    is_positive = truth.astype(bool)
    at_least = [
        np.bincount(buckets[chosen], minlength=thresholds)[::-1].cumsum()[::-1].astype("float64")
        for chosen in (is_positive, ~is_positive)
    ]
    hits, alarms = at_least
    columns = (
        np.linspace(0.0, 1.0, thresholds),
        hits,
        alarms,
        alarms[0] - alarms,
        hits[0] - hits,
        hits / np.maximum(hits + alarms, 1.0),
        hits / max(hits[0], 1.0),
    )
    return msgspec.json.encode(Table(list(PR_CURVE_COLUMNS), np.stack(columns, axis=1).tolist())) + b"\n"
