"""How unitrack's names become W&B's, and back: every mapping here is injective and reversible.

W&B stores any metric name (0.31, measured), except that it drops the empty one, treats a leading underscore as its own
and merges two keys of a row that are equal. Names outside `[_a-zA-Z][_a-zA-Z0-9]*` work but can't be sorted by in its
UI; they are kept as they are, because "train/loss" is worth more there as a panel section.
"""

from __future__ import annotations

from collections.abc import Mapping

from unitrack.names import escape, shorten, unescape
from unitrack.records import ALIAS, DEFINITION_PREFIX, RELATIONS, USED

STEP = "step"
"""The metric column that holds the user's step; W&B's own `_step` holds the row's ordinal."""
RECORD = "unitrack"
"""The config key that holds the run's identity and its tags exactly."""
ARTIFACTS = "artifacts/"
"""Prefix of the columns that show images, and of files whose own name belongs to W&B."""
WRAPPER = "user."
"""Prefix of a name that W&B or this plugin reserves."""

MAX_TAG = 64
"""Characters; `wandb.Settings.run_tags` refuses more."""
MAX_ID = 128
"""Characters of a run id or a project: `wandb.Settings.project` refuses more, the server as many of an id."""

_UNICODE = r"\x00-\ud7ff\ue000-\U0010ffff"
_ANY = r"\s\S"
_ANY_BUT_DASH = "\\x00-,.-\U0010ffff"
_SAFE_ID = r"\w.\-"
_SAFE_PROJECT = r"\w.\- "
_OWN_FILES = frozenset({"config.yaml", "output.log", "requirements.txt", "diff.patch", "conda-environment.yaml"})
_OWN_PREFIXES = ("wandb-", "media/", "logs/", "code/", ARTIFACTS)


def metric_key(name: str) -> str:
    """The history column of a metric."""
    return _wrap(name, name == STEP or name.startswith(ARTIFACTS))


def metric_name(key: str) -> str:
    """The metric whose column this is."""
    return key.removeprefix(WRAPPER)


def config_key(name: str) -> str:
    """The config key of a top-level param. W&B strips dashes from both ends of a key, so those are escaped."""
    dashed = name != name.strip("-")
    return _wrap(escape(name, _ANY_BUT_DASH if dashed else _ANY), name == RECORD)


def param_name(key: str) -> str:
    """The top-level param whose config key this is."""
    return unescape(key.removeprefix(WRAPPER))


def file_name(name: str) -> str:
    """The run file of an artifact; a name that W&B writes itself goes under "artifacts/".

    What is not UTF-8 is escaped: W&B's files are written down in protobuf, which fails for all of them otherwise.
    """
    if not name.isascii():
        name = escape(name, _UNICODE) if any("\ud800" <= character <= "\udfff" for character in name) else name
    own = name in _OWN_FILES or name.startswith(_OWN_PREFIXES)
    return ARTIFACTS + name if own else name


def wandb_id(run_id: str) -> str:
    """The W&B id of a run: the run's own, unless it has characters that W&B refuses."""
    return shorten(escape(run_id, _SAFE_ID), MAX_ID)


def wandb_project(project: str) -> str:
    """The W&B project of that name."""
    return shorten(escape(project, _SAFE_PROJECT), MAX_ID)


def flat_tags(tags: Mapping[str, str]) -> tuple[str, ...]:
    """Tags as W&B's flat labels, "key:value" or "key", cut to 64 characters; exact ones stand in config.

    Those that say how runs are related, and what `define_metric` says, have places of their own in W&B. Those that tell
    of versions of artifacts are no labels to find runs by.
    """
    labels = (f"{name}:{value}" if value else name for name, value in tags.items() if not _has_a_place(name))
    return tuple(dict.fromkeys(shorten(label, MAX_TAG) for label in labels if label))


def _has_a_place(tag: str) -> bool:
    return tag in RELATIONS or tag.startswith((DEFINITION_PREFIX, USED, ALIAS))


def _wrap(name: str, reserved: bool) -> str:
    taken = reserved or not name or name.startswith(("_", WRAPPER))
    return WRAPPER + name if taken else name
