"""Two runs of one name in one store: each has its own place there, in whatever order they open it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable

import msgspec
import pytest

from unitrack.delivery.lane.progress import Progress
from unitrack.testing.conformance.base import BackendTests, MakeTrial
from unitrack.testing.trial import Trial

MakePair = Callable[[str], tuple[Trial, Trial]]

_ROUNDS = 4
_PATIENCE_S = 120.0
"""Seconds: enough for two processes that import an SDK on a busy machine."""
_DELIVER = """
import sys
from pathlib import Path
import msgspec
from unitrack.delivery.lane.lane import Lane
from unitrack.delivery.lane.progress import Progress
from unitrack.runfolder.manifest import LaneSpec
from unitrack.plugins.options import load_object
from unitrack.runfolder.run_folder import RunFolder

folder = RunFolder(Path(sys.argv[1]))
lane = Lane(folder, msgspec.json.decode(sys.argv[2], type=LaneSpec), owner_is_here=True)
load_object(lane.spec.sink)
assert lane.acquire()
print("ready", flush=True)
sys.stdin.readline()
while (progress := lane.step()) is Progress.MADE:
    pass
lane.release()
sys.exit(0 if progress is Progress.DONE else f"{progress}: {lane.ledger.last_error}")
"""


class ClaimConformance(BackendTests):
    """Runs of one name that share a store are kept apart."""

    @pytest.fixture
    def make_pair(self, make_trial: MakeTrial) -> MakePair:
        """Return a function that makes two runs of one name, in folders of one name, with different contents."""

        def make(name: str) -> tuple[Trial, Trial]:
            pair = tuple(make_trial(root=place, folder=name, name=name) for place in ("first", "second"))
            for number, trial in enumerate(pair):
                trial.params({"number": number})
                for step in range(20):
                    trial.metrics({"loss": step / 8 + 100 * number}, step)
                trial.artifact("a.txt", f"of run {number}".encode())
            return pair[0], pair[1]

        return make

    def test_two_runs_of_one_name_at_once(self, make_pair: MakePair) -> None:
        """Two lanes of one process open the runs at the same moment, in several rounds."""
        for number in range(_ROUNDS):
            pair = make_pair(f"twin {number}")
            for trial in pair:
                trial.log_end()
            self._deliver_at_once(pair)
            self._check_both(pair)

    def test_two_runs_of_one_name_in_two_processes(self, make_pair: MakePair) -> None:
        """Two processes open the runs at the same moment, as on a shared disk or with one server."""
        pair = make_pair("twin")
        for trial in pair:
            trial.log_end()
            trial.crash()
        deliverers = [self._start(trial) for trial in pair]
        try:
            for one in deliverers:
                assert one.stdout is not None
                assert one.stdout.readline() == b"ready\n", one.communicate()[1].decode()
            for one in deliverers:
                assert one.stdin is not None
                one.stdin.write(b"\n")
                one.stdin.flush()
            told = [one.communicate(timeout=_PATIENCE_S)[1].decode() for one in deliverers]
        finally:
            for one in deliverers:
                one.kill()
                one.communicate()
        assert [one.returncode for one in deliverers] == [0, 0], told
        self._check_both(pair)

    def test_two_runs_of_one_name_in_turn(self, make_pair: MakePair) -> None:
        """Both runs are open at once: the second does not wait for the first."""
        first, second = make_pair("twin")
        for trial in (first, second, first, second):
            trial.metrics({"loss": 0.5}, 30)
            trial.deliver()
        for trial in (second, first):
            trial.end()
        self._check_both((first, second))

    def test_both_are_found_again(self, make_pair: MakePair) -> None:
        """Each run finds its place again, after a crash before any commit and after a resume in the other order."""
        first, second = make_pair("twin")
        for trial in (first, second):
            trial.deliver()
            trial.crash(commits=100)
        places = []
        for trial in (second, first):
            trial.deliver()
            places.append(trial.link)
            trial.end("killed")
            trial.resume()
        for trial, place in zip((second, first), places, strict=True):
            trial.metrics({"later": 1.0}, 21)
            trial.end()
            assert trial.link.id == place.id
        self._check_both((first, second))

    def _check_both(self, pair: tuple[Trial, Trial]) -> None:
        assert len({(trial.link.location, trial.link.id) for trial in pair}) == 2
        for trial in pair:
            self.check(trial)

    @staticmethod
    def _deliver_at_once(pair: tuple[Trial, Trial]) -> None:
        together, ends = threading.Barrier(len(pair)), []

        def deliver(trial: Trial) -> None:
            together.wait(_PATIENCE_S)
            ends.append(trial.deliver(tries=3))

        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)  # so that the two meet at more places
        try:
            threads = [threading.Thread(target=deliver, args=(trial,)) for trial in pair]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(_PATIENCE_S)
        finally:
            sys.setswitchinterval(interval)
        assert ends == [Progress.DONE, Progress.DONE]

    @staticmethod
    def _start(trial: Trial) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", _DELIVER, str(trial.folder.path), msgspec.json.encode(trial.spec).decode()]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}  # a plugin under test may lie anywhere
        pipe = subprocess.PIPE
        return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, env=environment)
