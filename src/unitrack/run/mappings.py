"""A run's params and summary values as mappings: `run.config["lr"]`, `run.summary["best"]`."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any

from unitrack.errors import InvalidTypeError
from unitrack.validation.messages import brief


class RunConfig(MutableMapping[str, Any]):
    """The params of the run, nested: see `Run.config`. Setting one logs it.

    `run.config.lr` is `run.config["lr"]`. Params are never removed.
    """

    def __init__(self, read: Callable[[], dict[str, Any]], log: Callable[[Any], None]) -> None:
        """`read` returns the params logged so far, `log` logs some."""
        vars(self).update(_read=read, _log=log)

    @property
    def _params(self) -> dict[str, Any]:
        params: dict[str, Any] = vars(self)["_read"]()
        return params

    def __getitem__(self, name: str) -> Any:
        return self._params[name]

    def __setitem__(self, name: str, value: Any) -> None:
        vars(self)["_log"]({name: value})

    def __delitem__(self, name: str) -> None:
        raise InvalidTypeError(f"param {name!r} can't be removed: what is logged stays")

    def __iter__(self) -> Iterator[str]:
        return iter(self._params)

    def __len__(self) -> int:
        return len(self._params)

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_") and name in self._params:
            return self[name]
        raise AttributeError(f"the run has no param {name!r}; it has {', '.join(self) or 'none'}")

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def as_dict(self) -> dict[str, Any]:
        """Return a copy of the params."""
        return dict(self._params)

    def setdefaults(self, params: Mapping[str, Any]) -> None:
        """Log those of the params that the run does not have yet."""
        if missing := {name: value for name, value in params.items() if name not in self._params}:
            vars(self)["_log"](missing)

    def update(self, *params: Any, allow_val_change: bool = True, **named: Any) -> None:
        """Log params in one record: a mapping, a dataclass, a namespace, or names. Values may always change."""
        for given in (*params, *([named] if named else [])):
            vars(self)["_log"](given)

    def __repr__(self) -> str:
        return repr(dict(self._params))


class RunSummary(MutableMapping[str, float]):
    """The values that this process has set for the whole run, such as the best accuracy.

    Setting one logs it as a metric at the newest step, so that each backend can sort its runs by it. For a metric of
    many steps a backend shows the last value, or the one that `define_metric(name, summary=)` chooses.
    """

    def __init__(self, values: Mapping[str, float], log: Callable[[Mapping[str, Any]], None]) -> None:
        """`values`: the values set so far. `log` logs some, and adds them to `values`."""
        self._values = values
        self._log = log

    def __getitem__(self, name: str) -> float:
        return self._values[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self.update({name: value})

    def __delitem__(self, name: str) -> None:
        raise InvalidTypeError(f"summary value {name!r} can't be removed: what is logged stays")

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def update(self, values: Mapping[str, Any] = {}, **named: Any) -> None:  # type: ignore[override]
        """Set several values in one record. Raises `InvalidTypeError` for a value that is not a number."""
        if not isinstance(values, Mapping):
            raise InvalidTypeError(f"summary values must be a mapping, got {type(values).__name__} {brief(values)}")
        given = {**values, **named}
        for name, value in given.items():
            if isinstance(value, str | bytes) or not (isinstance(value, numbers.Number) or hasattr(value, "__float__")):
                raise InvalidTypeError(
                    f"summary value {name!r} must be a number, got {type(value).__name__}; text belongs in set_tags"
                )
        self._log(given)

    def __repr__(self) -> str:
        return repr(dict(self._values))
