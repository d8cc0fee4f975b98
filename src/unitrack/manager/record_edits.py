"""Edits of a run on its way to another backend: names, steps and tags of its records are changed as they pass."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from unitrack.errors import ConfigError
from unitrack.records import AnyRecord, Artifact, Metrics, Params, merge

RUN_NAME = "{run}"
"""Stands for the run's name in the new name of `Edits.rename`."""


class Edits(msgspec.Struct, frozen=True, kw_only=True):
    """What is changed. Names are those of metrics, of params (dotted) and of artifacts."""

    rename: Mapping[str, str] = {}
    """Old name to new name. Each `*` of an old name matches any text, which the `*` in that place of the new name
    stands for; `{run}` in a new name is the run's name. The first that matches holds."""
    drop: tuple[str, ...] = ()
    """Names, or globs of names, that are left out. They are matched before anything is renamed."""
    until_step: int | None = None
    """The last step: points and artifacts with a higher one are left out."""
    tags: Mapping[str, str] = {}
    """Tags that are added, or replace others."""

    def __post_init__(self) -> None:
        """Raise `ConfigError` for a new name that is empty, or that has more `*` than the old one."""
        for old, new in self.rename.items():
            if not old or not new:
                raise ConfigError(f"rename: {old!r} to {new!r} has an empty name")
            if new.count("*") > old.count("*"):
                raise ConfigError(f"rename: {new!r} has more `*` than {old!r}, so a part of the new name is unknown")
        if self.until_step is not None and self.until_step < 0:
            raise ConfigError(f"until_step: {self.until_step} is below 0, the first step there can be")


class Editor:
    """Applies edits to the records of one run, and keeps account of what they changed."""

    def __init__(self, edits: Edits, run_name: str) -> None:
        self._edits = edits
        self._rules = [(_pattern(old), new.replace(RUN_NAME, run_name)) for old, new in edits.rename.items()]
        self._names: dict[str, str | None] = {}
        self._keeps_names = not (edits.rename or edits.drop)
        self.cut = 0
        """Points and artifacts beyond the last step."""

    @property
    def renamed(self) -> dict[str, str]:
        """Old names that were met, with their new names."""
        return {old: new for old, new in self._names.items() if new is not None and new != old}

    @property
    def dropped(self) -> list[str]:
        """Names that were met and left out."""
        return [old for old, new in self._names.items() if new is None]

    def name(self, old: str) -> str | None:
        """Return the new name of a metric, a param or an artifact; None if it is left out."""
        if old not in self._names:
            self._names[old] = self._new_name(old)
        return self._names[old]

    def _new_name(self, old: str) -> str | None:
        if any(fnmatchcase(old, pattern) for pattern in self._edits.drop):
            return None
        for pattern, new in self._rules:
            if found := pattern.fullmatch(old):
                first, *rest = new.split("*")
                return first + "".join(text + part for text, part in zip(found.groups(), rest, strict=False))
        return old

    def apply(self, record: AnyRecord) -> AnyRecord | None:
        """Return the record as it is to be copied; None if nothing is left of it."""
        if isinstance(record, Metrics | Artifact) and self._is_beyond(record.step):
            self.cut += len(record.values()) if isinstance(record, Metrics) else 1
            return None
        if self._keeps_names:
            return record
        if isinstance(record, Metrics):
            named = {self.name(name): value for name, value in record.values().items()}
            values = {name: value for name, value in named.items() if name is not None}
            return record.with_values(values) if values else None
        if isinstance(record, Params):
            params = self._rename_params(record.params)
            return msgspec.structs.replace(record, params=params) if params or not record.params else None
        if isinstance(record, Artifact):
            new = self.name(record.name)
            return None if new is None else msgspec.structs.replace(record, name=new)
        return record

    def _is_beyond(self, step: int | None) -> bool:
        last = self._edits.until_step
        return last is not None and step is not None and step > last

    def _rename_params(self, params: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
        """Return params without those that are left out; one with a new name stands where its dots say."""
        kept: dict[str, Any] = {}
        for key, value in params.items():
            name = prefix + key
            if isinstance(value, Mapping) and value:
                if below := self._rename_params(value, f"{name}."):
                    kept = merge(kept, below)
            elif (new := self.name(name)) is not None:
                kept = merge(kept, _nested(prefix, key, value) if new == name else _nested_by_dots(new, value))
        return kept


def _pattern(glob: str) -> re.Pattern[str]:
    return re.compile("(.*)".join(map(re.escape, glob.split("*"))), re.DOTALL)


def _nested(prefix: str, key: str, value: Any) -> dict[str, Any]:
    for part in reversed(prefix.split(".")[:-1]):
        key, value = part, {key: value}
    return {key: value}


def _nested_by_dots(name: str, value: Any) -> dict[str, Any]:
    *above, key = name.split(".")
    return _nested("".join(f"{part}." for part in above), key, value)
