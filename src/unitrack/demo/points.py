"""The metrics of the demo, and what holds their points."""

from __future__ import annotations

LOSS, ACCURACY = "loss", "accuracy"

Points = dict[tuple[str, int], float]
"""By metric and step."""
