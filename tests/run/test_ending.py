"""The end of a run: its status, its report, and log calls that come too late."""

from __future__ import annotations

import json
import math
import threading
from pathlib import Path

import numpy as np
import pytest
from unitrack_tests.local_files import logged, metadata

import unitrack
from unitrack.errors import (
    RunFinishedError,
)


def test_a_run_ends_as_nothing_else(root: Path) -> None:
    """The status is checked before it is written, and the run is open as before."""
    run = unitrack.start_run("a", sinks=["local"], delivery="inline", root=root)
    with pytest.raises(ValueError, match="'done'"):
        run.finish("done")  # type: ignore[arg-type]
    run.log_metric("loss", 1)
    assert run.finish("killed").ok
    assert json.loads((run.path / "metadata.json").read_text())["status"] == "killed"


def test_finishing_twice_gives_the_same_report(root: Path) -> None:
    """And leaving the block afterwards changes nothing."""
    with unitrack.start_run("a", delivery="inline", root=root) as run:
        run.log_metric("loss", 1)
        first = run.finish("failed")
    assert run.finish() is first
    assert run.flush() is first
    assert metadata(run)["status"] == "failed"


def test_logging_after_the_end_says_so(root: Path) -> None:
    """Every method, with the way to go on."""
    (root / "file").write_text("x")
    run = unitrack.start_run("a", delivery="inline", root=root / "runs")
    run.finish()
    for log in (
        lambda: run.log_metric("loss", 1),
        lambda: run.log_metrics({"loss": math.nan}),
        lambda: run.log_param("a", 1),
        lambda: run.set_tags({"a": 1}),
        lambda: run.log_artifact("file"),
        lambda: run.log_text("a", "b"),
        lambda: run.log_dict({}, "b"),
        lambda: run.log_model("file"),
        lambda: run.log_image(np.zeros((2, 2), np.uint8), "a.png"),
    ):
        with pytest.raises(RunFinishedError, match="has finished; start another") as caught:
            log()
        assert isinstance(caught.value, RuntimeError)


def test_a_thread_that_logs_while_the_run_finishes_gets_a_clear_answer(root: Path) -> None:
    """Each call either returned and is in the files, or said that the run has finished."""
    run = unitrack.start_run("a", delivery="thread", root=root)
    returned: list[int] = []
    errors: list[BaseException] = []

    def work() -> None:
        for step in range(1_000_000):
            try:
                run.log_metrics({"loss": 1.0}, step=step)
            except BaseException as error:
                errors.append(error)
                return
            returned.append(step)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    while len(returned) < 50:
        pass
    assert run.finish().ok
    for thread in threads:
        thread.join()
    assert [type(error) for error in errors] == [RunFinishedError] * 2
    assert sorted(step for step, _ in logged(run)) == sorted(returned)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ValueError("x"), "failed"),
        (KeyboardInterrupt(), "killed"),
        (SystemExit(1), "failed"),
        (SystemExit("message"), "failed"),
        (SystemExit(0), "completed"),
        (SystemExit(), "completed"),
        (GeneratorExit(), "failed"),
    ],
)
def test_leaving_the_block_tells_how_the_run_ended(root: Path, error: BaseException, status: str) -> None:
    """And the exception goes on its way."""
    run = unitrack.start_run("a", delivery="inline", root=root)

    def train() -> None:
        with run:
            run.log_metric("loss", 1)
            raise error

    with pytest.raises(type(error)):
        train()
    assert metadata(run)["status"] == status
    assert len(logged(run)) == 1
