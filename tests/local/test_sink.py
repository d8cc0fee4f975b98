"""The local sink's promise: after any restart `metrics.jsonl` holds each point once."""

import json
import os
from pathlib import Path

import pytest

import unitrack
from unitrack.local.options import LocalOptions
from unitrack.local.sink import LocalSink
from unitrack.testing import SinkDriver


def steps(folder: Path) -> list[int]:
    """The steps in `metrics.jsonl`, in order."""
    return [json.loads(line)["step"] for line in (folder / "metrics.jsonl").read_bytes().splitlines()]


def driver(folder: Path, checkpoint: dict[str, object] | None = None) -> SinkDriver:
    """A sink of a run in `folder`, opened."""
    found = SinkDriver(LocalSink(LocalOptions()), SinkDriver.make_run(folder), checkpoint)
    found.open()
    return found


def test_a_flush_without_points_after_a_rollback_commits_the_right_length(root: Path) -> None:
    """A crash beyond the checkpoint, a restart that logs only params, and another restart: nothing is lost."""
    first = driver(root / "run")
    first.metrics({"loss": 1.0}, step=0)
    committed = first.flush()
    first.metrics({"loss": 2.0}, step=1)
    first.flush()
    first.close()

    second = driver(root / "run", committed)
    second.params({"lr": 0.1})
    committed = second.flush()
    second.close()

    third = driver(root / "run", committed)
    third.metrics({"loss": 2.0}, step=1)
    third.end()
    assert steps(root / "run") == [0, 1]


@pytest.mark.parametrize("torn", [1, 7, 30])
def test_a_torn_line_beyond_the_checkpoint_is_cut_off(root: Path, torn: int) -> None:
    """What a dying courier left behind the committed length does not come back."""
    first = driver(root / "run")
    first.metrics({"loss": 1.0}, step=0)
    committed = first.flush()
    first.close()
    with (root / "run" / "metrics.jsonl").open("ab") as file:
        file.write((b'{"step":1,"metrics":{"loss":2.0}}' * 2)[:torn])
    second = driver(root / "run", committed)
    second.metrics({"loss": 2.0}, step=1)
    second.end()
    assert steps(root / "run") == [0, 1]


def test_resuming_under_a_relative_root_from_a_folder_that_the_courier_is_not_in(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A courier that was started elsewhere finds the run that is taken up."""
    (root / "here").mkdir()
    with unitrack.start_run("elsewhere", sinks=["local"], root="runs"):
        pass  # the courier is started here
    monkeypatch.chdir(root / "here")
    with unitrack.start_run("again", sinks=["local"], run_id="one", root="runs") as run:
        run.log_metrics({"loss": 1.0}, step=0)
    with unitrack.start_run(sinks=["local"], run_id="one", resume="must", root="runs") as run:
        run.log_metrics({"loss": 2.0}, step=1)
    assert run.finish().ok
    assert run.path == Path(os.path.realpath(root / "here" / "runs" / "again"))
    assert steps(run.path) == [0, 1]
