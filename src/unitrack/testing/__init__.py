"""The kit for plugin authors, and for tests of training code.

`SinkConformance` is the suite that every backend passes: subclass it (docs/testing-plugins.md). `SinkDriver` drives a
sink hook by hook, `Trial` through a real lane. `recorded()` shows what training code logged, without any backend.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unitrack.testing.contents import Contents
from unitrack.testing.driver import SinkDriver
from unitrack.testing.outages import in_the_way
from unitrack.testing.recording import RecordingSink, recorded
from unitrack.testing.trial import Trial

if TYPE_CHECKING:
    from unitrack.testing.conformance import SinkConformance, SourceConformance

__all__ = [
    "Contents",
    "RecordingSink",
    "SinkConformance",
    "SinkDriver",
    "SourceConformance",
    "Trial",
    "in_the_way",
    "recorded",
]


def __getattr__(name: str) -> Any:
    """The suites, imported when asked for: they need pytest, which has to rewrite their assertions before."""
    if name not in ("SinkConformance", "SourceConformance"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import pytest

    pytest.register_assert_rewrite("unitrack.testing.conformance")
    from unitrack.testing import conformance

    return getattr(conformance, name)
