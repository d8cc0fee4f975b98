"""Names of artifacts and of their versions: `model`, `model:v3`, `model:best`."""

from __future__ import annotations

import re

import msgspec

from unitrack.errors import InvalidValueError
from unitrack.validation.arguments import as_text

LATEST = "latest"
"""The alias of the version that was logged last. It moves by itself."""
_NAME = re.compile(r"[A-Za-z0-9_][\w.\-]{0,127}", re.ASCII)
_VERSION = re.compile(r"v(\d{1,9})")
_RESERVED = re.compile(r"v\d+|latest", re.ASCII | re.IGNORECASE)
"""Words that MLflow refuses as aliases, in any case."""
_RULE = "letters, digits, '_', '-' and '.', at most 128, the first one neither '-' nor '.'"


class Wanted(msgspec.Struct, frozen=True):
    """A version that was asked for."""

    name: str
    number: int | None
    """None if it was asked for by an alias."""
    alias: str

    def __str__(self) -> str:
        return f"{self.name}:{self.alias if self.number is None else f'v{self.number}'}"


def check_name(name: object) -> str:
    """Return the name of an artifact. Raises `InvalidTypeError` and `InvalidValueError`."""
    name = as_text(name, "the name of an artifact")
    if _NAME.fullmatch(name):
        return name
    hint = ""
    if ":" in name:
        hint = "; the version is counted for you, and further names of it go into `aliases=`"
    elif "/" in name:
        hint = "; a place among the run's files goes into `artifact_path=`, another project into `project=`"
    raise InvalidValueError(f"the name of an artifact can't be {name[:80]!r}: it may have {_RULE}{hint}")


def check_alias(alias: object) -> str:
    """Return an alias of a version. Raises `InvalidTypeError` and `InvalidValueError`."""
    alias = as_text(alias, "an alias")
    if _RESERVED.fullmatch(alias) and alias != LATEST:
        raise InvalidValueError(
            f"the alias {alias[:80]!r} looks like a version, which is counted for you, or like {LATEST!r}: choose "
            "another word"
        )
    if not _NAME.fullmatch(alias):
        raise InvalidValueError(f"an alias can't be {alias[:80]!r}: it may have {_RULE}")
    return alias


def is_name(name: str) -> bool:
    """Return whether an artifact can have this name, which another program may have written."""
    return _NAME.fullmatch(name) is not None


def is_alias(alias: str) -> bool:
    """Return whether a version can be given this alias, which another program may have written."""
    return is_name(alias) and _RESERVED.fullmatch(alias) is None


def parse_wanted(text: object) -> Wanted:
    """Return what "model:best", "model:v3" or "model", its latest version, asks for.

    Raises `InvalidTypeError` and `InvalidValueError`.
    """
    text = as_text(text, "an artifact such as 'model:best'")
    name, colon, version = text.partition(":")
    check_name(name)
    if ":" in version or (colon and not version):
        raise InvalidValueError(f"{text[:80]!r} names no version: write {name}:v0, {name}:latest or {name}:ALIAS")
    if found := _VERSION.fullmatch(version):
        return Wanted(name, int(found[1]), "")
    return Wanted(name, None, check_alias(version) if version else LATEST)
