"""The test kit: for authors of plugins and of integrations, and for tests of training code.

For a plugin:

- `SinkConformance` is the pytest suite that every backend has to pass. A conformance file of a few lines subclasses it.
- `SourceConformance` is the same for a backend that can only be read: on a store that the file supplies.
- `Trial` is one run in one sink, fed by a real lane from a real journal, that can crash and resume anywhere.
- `SinkDriver` calls the hooks of one sink by hand, without a journal.
- `in_the_way` makes a store fail for a while.

For a callback or logger of a framework:

- `IntegrationContract` is the pytest suite that every one of `unitrack.integrations` passes.

For training code:

- `recorded()` delivers runs into memory, and shows what was logged.

docs/how-to/test-a-plugin.md has an example of each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unitrack.testing.driver import SinkDriver
from unitrack.testing.outages import in_the_way
from unitrack.testing.recording import RecordingSink, recorded
from unitrack.testing.trial import Trial
from unitrack.testing.whole_run import Contents

if TYPE_CHECKING:
    from unitrack.testing.conformance import SinkConformance, SourceConformance
    from unitrack.testing.integrations import IntegrationContract

__all__ = [
    "Contents",
    "IntegrationContract",
    "RecordingSink",
    "SinkConformance",
    "SinkDriver",
    "SourceConformance",
    "Trial",
    "in_the_way",
    "recorded",
]


_SUITES = {
    "IntegrationContract": "integrations",
    "SinkConformance": "conformance",
    "SourceConformance": "conformance",
}


def __getattr__(name: str) -> Any:
    """Import the suites when they are asked for: they need pytest, which has to rewrite their assertions before."""
    if name not in _SUITES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib  # noqa: PLC0415  # as pytest, only for the suites

    import pytest  # noqa: PLC0415  # only the suites need it, and it may not be installed

    module = f"{__name__}.{_SUITES[name]}"
    pytest.register_assert_rewrite(module)
    return getattr(importlib.import_module(module), name)
