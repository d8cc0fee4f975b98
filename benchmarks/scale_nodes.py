"""Some of the nodes of `scale.py`, in one process: `python scale_nodes.py SPEC`, with the spec as JSON.

A node of "unitrack" is a run folder with a journal, and the lane that delivers it with the real sink of MLflow, in a
thread: what its courier is. A journal that was recorded by `log_metrics` is replayed into it, each record when it is
due. A node of "log_metrics" is a thread with the plain client that makes a call each step, and one of "log_batch" makes
a call each `EACH_STEPS` steps. Requests are measured where they leave: in the adapter of `requests`.
"""

from __future__ import annotations

import heapq
import os
import random
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import msgspec

Client = Literal["unitrack", "log_metrics", "log_batch"]
EACH_STEPS = 10
"""How many steps a careful user of `log_batch` gathers before a call."""
LEAST_THREADS = 64


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """What one process simulates."""

    client: Client
    url: str
    experiment: str
    folder: str
    nodes: list[int]
    """Their numbers, which are in the values of their points."""
    crowd: int
    """How many nodes there are in all, as a launcher tells it; 1: it tells nothing."""
    launch: float
    """Seconds within which the launcher starts all nodes."""
    steps: int
    interval: float
    """Seconds between two steps."""
    metrics: int
    """Metrics of a step."""
    limit: float
    """Seconds after which the process ends, whatever is missing."""


class Told(msgspec.Struct, kw_only=True):
    """What one process has seen."""

    requests: list[tuple[float, float, int, int]] = []
    """Begin (seconds since the start), seconds, status (0: no answer), points: of each request."""
    calls: list[float] = []
    """Seconds that the log calls took on the thread of training."""
    pauses: list[float] = []
    """Seconds of each pause after a failure."""
    done: list[float] = []
    """Seconds since the start at which each node had everything delivered."""
    errors: list[str] = []
    """Errors that the plain client raised, the first ones."""
    failed: int = 0
    """Log calls that raised."""


told = Told()


def value_of(node: int, step: int, metric: int) -> float:
    """The value of a point, which no other point has."""
    return node + step / 2**10 + metric / 2**20


def main() -> None:
    """Wait for a line with the time of the start, simulate the nodes, print what was seen."""
    spec = msgspec.json.decode(sys.argv[1], type=Spec)
    os.environ["MLFLOW_HTTP_POOL_MAXSIZE"] = str(len(spec.nodes) + LEAST_THREADS)  # a node shares its one with nobody
    _measure_requests()
    go = _unitrack(spec) if spec.client == "unitrack" else _plain(spec)
    print("ready", flush=True)
    start = float(sys.stdin.readline())
    time.sleep(max(0.0, start - time.time()))
    go(time.monotonic(), time.monotonic() + spec.limit)
    print(msgspec.json.encode(told).decode(), flush=True)
    os._exit(0)  # threads of the plain client may wait for minutes


def _measure_requests() -> None:
    from requests.adapters import HTTPAdapter

    send = HTTPAdapter.send

    def measured(self: HTTPAdapter, request: Any, *args: Any, **more: Any) -> Any:
        body = request.body if isinstance(request.body, bytes) else (request.body or "").encode()
        points = body.count(b'"timestamp"')
        began = time.monotonic()
        status = 0
        try:
            answer = send(self, request, *args, **more)
            status = answer.status_code
            return answer
        finally:
            told.requests.append((began, time.monotonic() - began, status, points))

    HTTPAdapter.send = measured  # type: ignore[method-assign]


def _launches(spec: Spec) -> dict[int, float]:
    """When each node starts: a launcher reaches all within `launch` seconds, in no order."""
    return {node: random.Random(node).uniform(0, spec.launch) for node in spec.nodes}


# -- unitrack ---------------------------------------------------------------------------------------------------------


