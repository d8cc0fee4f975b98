"""The base of the suite: what a conformance file supplies, and what the tests use."""

from __future__ import annotations

import contextlib
import itertools
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import pytest

from unitrack.hookspecs import Backend, Link, Source
from unitrack.plugins.options import load_object
from unitrack.records import AnyRecord, Artifact
from unitrack.testing.conformance.comparing import assert_same
from unitrack.testing.trial import Trial
from unitrack.testing.whole_run import Contents

_ids = itertools.count(1)

MakeTrial = Callable[..., Trial]


class PluginTests:
    """The members of a conformance file that are about the plugin itself. Set `plugin`."""

    plugin: ClassVar[ModuleType]
    """The module that the entry point names."""
    impossible: ClassVar[Mapping[str, str]] = {}
    """Tests that can't pass, each with the evidence: {"test_value[nan]": "the format has no NaN"}. They must fail."""

    @property
    def backend(self) -> Backend:
        """The backend under test. Override it if the plugin has several."""
        [backend] = self.plugin.register_backends()
        assert isinstance(backend, Backend)
        return backend

    def open_source(self, location: str) -> Source:
        """Return the backend's source for a location. Without a source the test is skipped."""
        if self.backend.source is None:
            pytest.skip("the backend has no source")
        source = load_object(self.backend.source)(location)
        assert isinstance(source, Source), f"{self.backend.source} does not derive from unitrack.hookspecs.Source"
        return source

    @pytest.fixture(autouse=True)
    def _impossible(self, request: pytest.FixtureRequest) -> None:
        name = request.node.name
        reason = self.impossible.get(name) or self.impossible.get(name.partition("[")[0])
        if reason:
            request.applymarker(pytest.mark.xfail(strict=True, reason=reason))


class BackendTests(PluginTests):
    """The members of a conformance file for a backend with sinks. Override those that the backend needs."""

    @property
    def sink_class(self) -> str:
        """The class of the backend's sink, "module:Class"."""
        assert self.backend.sink is not None, f"{self.backend.name!r} can only be read: test it with SourceConformance"
        return self.backend.sink

    @pytest.fixture
    def sink_options(self, tmp_path: Path) -> dict[str, Any]:
        """Return the options of the sink. The store may belong to one test or be shared by all."""
        return {}

    def outage(self, trial: Trial) -> AbstractContextManager[None] | None:
        """Return a context manager within which the store fails. None, the default, skips the tests of outages."""
        return None

    def records(self, link: Link) -> Iterable[AnyRecord]:
        """Read a run back. Override it for a backend without a source."""
        return self.source(link).records(link.id)

    def source(self, link: Link) -> Source:
        """Return the backend's source for the place where a run lies. Without a source the test is skipped."""
        return self.open_source(link.location)

    def locate(self, link: Link, artifact: Artifact, folder: Path) -> Path:
        """Return where the content of an artifact lies, perhaps after bringing it into `folder`, which is empty."""
        if Path(artifact.file).exists():
            return Path(artifact.file)
        return self.source(link).fetch(link.id, artifact, folder)

    # -- what the tests use -------------------------------------------------------------------------------------------

    @pytest.fixture
    def make_trial(self, tmp_path: Path, sink_options: dict[str, Any]) -> Iterator[MakeTrial]:
        """Return a function that makes runs. `root` and `folder` name the run folder; the rest goes to `RunStart`."""
        with contextlib.ExitStack() as stack:

            def make(root: str = "", folder: str = "", **identity: Any) -> Trial:
                run_id = f"trial-{next(_ids)}"
                place = tmp_path / root / (folder or run_id)
                trial = Trial(place, self.backend, sink_options, **{"run_id": run_id, **identity})
                stack.callback(trial.close)
                return trial

            yield make

    @pytest.fixture
    def trial(self, make_trial: MakeTrial) -> Trial:
        """A run that has just started."""
        return make_trial()

    def read(self, trial: Trial) -> Contents:
        """Return what the backend holds of a run, with the content of its files."""
        found, link = Contents(), trial.link
        with tempfile.TemporaryDirectory(prefix="unitrack-conformance-") as scratch:
            for number, record in enumerate(self.records(link)):
                found.add(record)
                if isinstance(record, Artifact):
                    folder = Path(scratch, str(number))
                    folder.mkdir()
                    found.put(record.name, self.locate(link, record, folder))
        return found

    def check(self, trial: Trial) -> Contents:
        """Assert that the backend holds a run that ended exactly as it was logged, and return what it holds."""
        ledger = trial.ledger
        assert (ledger.state, ledger.dead_lettered, ledger.pending(trial.folder)) == ("complete", 0, 0)
        found = self.read(trial)
        assert_same(found, trial.logged, exact_floats=self.backend.exact_floats)
        return found
