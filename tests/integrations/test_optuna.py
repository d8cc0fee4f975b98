"""Optuna: a study is a run, each trial a child run."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from unitrack_tests.integration_examples import run_example

import unitrack
from unitrack.records import GROUP, PARENT
from unitrack.testing import recorded

optuna = pytest.importorskip("optuna", reason="the extra sweeps is not in each environment")

from unitrack.integrations.attached_run import AttachedRun  # noqa: E402
from unitrack.integrations.optuna import UnitrackCallback  # noqa: E402  # after the framework was found

optuna.logging.set_verbosity(optuna.logging.ERROR)


def objective(trial: Any) -> float:
    """Trial 2 is pruned at its second step."""
    x = trial.suggest_float("x", 0, 1)
    for step in range(3):
        trial.report(x + step, step)
        if trial.number == 2 and step == 1:
            raise optuna.TrialPruned
    return float(x)


def optimize(objective: Any, callback: UnitrackCallback, trials: int = 4, **options: Any) -> Any:
    study = optuna.create_study(study_name="mine", sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(objective, n_trials=trials, callbacks=[callback], **options)
    return study


def end() -> None:
    """Begin another training, as the end of a study shows then."""
    with unitrack.start_run():
        AttachedRun("another").begin()


@pytest.mark.parametrize("is_tracked", [True, False])
def test_each_trial_is_a_child_run(is_tracked: bool) -> None:
    """Whether the objective is tracked or not; a pruned one ends as pruned."""
    callback = UnitrackCallback(name="search")
    with recorded() as runs, unitrack.start_run("search"):
        study = optimize(callback.track(objective) if is_tracked else objective, callback)
    parent, *children = runs
    assert [run.status for run in children] == ["finished", "finished", "pruned", "finished"]
    for run, trial in zip(children, study.trials, strict=True):
        assert run.params == trial.params
        assert run.points["intermediate_value"] == sorted(trial.intermediate_values.items())
        assert run.values("value") == ([] if trial.number == 2 else [trial.value])
        assert (run.tags[PARENT], run.tags[GROUP]) == (parent.records[0].run_id, "search")
    assert parent.points["value"] == [(trial.number, trial.value) for trial in study.trials if trial.number != 2]
    assert parent.values("best_value")[-1] == study.best_value
    assert parent.params["optuna.sampler"] == "RandomSampler"
    assert parent.status == "finished"


def test_the_run_of_a_trial_is_the_current_one() -> None:
    """For what the objective logs, and for other integrations."""

    def training(trial: Any) -> float:
        unitrack.log_metrics({"loss": 0.5}, step=7)
        return 1.0

    callback = UnitrackCallback()
    with recorded() as runs, unitrack.start_run():
        optimize(callback.track(training), callback, 2)
    _, *children = runs
    assert [run.points["loss"] for run in children] == [[(7, 0.5)], [(7, 0.5)]]


def test_trials_in_threads() -> None:
    """One study run, whose threads end before it does."""
    callback = UnitrackCallback()
    with recorded() as runs:
        optimize(callback.track(objective), callback, 6, n_jobs=2)
        end()
    assert next(run.status for run in runs if PARENT not in run.tags) == "finished"
    assert len([run for run in runs if PARENT in run.tags]) == 6
    assert len(runs) == 8


@pytest.mark.parametrize(
    ("error", "caught", "status", "of_study"),
    [
        (ValueError(), (), "failed", "failed"),
        (ValueError(), (ValueError,), "failed", "finished"),
        (KeyboardInterrupt(), (), "killed", "killed"),
    ],
)
def test_a_trial_that_raises(
    error: BaseException, caught: Any, status: str, of_study: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its study fails with it, unless it was told to go on."""

    def raises(trial: Any) -> float:
        if trial.number == 1:
            raise error
        return 1.0

    callback = UnitrackCallback()
    with recorded() as runs:
        try:
            optimize(callback.track(raises), callback, 2, catch=caught)
        except (ValueError, KeyboardInterrupt) as raised:
            monkeypatch.setattr("sys.last_value", raised, raising=False)
        end()
    assert [run.status for run in runs][:3] == [of_study, "finished", status]


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_several_objectives_with_names() -> None:
    callback = UnitrackCallback()
    with recorded() as runs, unitrack.start_run():
        study = optuna.create_study(directions=["minimize", "maximize"])
        study.set_metric_names(["loss", "accuracy"])
        study.optimize(callback.track(lambda trial: (0.25, 0.75)), n_trials=1, callbacks=[callback])
    for run in runs:
        assert (run.values("loss"), run.values("accuracy")) == ([0.25], [0.75])


def test_an_objective_without_a_value_has_failed() -> None:
    """As Optuna sees it."""
    callback = UnitrackCallback()
    with recorded() as runs, unitrack.start_run():
        study = optimize(callback.track(lambda trial: float("nan")), callback, 1)
    assert study.trials[0].state.name == "FAIL"
    assert runs[1].status == "failed"


def test_another_rank_logs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNITRACK_RANK", "1")
    callback = UnitrackCallback()
    with recorded() as runs:
        optimize(callback.track(objective), callback)
    assert not len(runs)


def test_it_can_be_pickled() -> None:
    callback = pickle.loads(pickle.dumps(UnitrackCallback()))
    with recorded() as runs, unitrack.start_run():
        optimize(callback.track(objective), callback)
    assert len(runs) == 5


def test_example() -> None:
    study, *trials = run_example("optuna_study")
    assert (study.status, len(trials)) == ("finished", 6)
    assert {run.status for run in trials} <= {"finished", "pruned"}
    assert all(run.points["loss"] == run.points["intermediate_value"] for run in trials)
