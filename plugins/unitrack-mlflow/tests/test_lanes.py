"""Whole lanes against a real server: lost answers, a point that it refuses, a host name that it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow_proxy import Proxy
from sklearn.linear_model import LogisticRegression

from unitrack.delivery.lane.lane import Lane
from unitrack.delivery.lane.progress import Progress
from unitrack.delivery.report import SinkReport, read_report
from unitrack.journal import JournalWriter
from unitrack.media.models import save_model
from unitrack.records import Artifact, Metrics, Params, Record, RunEnd, RunStart, Tags
from unitrack.runfolder.manifest import LaneSpec, Manifest
from unitrack.runfolder.run_folder import RunFolder
from unitrack.system.processes import Owner
from unitrack.testing.driver import now_ms
from unitrack_mlflow import MlflowOptions, register_backends


class Bench:
    """A journal and the lane that delivers it, stepped by hand."""

    def __init__(self, root: Path, uri: str) -> None:
        self.folder = RunFolder.claim(root, "bench")
        self.journal = JournalWriter(self.folder.spool)
        self.project = f"project {root.name}"
        start = RunStart(seq=0, time=now_ms(), run_id=f"run-{root.name}", name="bench", project=self.project)
        (backend,) = register_backends()
        spec = LaneSpec.of("mlflow", backend, MlflowOptions(tracking_uri=uri))
        self.folder.write_manifest(Manifest(run=start, owner=Owner.current(self.journal.writer), sinks=(spec.entry,)))
        self.lane = Lane(self.folder, spec)
        assert self.lane.acquire()
        self.append(start)

    def append(self, record: Record) -> None:
        """Append a record with the next number."""
        self.journal.copy(record)

    def points(self, *steps: int) -> None:
        """Points of the metric "loss"."""
        for step in steps:
            self.append(Metrics(seq=0, time=now_ms(), step=step, metrics={"loss": step / 2}))

    def deliver(self, tries: int = 0) -> Progress:
        """Step until the lane is done or waits; so many waits are cut short."""
        while True:
            progress = self.lane.step()
            if progress is Progress.WAITING and tries:
                tries -= 1
                self.lane.retry_now()
            elif progress is not Progress.MADE:
                return progress

    @property
    def report(self) -> SinkReport:
        """The account of the sink."""
        return read_report(self.folder)["mlflow"]

    def stored(self, client: MlflowClient) -> Run:
        """The run as the server has it, the only one."""
        experiment = client.get_experiment_by_name(self.project)
        (run,) = client.search_runs([experiment.experiment_id])
        return run


def test_lost_answers_double_nothing(proxy: Proxy, server: str, tmp_path: Path) -> None:
    bench = Bench(tmp_path, proxy.url)
    bench.append(Params(seq=0, time=now_ms(), params={"lr": 0.1}))
    bench.points(*range(50))
    bench.append(Tags(seq=0, time=now_ms(), tags={"team": "vision"}))
    samples = np.arange(20.0).reshape(10, 2)
    file = save_model(LogisticRegression().fit(samples, samples[:, 0] > 9), bench.folder.spool)
    place = file.relative_to(bench.folder.path).as_posix()
    bench.append(Artifact(seq=0, time=now_ms(), name="model/model.skops", file=place, type="model"))
    bench.append(RunEnd(seq=0, time=now_ms(), status="finished"))
    lost = ["experiments/create$", "runs/create$", "runs/log-batch$", "runs/log-batch$", "runs/log-batch$"]
    lost += ["PUT .*/mlflow-artifacts/", "PUT .*/index/", "POST .*/logged-models$", "runs/outputs$", "runs/update$"]
    proxy.losing = list(lost)

    assert bench.deliver(tries=len(lost)) is Progress.DONE
    bench.lane.release()

    assert proxy.losing == []
    assert (bench.report.state, bench.report.pending, bench.report.dead_lettered) == ("complete", 0, 0)
    client = MlflowClient(server)
    run = bench.stored(client)
    history = client.get_metric_history(run.info.run_id, "loss")
    assert sorted((point.step, point.value) for point in history) == [(step, step / 2) for step in range(50)]
    assert run.data.params == {"lr": "0.1"}
    assert (run.data.tags["team"], run.info.status) == ("vision", "FINISHED")
    assert [info.path for info in client.list_artifacts(run.info.run_id)] == ["model", "unitrack"]
    (model,) = client.search_logged_models([run.info.experiment_id])
    assert [output.model_id for output in run.outputs.model_outputs] == [model.model_id]
    assert model.status == "READY"


def test_one_point_that_the_server_refuses_costs_itself_alone(server: str, tmp_path: Path) -> None:
    bench = Bench(tmp_path, server)
    bench.points(*range(499))
    bench.append(Metrics(seq=0, time=-5, step=499, metrics={"loss": 7.0}))  # of a clock before 1970
    bench.points(*range(500, 1000))
    bench.append(RunEnd(seq=0, time=now_ms(), status="finished"))

    assert bench.deliver() is Progress.DONE
    bench.lane.release()

    assert (bench.report.state, bench.report.dead_lettered) == ("complete", 1)
    (letter,) = bench.folder.dead_letter_file("mlflow").read_text().splitlines()
    assert json.loads(letter)["record"]["step"] == 499
    assert "timestamp" in json.loads(letter)["error"]
    client = MlflowClient(server)
    history = client.get_metric_history(bench.stored(client).info.run_id, "loss")
    assert sorted(point.step for point in history) == [*range(499), *range(500, 1000)]


def test_a_refused_host_name_parks_and_nothing_is_lost(proxy: Proxy, server: str, tmp_path: Path) -> None:
    proxy.host = "tracking.example"
    bench = Bench(tmp_path, proxy.url)
    bench.points(*range(20))
    bench.append(RunEnd(seq=0, time=now_ms(), status="finished"))

    assert bench.deliver() is Progress.WAITING
    report = bench.report
    assert (report.state, report.delivered, report.pending, report.dead_lettered) == ("parked", 0, 22, 0)
    assert "MLFLOW_SERVER_ALLOWED_HOSTS" in (report.last_error or "")

    proxy.host = proxy.upstream  # somebody mended it
    bench.lane.retry_now()
    assert bench.deliver() is Progress.DONE
    bench.lane.release()
    client = MlflowClient(server)
    assert len(client.get_metric_history(bench.stored(client).info.run_id, "loss")) == 20
