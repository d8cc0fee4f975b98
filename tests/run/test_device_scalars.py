"""Scalars on a device: no log call reads them; what comes of them is as if it had."""

from __future__ import annotations

import os
import pickle
import threading
import time
import warnings
import weakref
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from unitrack_tests.device import Device

import unitrack
from unitrack.journal import JournalReader, find_writers
from unitrack.local.source import LocalSource
from unitrack.records import Metrics, Params, RunStart, Tags
from unitrack.run import device_reader
from unitrack.runfolder.run_folder import RunFolder
from unitrack.values.device import is_on_device

NAN = float("nan")


def start(root: Path, **safeguards: Any) -> unitrack.Run:
    return unitrack.start_run(
        "a", sinks=["local"], root=root / "runs", delivery="thread", config={"safeguards": safeguards}
    )


def logged(run: unitrack.Run) -> list[Metrics]:
    return [record for record in LocalSource(str(run.path)).records(run.path.name) if isinstance(record, Metrics)]


def points(run: unitrack.Run) -> list[tuple[int, dict[str, float]]]:
    return [(record.step, record.values()) for record in logged(run)]


def in_journal(run: unitrack.Run, kind: type) -> list[Any]:
    spool = RunFolder(run.path).spool
    chunks = [JournalReader(spool, writer).read() for writer in find_writers(spool)]
    return [record for chunk in chunks for record in chunk.records if isinstance(record, kind)]


def readers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "unitrack-device-reader"]


def wait_until(happened: Any) -> None:
    deadline = time.monotonic() + 30
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def like(**attributes: Any) -> Any:
    return type("Like", (), attributes)()


def item(self: Any) -> float:
    raise AssertionError("read")


@pytest.mark.parametrize(
    "value",
    [
        like(item=item, device="cuda:0"),
        like(item=item, device=SimpleNamespace(type="mps")),
        like(__float__=item, device="xpu"),
        like(item=item, device="/job:localhost/replica:0/task:0/device:GPU:0"),
        like(item=item, device="cpu:0", block_until_ready=item),  # JAX on the CPU computes asynchronously, too
        like(item=item),  # MLX
    ],
)
def test_what_may_block_is_on_a_device(value: Any) -> None:
    """By its attributes alone: torch and JAX need not be there."""
    assert is_on_device(value)


@pytest.mark.parametrize(
    "value",
    [
        1,
        0.5,
        True,
        None,
        "0.5",
        Decimal(1),
        np.float32(0.5),
        np.array(0.5),
        np.float64(0.5),
        like(item=item, device=SimpleNamespace(type="cpu")),
        like(item=item, device="cpu"),
        like(__float__=item, device="/job:localhost/replica:0/task:0/device:CPU:0"),
        like(__float__=item),
        like(device="cuda:0"),
        [1.0],
    ],
)
def test_what_is_in_memory_is_on_none(value: Any) -> None:
    """It is read at once, as ever."""
    assert not is_on_device(value)


def test_no_call_reads_and_all_values_arrive_in_order(root: Path) -> None:
    """The device stands still until every call has returned."""
    device = Device(is_open=False)
    run = start(root)
    for step in range(100):
        run.log_metrics({"loss": device.scalar(step / 7)}, step=step)
    assert device.reads == []
    device.open.set()
    assert run.finish().ok
    assert device.reads == [step / 7 for step in range(100)]
    assert len(device.readers) == 1
    assert threading.get_ident() not in device.readers
    assert points(run) == [(step, {"loss": step / 7}) for step in range(100)]
    wait_until(lambda: not readers())


def test_time_and_step_are_those_of_the_call(root: Path) -> None:
    """A plain call is in the journal when it returns, whatever one before it waits for."""
    device = Device(is_open=False)
    run = start(root)
    before = time.time_ns() // 1_000_000
    run.log_metrics({"loss": device.scalar(0.5)})
    run.log_metrics({"lr": 0.1})
    after = time.time_ns() // 1_000_000
    (plain,) = in_journal(run, Metrics)
    assert plain.metrics == {"lr": 0.1}
    time.sleep(0.02)
    device.open.set()
    assert run.finish().ok
    early, late = sorted(logged(run), key=lambda record: record.seq)
    assert (late.step, late.metrics) == (0, {"loss": 0.5})
    assert (early.step, early.metrics) == (1, {"lr": 0.1})
    assert late.seq - 1 == early.seq == plain.seq  # numbers have no gaps, and are those of the lines
    assert before <= late.time <= after


