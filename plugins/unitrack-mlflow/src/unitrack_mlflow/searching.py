"""The conditions that MLflow can search by itself.

Only those whose answer holds every run that is meant: MLflow compares params as text, keeps points at infinity
elsewhere, and has names and tags of unitrack's runs in another form where they are long or odd.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from unitrack.hookspecs import Condition

_STATUS = {"finished": ["FINISHED"], "failed": ["FAILED"], "killed": ["KILLED"], "pruned": ["KILLED"]}
_PLAIN_TAG = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,60}")
"""Names that are tags' keys as they are. Others may be escaped, or MLflow's own."""
_PLAIN_TEXT = re.compile(r"[A-Za-z0-9 _.\-]{1,200}")


def searchable(conditions: Sequence[Condition], *, folds_case: bool) -> str:
    """Return the filter for `search_runs`; empty for all runs.

    `folds_case`: whether the store takes "team" and "Team" for one key, so that either tag may have an escaped key.
    """
    return " AND ".join(filter(None, (_filter_of(one, with_tags=not folds_case) for one in conditions)))


def _filter_of(condition: Condition, *, with_tags: bool) -> str:
    field, value = condition.field, condition.value
    if condition.operator != "==" or not isinstance(value, str):
        return ""
    if field.group == "run" and field.name == "status" and value in _STATUS:
        [status] = _STATUS[value]
        return f"attributes.status = '{status}'"
    if with_tags and field.group == "tags" and _PLAIN_TAG.fullmatch(field.name) and _is_plain_text(value):
        return f"tags.`{field.name}` = '{value}'"
    return ""


def _is_plain_text(value: str) -> bool:
    """Return whether only this spelling is equal to the text: no number, which has several."""
    try:
        float(value)
    except ValueError:
        return _PLAIN_TEXT.fullmatch(value) is not None
    return False
