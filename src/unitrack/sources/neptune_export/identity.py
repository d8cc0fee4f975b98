"""Attributes with one value, as the identity, the params, the tags and the end of a run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import msgspec

from unitrack.records import GROUP, MAX_TIME, PARENT, RunStart, RunStatus
from unitrack.sources.neptune_export import schema
from unitrack.values.plain import as_mapping, plain_text

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ENDED: dict[str, RunStatus] = {status: status for status in get_args(RunStatus) if status != "running"}
_TO_RELATIONS = {"sys/group_tags": GROUP, "sys/forking/parent": PARENT}
_TO_IDENTITY = ("sys/name", "sys/description", "sys/tags", "sys/creation_time", *_TO_RELATIONS)


class Identity(msgspec.Struct, frozen=True):
    """A run without its series and files."""

    start: RunStart
    params: Mapping[str, Any]
    status: RunStatus
    ended: int | None
    """Milliseconds since the epoch; None if the run goes on, and if only its points tell."""
    artifacts: Mapping[str, Mapping[str, Any]]
    """By name, what the record of an artifact said that unitrack has exported."""


def identity_of(project_id: str, run_id: str, attributes: Mapping[str, Any]) -> Identity:
    """Return what the attributes of a run say; see `value_of`."""
    return Identity(
        start=_start_of(project_id, run_id, attributes),
        params=as_mapping(dict(_params(attributes))),
        status=_status_of(attributes),
        ended=_ended(attributes),
        artifacts=_artifacts(attributes),
    )


def _start_of(project_id: str, run_id: str, attributes: Mapping[str, Any]) -> RunStart:
    own_id = _text(attributes.get(schema.RUN_ID))
    return RunStart(
        seq=0,
        time=_time(attributes.get("sys/creation_time")) or 0,
        run_id=plain_text(run_id),
        name=_text(attributes.get("sys/name")) or plain_text(run_id),
        project=_text(attributes.get(schema.PROJECT, project_id)),
        description=_text(attributes.get("sys/description")),
        tags=dict(_tags(attributes)),
        unitrack_id=own_id if own_id != run_id else "",
    )


def _tags(attributes: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the tags: those of unitrack where it has written the run, else Neptune's, and all else in `sys/`."""
    if schema.FORMAT in attributes:
        for name, value in attributes.items():
            if name.startswith(schema.TAG):
                yield name.removeprefix(schema.TAG), _text(value)
        return
    for tag in attributes.get("sys/tags") or ():
        yield plain_text(tag), ""
    for name, relation in _TO_RELATIONS.items():
        if value := attributes.get(name):
            yield relation, ", ".join(map(plain_text, value)) if isinstance(value, list) else _text(value)
    for name, value in attributes.items():
        if name.startswith(schema.SYS) and name not in _TO_IDENTITY and value is not None:
            yield plain_text(name), _spelled(value)


def _spelled(value: Any) -> str:
    if isinstance(value, datetime):
        return _iso(value)
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _params(attributes: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    as_json = frozenset(attributes.get(schema.AS_JSON) or ())
    for path, value in attributes.items():
        if path.startswith((schema.SYS, schema.OWN)) and not path.startswith(schema.PARAM):
            continue
        name = path.removeprefix(schema.PARAM)
        if name in as_json and isinstance(value, str):
            yield name, _decoded(value)
        else:
            yield name, _iso(value) if isinstance(value, datetime) else value


def _decoded(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return text


def _status_of(attributes: Mapping[str, Any]) -> RunStatus:
    own = attributes.get(schema.STATUS)
    if isinstance(own, str):
        return _ENDED.get(own, "running")
    if attributes.get("sys/failed") is True:
        return "failed"
    state = _text(attributes.get("sys/state")).lower()
    return "running" if state in ("active", "running") else "finished"


def _ended(attributes: Mapping[str, Any]) -> int | None:
    if _status_of(attributes) == "running":
        return None
    return _time(attributes.get(schema.ENDED)) or _time(attributes.get("sys/modification_time"))


def _artifacts(attributes: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any]] = {}
    for path, value in attributes.items():
        if path.startswith(schema.ARTIFACT) and isinstance(value, str) and isinstance(said := _decoded(value), dict):
            found[path.removeprefix(schema.ARTIFACT)] = said
    return found


def value_of(kind: str, values: Iterable[Any]) -> Any:
    """Return the value of an attribute of a type, given the columns of `schema.SCALARS` in their order.

    A date comes in milliseconds since the epoch, and is returned as a `datetime`.
    """
    value = dict(zip(schema.SCALARS, values, strict=True))[kind]
    is_date = kind == "datetime" and value is not None and abs(value) <= MAX_TIME
    return _EPOCH + timedelta(milliseconds=value) if is_date else value


def _text(value: Any) -> str:
    return plain_text(value) if isinstance(value, str) else ""


def _time(value: Any) -> int | None:
    return (value - _EPOCH) // timedelta(milliseconds=1) if isinstance(value, datetime) else None


def _iso(date: datetime) -> str:
    return date.isoformat(timespec="milliseconds").replace("+00:00", "Z")