def test_a_mixed_call_is_one_record(root: Path) -> None:
    """In the order of its names."""
    device = Device()
    run = start(root)
    run.log_metrics({"loss": device.scalar(0.5), "lr": 0.1, "n": np.float32(3), "acc": device.scalar(1)}, step=4)
    assert run.finish().ok
    (record,) = logged(run)
    assert list(record.metrics.items()) == [("loss", 0.5), ("lr", 0.1), ("n", 3.0), ("acc", 1.0)]


def test_the_graph_is_not_kept_alive(root: Path) -> None:
    """Only a copy of the value is held, and not even that once it is read."""
    device = Device(is_open=False)
    run = start(root)
    scalar = device.scalar(0.5)
    original, graph = weakref.ref(scalar), weakref.ref(scalar.graph)
    run.log_metrics({"loss": scalar})
    del scalar
    assert original() is None
    assert graph() is None
    device.open.set()
    assert run.finish().ok


def test_a_later_change_in_place_does_not_reach_the_point(root: Path) -> None:
    """A running mean that is set to zero after each epoch, say."""
    device = Device(is_open=False)
    run = start(root)
    total = device.scalar(7.0)
    run.log_metrics({"total": total})
    total.fill_(0.0)
    device.open.set()
    assert run.finish().ok
    assert points(run) == [(0, {"total": 7.0})]


@pytest.mark.parametrize(
    "call",
    [
        lambda run: run.log_metrics({"lr": 0.1}, step=9),
        lambda run: run.log_params({"lr": 0.1}),
        lambda run: run.set_tags({"team": "vision"}),
        lambda run: run.flush(),
        lambda run: run.finish(),
    ],
)
def test_a_refused_value_raises_at_the_next_call(root: Path, call: Any) -> None:
    """Once, naming metric and step; the call that raises has done its own work."""
    device = Device()
    run = start(root)
    run.log_metrics({"fine": device.scalar(0.5)}, step=2)
    run.log_metrics({"loss": device.scalar(NAN)}, step=3)
    wait_until(lambda: len(device.reads) == 2 and not run._parts.metrics.unread)
    with pytest.raises(
        unitrack.InvalidValueError, match=r"'loss' is NaN or Inf \(nan at step 3\).*an earlier call, at step 3"
    ):
        call(run)
    assert run.finish().ok
    assert points(run)[0] == (2, {"fine": 0.5})


def test_the_call_that_raises_for_another_is_recorded(root: Path) -> None:
    """All three kinds."""
    device = Device()
    run = start(root)
    calls = [
        lambda: run.log_metrics({"lr": 0.1}, step=9),
        lambda: run.log_params({"depth": 4}),
        lambda: run.set_tags({"team": "vision"}),
    ]
    for number, call in enumerate(calls, 1):
        run.log_metric("loss", device.scalar(NAN))
        wait_until(lambda number=number: len(device.reads) == number and not run._parts.metrics.unread)
        with pytest.raises(ValueError, match="earlier call"):
            call()
    assert run.finish().ok
    found = list(LocalSource(str(run.path)).records(run.path.name))
    assert {"lr": 0.1} in [record.metrics for record in found if isinstance(record, Metrics)]
    assert {"depth": 4} in [record.params for record in found if isinstance(record, Params)]
    assert {"team": "vision"} in [record.tags for record in found if isinstance(record, Tags | RunStart)]


def test_policies_hold(root: Path) -> None:
    """drop, keep, and warn, as for plain values."""
    found = {}
    for policy in ("drop", "keep", "warn"):
        with warnings.catch_warnings(record=True, action="always") as caught:
            run = start(root, non_finite=policy)
            run.log_metrics({"loss": Device().scalar(NAN), "lr": 0.1}, step=1)
            run.finish()
        found[policy] = (str(points(run)), [str(warning.message) for warning in caught])
    kept = "[(1, {'lr': 0.1, 'loss': nan})]"
    assert found == {
        "drop": ("[(1, {'lr': 0.1})]", []),
        "keep": (kept, []),
        "warn": (kept, ["metric 'loss' is nan at step 1"]),
    }


