"""What training feels of a sink in trouble: the benchmark's figures, and that it measures what it says."""

from __future__ import annotations

from pathlib import Path

import pytest
from unitrack_tests.faults import FULL, figure

from unitrack.delivery.report import read_report
from unitrack.runfolder.find import find_run_folders

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SHORT = ("a sink that is well", "segfault")


def test_a_sink_in_trouble_is_not_felt(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every call returned and is accounted for; how long it took is printed, and not judged: machines are noisy."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    import bad_backends

    troubles = bad_backends.TROUBLES if FULL else {name: bad_backends.TROUBLES[name] for name in SHORT}
    rounds, calls = (9, 2000) if FULL else (2, 100)
    felt = bad_backends.measure(root, troubles, rounds, calls)
    assert list(felt) == [bad_backends.NONE, *troubles]
    for row, times in felt.items():
        assert 0 < times.p50 <= times.p99
        figure(
            "What the caller feels",
            row,
            p50_µs=round(times.p50, 2),
            p99_µs=round(times.p99, 1),
            p50_against_none=f"x {times.p50_ratio:.2f}",
            p99_against_none=f"x {times.p99_ratio:.2f}",
        )
    for name in troubles:
        (folder,) = find_run_folders(root / name)
        account = read_report(folder)["local"]
        logged = account.delivered + account.dead_lettered + account.pending
        assert logged == rounds * calls + 3, (name, account)  # with the call that met the trouble, start and end
