"""What a sink owes its runs, as pytest classes. A backend's conformance file subclasses `SinkConformance`.

The suite knows a backend by what it declares (`Backend`) and by what it holds (its `Source`), never by its name. What a
backend can't do by its nature is named in `impossible`, with the evidence, and is then expected to fail.
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
from unitrack.testing.conformance.reading import SourceConformance
from unitrack.testing.conformance.restarts import RestartConformance
from unitrack.testing.conformance.resuming import ResumeConformance
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
    SourceConformance,
):
    """All of it. `plugin` is all that a backend must set; see `BackendTests` for what it may."""