@pytest.mark.parametrize(("policy", "kept"), [("reject", []), ("keep_rest", [(1, {"lr": 0.1})])])
def test_the_rest_of_a_refused_call(root: Path, policy: str, kept: list[Any]) -> None:
    """Is kept or not, as `on_invalid` says."""
    run = start(root, on_invalid=policy)
    run.log_metrics({"loss": Device().scalar(NAN), "lr": 0.1}, step=1)
    with pytest.raises(ValueError, match="'loss' is NaN"):
        run.finish()
    assert run.finish().ok
    assert points(run) == kept


def test_what_can_be_known_at_the_call_raises_at_the_call(root: Path) -> None:
    """Names, shapes, plain values beside it, steps: without a read."""
    device = Device()
    run = start(root)
    wide = device.scalar(0.5)
    wide.shape = (2,)
    for metrics, step, error in [
        ({"": device.scalar(0.5)}, 0, ValueError),
        ({"loss": wide}, 0, TypeError),
        ({"loss": device.scalar(0.5), "lr": "0.1"}, 0, TypeError),
        ({"loss": device.scalar(0.5), "lr": NAN}, 0, ValueError),
        ({"loss": device.scalar(0.5)}, -1, ValueError),
    ]:
        with pytest.raises(error):
            run.log_metrics(metrics, step=step)
    assert run.finish().ok
    assert device.reads == []
    assert points(run) == []


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (
            RuntimeError("CUDA error: an illegal memory access"),
            ValueError,
            "'loss' can't be read.*illegal memory.*step 3",
        ),
        (SystemExit(3), ValueError, "'loss' can't be read from its device: SystemExit: 3"),
        (True, TypeError, "'loss' must be numeric, got an array of bool|got the bool True"),
        ("0.5", TypeError, "'loss' must be numeric, got str"),
        (1j, TypeError, "'loss' must be numeric, got complex"),
    ],
)
def test_what_is_no_number_is_told_by_name_and_costs_only_itself(
    root: Path, value: Any, error: type[Exception], message: str
) -> None:
    """The calls after it arrive."""
    device = Device()
    run = start(root)
    run.log_metrics({"loss": device.scalar(value)}, step=3)
    run.log_metrics({"loss": device.scalar(0.5)}, step=4)
    with pytest.raises(error, match=message):
        run.flush()
    assert run.finish().ok
    assert points(run) == [(4, {"loss": 0.5})]


def test_further_failures_are_counted(root: Path) -> None:
    """The first is raised; a note says how many there are."""
    device = Device()
    run = start(root)
    with run._parts.recorder.lock:  # so that none is told before all are logged
        for step in range(5):
            run.log_metrics({"loss": device.scalar(NAN)}, step=step)
    with pytest.raises(ValueError, match="step 0") as caught:
        run.finish()
    assert caught.value.__notes__ == ["4 more calls with device scalars were refused since"]


def test_an_error_at_hand_is_not_hidden(root: Path) -> None:
    """What ends the `with` block stays what it is, and has the other as a note."""
    with pytest.raises(ZeroDivisionError) as caught, start(root) as run:
        run.log_metrics({"loss": Device().scalar(NAN)})
        raise ZeroDivisionError
    assert "'loss' is NaN" in caught.value.__notes__[0]


