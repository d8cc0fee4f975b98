"""The conformance suite fails for a sink that breaks its promises, each time in the test that is about them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

SUITE = '''
import itertools

import msgspec

from unitrack import local
from unitrack.hookspecs import hookimpl
from unitrack.local.sink import LocalSink
from unitrack.local.source import LocalSource
from unitrack.records import Metrics
from unitrack.testing import SinkConformance


class Forgetful(LocalSink):
    """Appends behind what a crash left."""

    @hookimpl
    def open_run(self, run, checkpoint):
        path = run.folder / "metrics.jsonl"
        size = path.stat().st_size if path.exists() else 0
        return super().open_run(run, {**(checkpoint or {}), "metrics_bytes": size})


class Merging(LocalSink):
    """Knows no upper case."""

    @hookimpl
    def log_metrics(self, metrics):
        super().log_metrics([one.with_values({n.lower(): v for n, v in one.values().items()}) for one in metrics])


class Rounding(LocalSink):
    """Keeps twelve digits."""

    @hookimpl
    def log_metrics(self, metrics):
        rounded = ({n: float(f"{v:.12g}") for n, v in one.values().items()} for one in metrics)
        super().log_metrics([one.with_values(values) for one, values in zip(metrics, rounded)])


class Dropping(LocalSink):
    """Takes steps in order only."""

    highest = -1

    @hookimpl
    def log_metrics(self, metrics):
        for one in metrics:
            if one.step >= self.highest:
                self.highest = one.step
                super().log_metrics([one])


class Sharing(LocalSink):
    """Has one place for all runs of a name."""

    @hookimpl
    def open_run(self, run, checkpoint):
        place = run.folder.parent.parent / "store" / run.folder.name
        place.mkdir(parents=True, exist_ok=True)
        return super().open_run(msgspec.structs.replace(run, folder=place), checkpoint)

    @hookimpl
    def log_artifacts(self, artifacts):
        pass


class Sampling(LocalSource):
    """Gives every second point of a curve."""

    def history(self, run_id, metrics):
        return itertools.islice(super().history(run_id, metrics), 0, None, 2)


class Hasty(LocalSource):
    """Has the value logged last for that at the highest step."""

    def summary(self, run_id):
        last = {}
        for record in self.records(run_id):
            if isinstance(record, Metrics):
                last |= record.values()
        return msgspec.structs.replace(super().summary(run_id), last=last)


class Base(SinkConformance):
    plugin = local

    @property
    def backend(self):
        name = type(self).__name__.removeprefix("Test")
        return msgspec.structs.replace(local.register_backends()[0], sink=f"{__name__}:{name}")


class TestForgetful(Base):
    pass


class TestMerging(Base):
    pass


class TestRounding(Base):
    pass


class TestDropping(Base):
    pass


class TestSharing(Base):
    pass


class SourceBase(SinkConformance):
    plugin = local

    @property
    def backend(self):
        name = type(self).__name__.removeprefix("Test")
        return msgspec.structs.replace(local.register_backends()[0], source=f"{__name__}:{name}")


class TestSampling(SourceBase):
    pass


class TestHasty(SourceBase):
    pass


class TestLocalSink(Base):
    impossible = {"test_steps[backwards]": "which is not true"}


class TestBadlyNamed(Base):
    impossible = {"test_of_nothing": "there is no such test"}

    @property
    def backend(self):
        return local.register_backends()[0]
'''
EXPECTED = {
    "TestForgetful::test_every_commit_lost_once",
    "TestMerging::test_names_in_one_call",
    "TestRounding::test_value[a third]",
    "TestDropping::test_steps[backwards]",
    "TestDropping::test_every_commit_lost_once",  # of points out of order
    "TestSampling::test_history_is_what_the_records_hold",
    "TestHasty::test_summary_is_what_the_records_come_to",
    "TestSharing::test_two_runs_of_one_name_at_once",
    "TestSharing::test_two_runs_of_one_name_in_turn",
    "TestLocalSink::test_steps[backwards]",
    "TestBadlyNamed::test_impossible_names_tests",
}
CHOSEN = (
    "(TestSharing and one_name and not processes) or not TestSharing and not one_name and ("
    "every_commit_lost_once or names_in_one_call or third or (test_steps and backwards and not one_by) or impossible "
    "or summary or history)"
)


def test_each_broken_promise_is_found(root: Path) -> None:
    """And nothing else fails among the same tests."""
    (root / "test_suite.py").write_text(SUITE)
    environ = os.environ | {"PYTHONPATH": os.pathsep.join((str(root), os.environ.get("PYTHONPATH", "")))}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-k", CHOSEN]
    done = subprocess.run(command, cwd=root, env=environ, capture_output=True, text=True, timeout=120)
    failed = set(re.findall(r"^FAILED \S*?::(.*?)(?: - .*)?$", done.stdout, re.MULTILINE))
    assert failed == EXPECTED, done.stdout[-5000:]
    assert "Error" not in done.stderr
