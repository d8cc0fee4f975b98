"""Proving that several backends, or a run and its copy, hold the same: point by point, not by their summaries."""

from unitrack.manager.verification.check import Check
from unitrack.manager.verification.difference import Difference
from unitrack.manager.verification.verification import Verification
from unitrack.manager.verification.verifying import verify

__all__ = ["Check", "Difference", "Verification", "verify"]
