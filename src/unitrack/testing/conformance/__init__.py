"""The conformance suite: what every backend has to do, as pytest classes.

A test file subclasses `SinkConformance` or, for a backend that can only be read, `SourceConformance`.

The suite knows a backend by what it declares (`Backend`) and by what its `Source` reads back, never by its name. What a
backend can't do is listed in `impossible`, with the evidence; those tests must then fail.
"""

from __future__ import annotations

from unitrack.testing.conformance.artifacts import ArtifactConformance
from unitrack.testing.conformance.claims import ClaimConformance
from unitrack.testing.conformance.declared import DeclaredConformance
from unitrack.testing.conformance.hooks import HookConformance
from unitrack.testing.conformance.kinds import KindConformance
from unitrack.testing.conformance.naming import NameConformance
from unitrack.testing.conformance.params import ParamConformance
from unitrack.testing.conformance.points import PointConformance
from unitrack.testing.conformance.reading import ReadBackConformance
from unitrack.testing.conformance.restarts import RestartConformance
from unitrack.testing.conformance.resuming import ResumeConformance
from unitrack.testing.conformance.sources import SourceConformance
from unitrack.testing.conformance.troubles import TroubleConformance

__all__ = ["SinkConformance", "SourceConformance"]


class SinkConformance(
    DeclaredConformance,
    KindConformance,
    PointConformance,
    NameConformance,
    ParamConformance,
    ArtifactConformance,
    HookConformance,
    RestartConformance,
    ResumeConformance,
    ClaimConformance,
    TroubleConformance,
    ReadBackConformance,
):
    """The whole suite. A backend must set `plugin`; `BackendTests` has the other members that it may override."""
