"""Values that are read by name, as items and as attributes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


class NamedValues:
    """What config and summary share. All state is in `vars(self)`, since an attribute that is set is a value."""

    def keys(self) -> list[str]:
        """Return the names."""
        return list(vars(self)["_items"])

    def items(self) -> list[tuple[str, Any]]:
        """Return names and values."""
        return list(vars(self)["_items"].items())

    def __getitem__(self, key: str) -> Any:
        return vars(self)["_items"][key]

    def __getattr__(self, key: str) -> Any:
        items = vars(self).get("_items", {})
        if key in items:
            return items[key]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {key!r}")

    def __contains__(self, key: object) -> bool:
        return key in vars(self)["_items"]

    def __iter__(self) -> Iterator[str]:
        return iter(vars(self)["_items"])

    def __len__(self) -> int:
        return len(vars(self)["_items"])
