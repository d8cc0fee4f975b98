"""A run's params and summary values as mappings: `run.config["lr"]`, `run.summary["best"]`."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any

from unitrack.errors import InvalidTypeError
from unitrack.validation.refusing import brief


class RunConfig(MutableMapping[str, Any]):
    """The params that this process has logged: reading gives them nested as they are, writing logs.

    `run.config.lr` is `run.config["lr"]`. Params are never removed.
    """

    def __init__(self, read: Callable[[], dict[str, Any]], log: Callable[[Any], None]) -> None:
        """`read` gives the params that are logged so far, `log` logs some."""
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

    def update(self, *params: Any, allow_val_change: bool = True, **named: Any) -> None:
        """Log params in one record: a mapping, a dataclass, a namespace, or names. Values may change, as always."""
        for given in (*params, *([named] if named else [])):
            vars(self)["_log"](given)

    def __repr__(self) -> str:
        return repr(dict(self._params))


class RunSummary(MutableMapping[str, float]):
    """The values that this process has set for the whole run, such as the best accuracy.

    Setting one logs it as a metric at the newest step, so that each backend can sort its runs by it. What a backend
    shows of a metric that is logged on and on is its last value, or what `define_metric(name, summary=)` says.
    """

    def __init__(self, log: Callable[[Mapping[str, Any]], None]) -> None:
        """`log` logs metrics at the newest step."""
        self._log = log
        self._values: dict[str, float] = {}

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
        """Set several values in one record. Raises `InvalidTypeError` for what is no number."""
        if not isinstance(values, Mapping):
            raise InvalidTypeError(f"summary values must be a mapping, got {type(values).__name__} {brief(values)}")
        given = {**values, **named}
        for name, value in given.items():
            if isinstance(value, str | bytes) or not (isinstance(value, numbers.Number) or hasattr(value, "__float__")):
                raise InvalidTypeError(
                    f"summary value {name!r} must be a number, got {type(value).__name__}; text belongs in set_tags"
                )
        self._log(given)
        self._values |= {name: float(value) for name, value in given.items()}

    def __repr__(self) -> str:
        return repr(self._values)
