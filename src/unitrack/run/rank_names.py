"""The names of a rank's metrics, params and files: prefixed by its number, so that no two ranks share a curve."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class RankNames:
    """Prefixes the names of a rank: metric `rank1/loss`, param `rank1.lr`, artifact `rank1/model.pt`.

    Rank 0, and the process of a run without ranks, have no prefix.
    """

    def __init__(self, rank: int) -> None:
        self.prefix = f"rank{rank}" if rank else ""

    def path(self, name: Any) -> Any:
        """Return the prefixed name of a metric or an artifact. A bad name is returned as it is, for the checks."""
        return f"{self.prefix}/{name}" if self.prefix and isinstance(name, str) and name else name

    def metrics(self, metrics: Any) -> Any:
        """Return the metrics of a log call with prefixed names."""
        return {self.path(name): value for name, value in metrics.items()} if isinstance(metrics, Mapping) else metrics

    def params(self, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return params with the prefix."""
        return {self.prefix: params} if self.prefix else params

    def own_params(self, params: dict[str, Any]) -> dict[str, Any]:
        """Return the params of this rank, without the prefix."""
        own: dict[str, Any] = params.get(self.prefix, {}) if self.prefix else params
        return own

    def tags(self, tags: Mapping[str, str]) -> Mapping[str, str]:
        """Return tags with prefixed names."""
        return {f"{self.prefix}.{tag}": value for tag, value in tags.items()} if self.prefix else tags
