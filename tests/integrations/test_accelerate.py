"""Accelerate, by its contract and by what is its own."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from unitrack_tests.device import Device
from unitrack_tests.integration_examples import run_example

import unitrack
from unitrack.testing import IntegrationContract, recorded

pytest.importorskip("accelerate", reason="it needs torch")

from accelerate import Accelerator

from unitrack.integrations.accelerate import UnitrackTracker


class TestAccelerate(IntegrationContract):
    params: ClassVar = {"lr": 0.1}

    def make(self, **start: Any) -> UnitrackTracker:
        return UnitrackTracker(**start)

    def train(self, logger: UnitrackTracker, *, interrupt: BaseException | None = None) -> Any:
        accelerator = Accelerator(cpu=True, log_with=logger)
        accelerator.init_trackers("digits", config={"lr": 0.1})
        losses = [1 / (step + 1) for step in range(4)]
        try:
            for step, loss in enumerate(losses):
                if step == 2 and interrupt is not None:
                    raise interrupt
                accelerator.log({"loss": loss}, step=10 * step)
        finally:
            accelerator.end_training()
        return {"loss": [(10 * step, loss) for step, loss in enumerate(losses)]}


def test_by_name() -> None:
    """With the project of `init_trackers`, and arguments of `start_run`."""
    with recorded() as runs:
        accelerator = Accelerator(cpu=True, log_with="unitrack")
        accelerator.init_trackers("digits", init_kwargs={"unitrack": {"name": "one", "tags": ["test"]}})
        accelerator.log({"loss": 0.5, "answer": "forty-two"}, step=3)
        tracker = accelerator.get_tracker("unitrack")
        tracker.log_images({"sample": [np.zeros((4, 4)), np.zeros((4, 4))]}, step=3)
        tracker.log_table("scores", columns=["a"], data=[[1]], step=3)
        accelerator.get_tracker("unitrack", unwrap=True).set_tags({"stage": "test"})
        accelerator.end_training()
    [run] = runs
    assert (run.name, run.project, run.status) == ("one", "digits", "finished")
    assert run.points == {"loss": [(3, 0.5)]}
    assert set(run.tags) >= {"test", "stage"}
    assert sorted(run.files) == ["answer-3.txt", "sample/0-3.png", "sample/1-3.png", "scores-3.json"]


def test_no_device_is_waited_for() -> None:
    """A scalar is handed over as it is, and read in another thread."""
    device = Device(is_open=False)
    with recorded() as runs:
        tracker = UnitrackTracker(delivery="thread")
        accelerator = Accelerator(cpu=True, log_with=tracker)
        accelerator.init_trackers("digits")
        accelerator.log({"loss": device.scalar(0.5)}, step=7)
        device.open.set()
        accelerator.end_training()
    assert runs[0].points == {"loss": [(7, 0.5)]}
    assert threading.get_ident() not in device.readers


def test_two_processes_without_end_training(tmp_path: Path) -> None:
    """The run ends with the process, as that does; of two processes only the first logs."""
    program = """
        import sys
        from accelerate import Accelerator
        import unitrack.integrations.accelerate

        accelerator = Accelerator(cpu=True, log_with="unitrack")
        accelerator.init_trackers("digits", init_kwargs={"unitrack": {"sinks": ["local"]}})
        accelerator.log({"loss": accelerator.num_processes}, step=0)
        accelerator.wait_for_everyone()
        if accelerator.is_main_process:
            raise ValueError
    """
    (tmp_path / "two.py").write_text(textwrap.dedent(program))
    launch = ["-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone", "two.py"]
    done = subprocess.run([sys.executable, *launch], cwd=tmp_path, capture_output=True, text=True, timeout=140)
    assert "ValueError" in done.stderr
    [run] = unitrack.runs()
    assert run.status == "failed", done.stderr
    assert run.summary == {"loss": 2.0}


def test_example() -> None:
    [run] = run_example("accelerate_loop")
    assert (run.project, run.status) == ("regression", "finished")
    assert len(run.points["loss"]) == 24
