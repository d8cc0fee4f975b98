"""Runs beside each other, whatever backends hold them: what differs, and which is better."""

from unitrack.manager.comparison.comparing import compare
from unitrack.manager.comparison.comparison import Comparison

__all__ = ["Comparison", "compare"]
