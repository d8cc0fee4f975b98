"""Ray Tune and Ray Train v2, on a cluster of this machine: few tests, as each takes seconds."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from unitrack_tests.integration_examples import run_example

import unitrack
from unitrack.records import PARENT
from unitrack.testing import recorded

ray = pytest.importorskip("ray", reason="Ray is tested in an environment of its own")
pytest.importorskip("ray.tune.logger", reason="Tune needs pandas and pyarrow", exc_type=ImportError)

from ray import train, tune  # noqa: E402  # after it was found

from unitrack.integrations.ray import UnitrackTrainCallback, UnitrackTuneCallback  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),  # of Ray's sockets
]


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    ray.init(num_cpus=2, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    yield
    ray.shutdown()


def test_tune_example() -> None:
    experiment, *trials = run_example("ray_tune")
    assert (experiment.status, experiment.name) == ("finished", "experiment")
    assert sorted(run.params["lr"] for run in trials) == [0.1, 0.5]
    for run in trials:
        rest = 1 - run.params["lr"]
        assert run.points == {"loss": [(1, rest), (2, rest * rest), (3, rest * rest * rest)]}
        assert (run.status, run.tags[PARENT]) == ("finished", experiment.records[0].run_id)


def test_tune_checkpoints_and_a_trial_that_fails(tmp_path: Path) -> None:
    def train(config: dict[str, Any]) -> None:
        folder = tmp_path / "checkpoint"
        folder.mkdir(exist_ok=True)
        (folder / "weights.txt").write_text("w")
        tune.report({"loss": 0.5, "nested": {"n": 1}}, checkpoint=tune.Checkpoint(folder))
        raise ValueError("mine")

    with recorded() as runs, unitrack.start_run("outer"):
        tune.Tuner(
            train,
            run_config=tune.RunConfig(
                storage_path=str(tmp_path / "ray"), callbacks=[UnitrackTuneCallback(log_checkpoints=True)], verbose=0
            ),
        ).fit()
    outer, trial = runs
    assert (outer.status, trial.status) == ("finished", "failed")
    assert trial.points == {"loss": [(1, 0.5)], "nested.n": [(1, 1.0)]}
    assert any(name.endswith("weights.txt") for name in trial.files)


@pytest.mark.parametrize("fails", [False, True])
def test_train(fails: bool, tmp_path: Path) -> None:
    """In a run that Ray's own process starts: its end is that of the training."""
    from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

    def loop(config: dict[str, Any]) -> None:
        for step in range(3):
            train.report({"loss": config["lr"] / 2**step})
        if fails:
            raise ValueError("mine")

    root = tmp_path / "experiments"
    trainer = DataParallelTrainer(
        loop,
        train_loop_config={"lr": 0.5},
        scaling_config=train.ScalingConfig(num_workers=1),
        run_config=train.RunConfig(
            storage_path=str(tmp_path / "ray"), callbacks=[UnitrackTrainCallback(root=str(root), delivery="inline")]
        ),
    )
    if fails:
        with pytest.raises(Exception, match="mine"):
            trainer.fit()
    else:
        trainer.fit()
    [run] = unitrack.runs(root)
    assert run.status == ("failed" if fails else "finished")
    assert run.params["ray.config.lr"] == 0.5
    assert [(point.step, point.value) for point in run.history("loss")] == [(0, 0.5), (1, 0.25), (2, 0.125)]


def test_train_in_the_current_run_from_another_process() -> None:
    """Here the other process is this one: Ray makes the callback there by pickle."""
    with recorded() as runs, unitrack.start_run("outer") as outer:
        callback = pickle.loads(pickle.dumps(UnitrackTrainCallback()))
        for loss in (0.5, 0.25):
            callback.after_report(SimpleNamespace(checkpoint=None), [{"loss": loss}])
        callback.after_controller_finish(SimpleNamespace(error=None))
        assert not outer.has_ended
    assert [(run.name, run.points["loss"]) for run in runs] == [("outer", [(0, 0.5), (1, 0.25)])]