def test_training_waits_when_it_is_too_far_ahead(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded: the next call waits for the device then."""
    monkeypatch.setattr(device_reader, "MAX_UNREAD_CALLS", 4)
    device = Device(is_open=False)
    run = start(root)
    returned = []

    def train() -> None:
        for step in range(50):
            run.log_metrics({"loss": device.scalar(step)}, step=step)
            returned.append(step)

    thread = threading.Thread(target=train)
    thread.start()
    wait_until(lambda: len(returned) >= 4)
    time.sleep(0.1)
    assert len(returned) <= 5  # four wait, one is being read
    device.open.set()
    thread.join(30)
    assert run.finish().ok
    assert points(run) == [(step, {"loss": float(step)}) for step in range(50)]


def test_finish_does_not_wait_for_ever(root: Path) -> None:
    """For a device that hangs: it says what is lost, and everything else has arrived."""
    device = Device(is_open=False)
    run = start(root)
    run.log_metrics({"loss": device.scalar(0.5)}, step=0)
    run.log_metrics({"lr": 0.1}, step=0)
    before = time.monotonic()
    lost = pytest.warns(UserWarning, match="run 'a' has lost 1 log calls: their device did not answer in time")
    with lost, warnings.catch_warnings():
        warnings.simplefilter("ignore", unitrack.DeliveryWarning)  # the sink had no time left
        run.finish(timeout=1.0)
    assert time.monotonic() - before >= 0.9
    wait_until(lambda: points(run) == [(0, {"lr": 0.1})])
    device.open.set()
    wait_until(lambda: not readers())
    assert points(run) == [(0, {"lr": 0.1})]


def test_finish_without_time_still_gives_a_device_a_moment(root: Path) -> None:
    """What is computed is read, though `timeout=0` waits for no sink."""
    run = start(root)
    run.log_metrics({"loss": Device(seconds=0.05).scalar(0.5)}, step=0)
    with pytest.warns(unitrack.DeliveryWarning, match="not everything has arrived yet"):
        run.finish(timeout=0)
    wait_until(lambda: points(run) == [(0, {"loss": 0.5})])


def test_inline_delivery_waits_for_the_device(root: Path) -> None:
    """The record is delivered when the call returns, and what is wrong raises in it; yet another thread reads."""
    device = Device()
    with unitrack.start_run("a", sinks=["local"], root=root / "runs", delivery="inline") as run:
        run.log_metrics({"loss": device.scalar(0.5)}, step=0)
        assert points(run) == [(0, {"loss": 0.5})]
        with pytest.raises(ValueError, match="'loss' is NaN"):
            run.log_metrics({"loss": device.scalar(NAN)}, step=1)
    assert threading.get_ident() not in device.readers


def test_where_no_thread_can_be_started_the_call_reads(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At interpreter shutdown: better slow than lost."""
    run = start(root)

    def fail(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", fail)
        run.log_metrics({"loss": Device().scalar(0.5)}, step=0)
    assert run.finish().ok
    assert points(run) == [(0, {"loss": 0.5})]


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")  # threads are the point of it
def test_a_forked_child_leaves_the_parents_values_alone(root: Path) -> None:
    """Each process reads its own, and all arrive."""
    device = Device(is_open=False)
    run = start(root)
    run.log_metrics({"loss": device.scalar(0.5)}, step=0)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            device.open.set()
            run.log_metrics({"child": device.scalar(0.25)}, step=1)
            run.finish(timeout=10)
            status = 0 if device.reads == [0.25] else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert device.reads == []
    device.open.set()
    assert run.finish().ok
    assert sorted(points(run)) == [(0, {"loss": 0.5}), (1, {"child": 0.25})]


def test_a_worker_that_was_handed_the_run_reads_its_own(root: Path) -> None:
    """Its `finish` waits for them, and raises for them."""
    run = start(root)
    worker = pickle.loads(pickle.dumps(run))
    worker.log_metrics({"loss": Device(seconds=0.05).scalar(0.5)}, step=0)
    worker.log_metrics({"loss": Device().scalar(NAN)}, step=1)
    with pytest.raises(ValueError, match="'loss' is NaN"):
        worker.finish()
    assert run.finish().ok
    assert points(run) == [(0, {"loss": 0.5})]


def test_many_runs_leave_no_thread(root: Path) -> None:
    """A reader ends with its run."""
    for _ in range(5):
        run = start(root)
        run.log_metric("loss", Device().scalar(0.5))
        run.finish()
    wait_until(lambda: not readers())


def test_nobody_waits_for_a_reader_that_has_gone() -> None:
    """Of two threads that end a run at once, say, the second."""
    reader = device_reader.DeviceReader(append=lambda call: None)
    reader.close()
    wait_until(lambda: not readers())
    thread = threading.Thread(target=reader.wait, daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()


def test_a_refused_value_leaves_no_gap(root: Path) -> None:
    """A gap in the numbers of a journal says that a line was lost."""
    device = Device(is_open=False)
    run = start(root)
    for step, value in enumerate([0.5, NAN, 0.25]):
        run.log_metrics({"loss": device.scalar(value)}, step=step)
        run.log_metrics({"lr": 0.1}, step=step)
    device.open.set()
    with pytest.raises(ValueError, match="'loss' is NaN"):
        run.finish()
    numbers = sorted(record.seq for record in logged(run))
    assert numbers == list(range(numbers[0], numbers[0] + 5))