def _unitrack(spec: Spec) -> Callable[[float, float], None]:
    from runs import start

    from unitrack.delivery.lane import failures
    from unitrack.delivery.lane.lane import Lane
    from unitrack.delivery.lane.thread import LaneThread
    from unitrack.journal import JournalWriter
    from unitrack.plugins.options import load_object, make_lane
    from unitrack.plugins.registry import installed
    from unitrack.records import AnyRecord, Metrics, RunEnd, RunStart
    from unitrack.runfolder.manifest import Manifest
    from unitrack.runfolder.run_folder import RunFolder
    from unitrack.system.processes import Owner

    template = _recorded(spec, start)
    lane = make_lane("mlflow", installed().backend("mlflow"), {"tracking_uri": spec.url})
    load_object(lane.sink)  # a courier imports MLflow before it opens a run
    journals: dict[int, JournalWriter] = {}
    threads: dict[int, LaneThread] = {}
    now = time.time_ns() // 1_000_000
    for node in spec.nodes:
        folder = RunFolder.claim(Path(spec.folder), f"node-{node}")
        journal = JournalWriter(folder.spool)
        begun = RunStart(seq=0, time=now, run_id=f"node-{node}", name=f"node-{node}", project=spec.experiment)
        owner = Owner.current(journal.writer)
        folder.write_manifest(Manifest(run=begun, owner=owner, sinks=(lane.entry,)))
        journal.copy(begun)
        journals[node] = journal
        one = Lane(folder, lane, owner_is_here=True)
        threads[node] = LaneThread(one, **({"crowd": spec.crowd} if spec.crowd > 1 else {}))
    _measure_pauses(failures.Failures)

    def replay(node: int, record: AnyRecord) -> None:
        fields: dict[str, Any] = {"time": time.time_ns() // 1_000_000}
        if isinstance(record, Metrics):
            numbers = enumerate(record.metrics)
            fields["metrics"] = {name: value_of(node, record.step, number) for number, name in numbers}
        began = time.perf_counter()
        journals[node].copy(msgspec.structs.replace(record, **fields))
        told.calls.append(time.perf_counter() - began)
        if isinstance(record, RunEnd):
            journals[node].close()
            threads[node].drain()

    def go(start: float, end: float) -> None:
        due = [(start + launch, node, -1) for node, launch in _launches(spec).items()]
        heapq.heapify(due)
        watcher = threading.Thread(target=_watch, args=(threads, start, end), daemon=True)
        watcher.start()
        while due and time.monotonic() < end:
            at, node, number = heapq.heappop(due)
            time.sleep(max(0.0, at - time.monotonic()))
            if number < 0:
                threads[node].start()
            else:
                replay(node, template[number])
            if number + 1 < len(template):
                heapq.heappush(due, (at + spec.interval, node, number + 1))
        watcher.join(max(0.0, end - time.monotonic()))
        for thread in threads.values():
            thread.stop()

    return go


def _recorded(spec: Spec, start: Any) -> list[Any]:
    """The journal of one node, as `log_metrics` wrote it, but for its first record."""
    import warnings

    from runs import NoDelivery

    from unitrack.journal import JournalReader, find_writers
    from unitrack.runfolder.run_folder import RunFolder

    run = start(Path(spec.folder) / "recorded", ["local"], NoDelivery)
    for step in range(spec.steps):
        run.log_metrics({f"metric{number}": float(step) for number in range(spec.metrics)}, step=step)
    with warnings.catch_warnings(action="ignore"):  # that nothing has arrived
        run.finish(timeout=0)
    folder = RunFolder(run.path)
    [writer] = find_writers(folder.spool)
    reader, records = JournalReader(folder.spool, writer), []
    while chunk := reader.read(is_over=True).records:
        records += chunk
    reader.close()
    return records[1:]


def _watch(threads: dict[int, Any], start: float, end: float) -> None:
    """Note when each lane is done."""
    left = dict(threads)
    while left and time.monotonic() < end:
        for node, thread in list(left.items()):
            if thread.ident is not None and not thread.is_alive():
                told.done.append(time.monotonic() - start)
                del left[node]
        time.sleep(0.05)


def _measure_pauses(failures: Any) -> None:
    for name in ("note", "pause_in_place"):
        real = getattr(failures, name)

        def measured(self: Any, *args: Any, real: Any = real) -> Any:
            answer = real(self, *args)
            if answer is not False:
                told.pauses.append(self._pause_ends - time.monotonic())
            return answer

        setattr(failures, name, measured)


# -- the plain client -------------------------------------------------------------------------------------------------


def _plain(spec: Spec) -> Callable[[float, float], None]:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

    client = MlflowClient(spec.url)
    experiment = client.get_experiment_by_name(spec.experiment).experiment_id

    def call(made: Callable[[], object]) -> None:
        began = time.perf_counter()
        try:
            made()
        except Exception as error:
            told.failed += 1
            if len(told.errors) < 3:
                told.errors.append(f"{type(error).__name__}: {error}"[:300])
        told.calls.append(time.perf_counter() - began)

    def train(node: int, launched: float, start: float, end: float) -> None:
        time.sleep(max(0.0, launched - time.monotonic()))
        try:
            run = client.create_run(experiment, run_name=f"node-{node}", tags={"unitrack.run_id": f"node-{node}"})
        except Exception as error:  # here the training of a user would have died
            told.failed += 1
            told.errors.append(f"create_run: {type(error).__name__}: {error}"[:300])
            return
        run_id, gathered = run.info.run_id, []
        for step in range(spec.steps):
            if time.monotonic() >= end:
                return
            time.sleep(max(0.0, launched + (step + 1) * spec.interval - time.monotonic()))
            now = time.time_ns() // 1_000_000
            gathered += [Metric(f"metric{n}", value_of(node, step, n), now, step) for n in range(spec.metrics)]
            if spec.client == "log_batch" and len(gathered) < EACH_STEPS * spec.metrics and step + 1 < spec.steps:
                continue
            points, gathered = gathered, []
            if spec.client == "log_batch":
                call(lambda: client.log_batch(run_id, metrics=points, synchronous=True))  # noqa: B023  # called at once
            else:
                call(lambda: [client.log_metric(run_id, p.key, p.value, p.timestamp, p.step) for p in points])  # noqa: B023
        call(lambda: client.set_terminated(run_id))
        told.done.append(time.monotonic() - start)

    def go(start: float, end: float) -> None:
        threads = [
            threading.Thread(target=train, args=(node, start + launch, start, end), daemon=True)
            for node, launch in _launches(spec).items()
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))

    return go


if __name__ == "__main__":
    main()
