"""Whole runs over a wire in every trouble: MLflow has everything once afterwards, and the sink beside it all along."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow_proxy import Proxy, Trouble, answering, black_hole, for_a_while, one_byte_a_second, too_large
from unitrack_tests.faults import FULL, figure

import unitrack
from unitrack import limits
from unitrack.delivery.report import SinkReport, read_report
from unitrack.local.source import LocalSource
from unitrack.records import Metrics
from unitrack.runfolder.run_folder import RunFolder

pytestmark = pytest.mark.faults

TABLE = "Bad wires"
POINTS = 60
PATIENCE = 60.0
HTML = b"<html><body>Please log in to the hotel's network</body></html>"

RETRIED: list[tuple[str, Trouble, str]] = [
    ("black hole", black_hole, "did not answer in time"),
    ("500", answering(500), "500"),
    ("500 five times", for_a_while(answering(500), 5), "500"),
    ("503", answering(503), "503"),
    ("429, Retry-After: 1", answering(429, Retry_After="1"), "429"),
    ("200 with a web page", answering(200, HTML), "not in a valid JSON format"),
    ("200 with half of an answer", answering(200, b'{"run": {"in', length=500), ""),
]
SWALLOWED: list[tuple[str, Trouble, str]] = [
    ("200 with nothing", answering(200), "not as MLflow does"),
    ("200 with other JSON", answering(200, b'{"hello": [1]}'), "not as MLflow does"),
]
"""What MLflow's own client takes for a yes. In the middle of a run nothing can tell it from one."""
PARKED: list[tuple[str, Trouble, str]] = [
    ("401", answering(401), "MLFLOW_TRACKING_TOKEN"),
    ("403", answering(403), "credentials"),
    ("404", answering(404), "is this URL an MLflow server"),
    ("413 for everything", answering(413), "413"),
]


