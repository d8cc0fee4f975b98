"""What a conformance file supplies, and what the tests do with it."""

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
from unitrack.plugins import load_object
from unitrack.records import AnyRecord, Artifact
from unitrack.testing.conformance.comparing import assert_same
from unitrack.testing.contents import Contents
from unitrack.testing.trial import Trial

_ids = itertools.count(1)

MakeTrial = Callable[..., Trial]


class BackendTests:
    """Base of the suite. Set `plugin`; override `sink_options` and the rest where the backend needs it."""

    plugin: ClassVar[ModuleType]
    """The module that the entry point names."""
    impossible: ClassVar[Mapping[str, str]] = {}
    """Tests that can't pass, and the evidence: {"test_value[nan]": "the format has no NaN"}. They must fail."""

    @property
    def backend(self) -> Backend:
        """The plugin's backend. Override it if there are several."""
        [backend] = self.plugin.register_backends()
        assert isinstance(backend, Backend)
        return backend

    @pytest.fixture
    def sink_options(self, tmp_path: Path) -> dict[str, Any]:
        """The sink's options, for a store of this test or one that all share."""
        return {}

    def outage(self, trial: Trial) -> AbstractContextManager[None] | None:
        """Make the store fail within, if there is a way to: the tests of it are skipped otherwise."""
        return None

    def records(self, link: Link) -> Iterable[AnyRecord]:
        """Read a run back. The default asks the backend's source."""
        return self.source(link).records(link.id)

    def source(self, link: Link) -> Source:
        """The backend's source for the place where a run lies."""
        if self.backend.source is None:
            pytest.skip("the backend has no source")
        source: Source = load_object(self.backend.source)(link.location)
        return source

    def locate(self, link: Link, artifact: Artifact, folder: Path) -> Path:
        """Where an artifact's content lies, perhaps after fetching it into `folder`."""
        if Path(artifact.file).exists():
            return Path(artifact.file)
        path: Path = self.source(link).fetch(link.id, artifact, folder)  # type: ignore[attr-defined]
        return path

    # -- what the tests use -------------------------------------------------------------------------------------------

    @pytest.fixture(autouse=True)
    def _impossible(self, request: pytest.FixtureRequest) -> None:
        name = request.node.name
        reason = self.impossible.get(name) or self.impossible.get(name.partition("[")[0])
        if reason:
            request.applymarker(pytest.mark.xfail(strict=True, reason=reason))

    @pytest.fixture
    def make_trial(self, tmp_path: Path, sink_options: dict[str, Any]) -> Iterator[MakeTrial]:
        """Makes runs in the store of the test. `root` and `folder` name the run folder; all else goes to `RunStart`."""
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
        """One run."""
        return make_trial()

    def read(self, trial: Trial) -> Contents:
        """What the backend holds of a run, files included."""
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
        """The run that ended is in the backend as it was logged, all of it and once; so says the account."""
        ledger = trial.ledger
        assert (ledger.state, ledger.dead_lettered, ledger.pending(trial.folder)) == ("complete", 0, 0)
        found = self.read(trial)
        assert_same(found, trial.logged, exact_floats=self.backend.exact_floats)
        return found
