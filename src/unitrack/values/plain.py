"""Hyperparameters of any type as plain JSON values."""

from __future__ import annotations

import datetime
import enum
import math
import numbers
import os
import re
import sys
import uuid
from collections.abc import Callable, Iterable, Mapping, Set
from types import ModuleType, SimpleNamespace
from typing import Any

import msgspec

from unitrack.errors import InvalidValueError

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_JSON_INT_MAX = 2**63 - 1


def to_plain(value: Any) -> Any:
    """Return `value` as dicts with string keys, lists, strings, ints, floats, bools and None.

    Dataclasses, attrs classes, pydantic models, named tuples, argparse namespaces, OmegaConf containers and msgspec
    structs become dicts; enums their value; paths, dates and unknown objects a string. NaN and infinity become "nan",
    "inf" and "-inf", since JSON has none. The memory address is cut out of an object's repr, so that the same object
    looks the same in the next run.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, enum.Enum):
        return to_plain(value.value)
    if isinstance(value, str):
        return plain_text(value)
    if isinstance(value, int):
        return int(value) if abs(value) <= _JSON_INT_MAX else _digits(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else repr(float(value))
    omegaconf = sys.modules.get("omegaconf")
    # Before mappings: reading a missing value of an OmegaConf container raises.
    if omegaconf is not None and omegaconf.OmegaConf.is_config(value):
        return _config_to_plain(value, omegaconf)
    if isinstance(value, Mapping):
        return _plain_mapping(value)
    if isinstance(value, tuple) and hasattr(value, "_asdict"):  # a NamedTuple
        return _plain_mapping(value._asdict())
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    if isinstance(value, Set):
        return sorted((to_plain(item) for item in value), key=repr)
    return _object_to_plain(value)


def _object_to_plain(value: Any) -> Any:
    dataclasses = sys.modules.get("dataclasses")
    if dataclasses is not None and dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _plain_fields(value, dataclasses.fields(value))
    if isinstance(value, msgspec.Struct):
        return to_plain(msgspec.structs.asdict(value))
    argparse = sys.modules.get("argparse")
    if isinstance(value, SimpleNamespace) or (argparse is not None and isinstance(value, argparse.Namespace)):
        return to_plain(vars(value))
    if hasattr(type(value), "__attrs_attrs__"):
        return _plain_fields(value, type(value).__attrs_attrs__)
    # `hasattr` on the type: on the object, a proxy may raise any error.
    if hasattr(type(value), "model_dump"):  # pydantic
        return to_plain(value.model_dump())
    if isinstance(value, os.PathLike):
        return plain_text(os.fsdecode(value))
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, numbers.Number | uuid.UUID | datetime.timedelta) and not hasattr(type(value), "tolist"):
        return str(value)
    if hasattr(type(value), "tolist"):  # NumPy scalars and arrays, tensors
        return to_plain(value.tolist())
    if isinstance(value, type) or callable(value):
        return _qualified_name(value)
    return plain_text(_safe_text(value))


def _plain_fields(value: Any, fields: Iterable[Any]) -> dict[str, Any]:
    """Return the fields of a dataclass or an attrs class, without fields that were never set."""
    return {field.name: to_plain(getattr(value, field.name)) for field in fields if hasattr(value, field.name)}


def _config_to_plain(config: Any, omegaconf: Any) -> Any:
    """Return an OmegaConf container with interpolations resolved. A missing value stays "???"."""
    try:
        return to_plain(omegaconf.OmegaConf.to_container(config, resolve=True))
    except omegaconf.errors.OmegaConfBaseException as error:
        key = f" {error.full_key!r}" if error.full_key else ""
        reason = str(error).partition("\n")[0]
        raise InvalidValueError(f"param{key} can't be resolved by OmegaConf: {reason}") from None


def _plain_mapping(value: Mapping[Any, Any]) -> dict[str, Any]:
    """Return a mapping with string keys. Keys with the same text, such as 1 and "1", get a number: "1", "1 (2)"."""
    plain: dict[str, Any] = {}
    for key, item in value.items():
        name = text = _plain_key(key)
        count = 1
        while name in plain:
            count += 1
            name = f"{text} ({count})"
        plain[name] = to_plain(item)
    return plain


def _plain_key(key: Any) -> str:
    if isinstance(key, enum.Enum):
        key = key.value
    return _qualified_name(key) if isinstance(key, type) or callable(key) else plain_text(key)


def _qualified_name(value: Any) -> str:
    return f"{getattr(value, '__module__', '?')}.{getattr(value, '__qualname__', type(value).__qualname__)}"


def plain_text(value: object) -> str:
    """Return `value` as a string that UTF-8 can hold.

    Lone surrogates, which stand for the other bytes of a file name, are escaped. Memory addresses are cut out of the
    text of objects.
    """
    text = str(value) if isinstance(value, str) else _safe_text(value, str)
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()
    return text


def _safe_text(value: object, describe: Callable[[object], str] = repr) -> str:
    """Return an object's `repr` or `str` without memory addresses; its type if that raises."""
    try:
        return _ADDRESS.sub("", describe(value))
    except Exception:  # an object that is half built, or whose connection is closed
        return f"<{_qualified_name(type(value))}>"


def _digits(value: int) -> str:
    try:
        return str(value)
    except ValueError:  # more digits than Python converts to decimal
        return hex(value)


def changed_params(known: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the nested plain params that are new, or whose value differs from `known`. As JSON: 1 is not true."""
    changed: dict[str, Any] = {}
    for name, value in params.items():
        before = known.get(name)
        if isinstance(value, dict) and isinstance(before, dict):
            if inner := changed_params(before, value):
                changed[name] = inner
        elif name not in known or msgspec.json.encode(value) != msgspec.json.encode(before):
            changed[name] = value
    return changed


def as_mapping(params: Any) -> dict[str, Any]:
    """Return params as a dict of plain values. Raises `TypeError` for an object without named values."""
    plain = to_plain(params)
    if not isinstance(plain, dict) and _holds_values(params):
        plain = _plain_mapping({name: value for name, value in vars(params).items() if not name.startswith("_")})
    if not isinstance(plain, dict):
        raise TypeError(
            "params must be a mapping, a dataclass, a model, a namespace or another object with attributes, "
            f"got {type(params).__name__}"
        )
    return plain


def _holds_values(value: Any) -> bool:
    """Return whether `value` is an object with attributes, such as a hand-written configuration.

    Only for the object that is logged: one inside of it may be a model or an optimizer.
    """
    if isinstance(value, type | ModuleType) or callable(value) or isinstance(value, str | list | tuple | Set):
        return False
    return any(not name.startswith("_") for name in getattr(value, "__dict__", ()))