CASES = [("at the start", *case) for case in (*RETRIED, *PARKED, *SWALLOWED)]
CASES += [("in the middle", *case) for case in (*RETRIED, *PARKED)]
if not FULL:
    CASES = CASES[::5]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Back-off as short as a test."""
    for name, value in {
        "RETRY_FIRST_S": 0.05,
        "RETRY_MAX_S": 0.3,
        "PARKED_RETRY_S": 1.5,
        "IN_PLACE_WANTED_S": 3.0,
    }.items():
        monkeypatch.setattr(limits, name, value)


class Trained:
    """A run of local files and MLflow behind a proxy, logged and not finished."""

    def __init__(self, root: Path, proxy: Proxy) -> None:
        sinks: list[Any] = ["local", {"mlflow": {"tracking_uri": proxy.url, "request_timeout": 1}}]
        self.project = f"project {root.name}"
        self.run = unitrack.start_run("a", project=self.project, sinks=sinks, root=root / "runs", delivery="thread")

    def log(self, first: int, last: int) -> None:
        for step in range(first, last):
            self.run.log_metrics({"loss": step / 7}, step=step)

    @property
    def report(self) -> SinkReport:
        return read_report(RunFolder(self.run.path))["mlflow"]

    def wait(self, state: str) -> SinkReport:
        deadline = time.monotonic() + PATIENCE
        while self.report.state != state:
            assert time.monotonic() < deadline, self.report
            time.sleep(0.02)
        return self.report

    def finish(self, row: str, server: str) -> SinkReport:
        """The account at the end; both sinks hold all points once."""
        report = self.run.finish(timeout=PATIENCE)
        bad, other = report["mlflow"], report["local"]
        figure(
            TABLE,
            f"MLflow, {row}",
            records=bad.delivered + bad.dead_lettered + bad.pending,
            delivered=bad.delivered,
            **{"dead-lettered": bad.dead_lettered},
            pending=bad.pending,
            in_the_other_sink=other.delivered,
        )
        assert other.ok and other.state == "complete", other
        assert [(r.step, r.metrics["loss"]) for r in self._local() if "loss" in r.metrics] == EXPECTED
        client = MlflowClient(server)
        (stored,) = client.search_runs([client.get_experiment_by_name(self.project).experiment_id])
        history = client.get_metric_history(stored.info.run_id, "loss")
        assert sorted((point.step, point.value) for point in history) == EXPECTED
        assert stored.info.status == "FINISHED"
        return bad

    def _local(self) -> Iterator[Metrics]:
        return (r for r in LocalSource(str(self.run.path)).records("a") if isinstance(r, Metrics))


EXPECTED = [(step, step / 7) for step in range(POINTS)]


@pytest.mark.filterwarnings("ignore::unitrack.DeliveryWarning")
@pytest.mark.parametrize(("begins", "row", "trouble", "says"), CASES, ids=[f"{case[1]}, {case[0]}" for case in CASES])
def test_trouble_that_ends(
    proxy: Proxy, server: str, tmp_path: Path, begins: str, row: str, trouble: Trouble, says: str
) -> None:
    """It is told in the account, and when it is over everything is there once."""
    if begins == "at the start":
        proxy.trouble = trouble
        trained = Trained(tmp_path, proxy)
    else:
        trained = Trained(tmp_path, proxy)
        trained.log(0, POINTS // 2)
        assert trained.run.flush(timeout=PATIENCE).ok
        proxy.trouble = trouble
    trained.log(len(EXPECTED) - POINTS // 2 if begins == "in the middle" else 0, POINTS)
    if not row.endswith("times"):
        is_parked = (row, trouble, says) in PARKED
        told = trained.wait("parked" if is_parked else "retrying")
        assert says in (told.last_error or ""), told
        assert told.dead_lettered == 0
        assert told.pending > POINTS // 3
        proxy.heal()
        if is_parked:  # `finish` does not wait for it
            trained.wait("delivering")
    bad = trained.finish(row, server)
    assert proxy.troubled
    assert (bad.state, bad.pending, bad.dead_lettered) == ("complete", 0, 0), bad


@pytest.mark.filterwarnings("ignore::unitrack.DeliveryWarning")
def test_a_server_that_is_down_at_the_start(server: str, tmp_path: Path) -> None:
    proxy = Proxy(server, listening=False)
    trained = Trained(tmp_path, proxy)
    trained.log(0, POINTS)
    assert "refuses connections" in (trained.wait("retrying").last_error or "")
    proxy.server_activate()
    with proxy.serving():
        assert trained.finish("refused", server).ok


@pytest.mark.filterwarnings("ignore::unitrack.DeliveryWarning")
def test_one_byte_a_second_holds_one_call_and_nothing_else(proxy: Proxy, server: str, tmp_path: Path) -> None:
    """No pause in it is a time-out, so the call goes on until the watchdog ends it; the other sink goes on."""
    proxy.trouble = one_byte_a_second
    trained = Trained(tmp_path, proxy)
    trained.log(0, POINTS)
    deadline = time.monotonic() + PATIENCE
    while not read_report(RunFolder(trained.run.path))["local"].delivered > POINTS:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert trained.report.delivered == 0
    assert trained.report.pending == POINTS + 1
    proxy.heal()
    assert trained.finish("one byte a second", server).ok


@pytest.mark.filterwarnings("ignore::unitrack.DeliveryWarning")
def test_answers_that_are_lost_after_the_commit(proxy: Proxy, server: str, tmp_path: Path) -> None:
    lost = ["experiments/create$", "runs/create$", "runs/log-batch$", "runs/log-batch$", "runs/update$"]
    proxy.losing = list(lost)
    trained = Trained(tmp_path, proxy)
    trained.log(0, POINTS)
    assert trained.finish("committed, and the answer lost", server).ok
    assert proxy.losing == []


@pytest.mark.filterwarnings("ignore::unitrack.DeliveryWarning")
def test_a_batch_that_is_too_large_goes_in_pieces(proxy: Proxy, server: str, tmp_path: Path) -> None:
    """413 for more than 2,000 bytes: twenty points pass, one param that is larger by itself is a dead letter."""
    proxy.trouble = too_large(2000)
    trained = Trained(tmp_path, proxy)
    trained.run.log_params({"small": 1})
    trained.run.log_params({"large": "x" * 4000})
    trained.log(0, POINTS)
    bad = trained.finish("413 for large requests", server)
    assert proxy.troubled
    assert (bad.state, bad.pending, bad.dead_lettered) == ("complete", 0, 1), bad
    letter = (trained.run.path / ".unitrack" / "mlflow.dead.jsonl").read_text()
    assert "413" in letter and '"large"' in letter
