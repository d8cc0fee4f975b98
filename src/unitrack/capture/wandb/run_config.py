"""`wandb.config`: read back as it was set, and logged as params."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from unitrack.capture.wandb.errors import Error
from unitrack.capture.wandb.named_values import NamedValues


class Config(NamedValues):
    """A run's config: `config.lr` is `config["lr"]`. A value changes only by `update(..., allow_val_change=True)`."""

    def __init__(self, changed: Callable[[dict[str, Any]], None] | None = None) -> None:
        """`changed` gets the values of each change."""
        vars(self).update(_items={}, _changed=changed, _locked=set())

    def _set(self, values: Mapping[str, Any], *, may_change: bool = False, lock: bool = False) -> None:
        items, locked = vars(self)["_items"], vars(self)["_locked"]
        new = {str(key): _plain(value) for key, value in values.items() if lock or str(key) not in locked}
        for key, value in new.items():
            if not (may_change or lock) and key in items and items[key] != value:
                raise Error(
                    f'Attempted to change value of key "{key}" from {items[key]} to {value}\n'
                    "If you really want to do this, pass allow_val_change=True to config.update()"
                )
        items.update(new)
        if lock:
            locked.update(new)
        changed = vars(self)["_changed"]
        if changed is not None and new:
            changed(new)

    def update(self, d: Any, allow_val_change: bool | None = None) -> None:
        """Set values: a mapping, an argparse namespace, or the path of a YAML file."""
        self._set(as_config(d), may_change=bool(allow_val_change))

    def setdefaults(self, d: Any) -> None:
        """Set the values whose keys are not there yet."""
        self._set({key: value for key, value in as_config(d).items() if key not in self})

    def update_locked(
        self, d: Mapping[str, Any], user: str | None = None, _allow_val_change: bool | None = None
    ) -> None:
        """Set values that no later call changes."""
        self._set(d, lock=True)

    merge_locked = update_locked

    def get(self, *args: Any) -> Any:
        """Return a value, or the default."""
        return vars(self)["_items"].get(*args)

    def as_dict(self) -> dict[str, Any]:
        """Return all of it."""
        return dict(vars(self)["_items"])

    def __setitem__(self, key: str, value: Any) -> None:
        self._set({key: value})

    __setattr__ = __setitem__

    def __repr__(self) -> str:
        return str(self.as_dict())


def as_config(given: Any) -> dict[str, Any]:
    """Return what W&B takes as a config as a mapping. Raises `Error` for anything else."""
    if given is None:
        return {}
    if isinstance(given, str | Path):
        import yaml  # noqa: PLC0415  # 11 ms, only for files

        found = yaml.safe_load(Path(given).read_text(encoding="utf-8")) or {}
        return {key: value.get("value", value) if isinstance(value, dict) else value for key, value in found.items()}
    if isinstance(given, Mapping):
        return dict(given)
    if isinstance(given, Config):
        return given.as_dict()
    if hasattr(given, "flag_values_dict"):  # absl
        return dict(given.flag_values_dict())
    if hasattr(given, "__dict__"):  # argparse
        return dict(vars(given))
    raise Error(f"config must be a dict or have a __dict__ attribute, got {type(given).__name__}")


def _plain(value: Any) -> Any:
    if isinstance(value, Config):
        return value.as_dict()
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_plain(inner) for inner in value]
    if hasattr(value, "item") and getattr(value, "shape", None) == ():
        return value.item()
    return value.tolist() if hasattr(value, "tolist") else value
