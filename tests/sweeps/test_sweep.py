"""`unitrack.sweep` in one process: strategies, what a trial is, what fails."""

import math
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import unitrack
from unitrack.sweeps import choice

optuna = pytest.importorskip("optuna")


@pytest.fixture
def sweep(tmp_path):
    """Run a sweep below the test's folder, delivered in the log call."""

    def run(train, space, **options):
        config = {"tracking": {"delivery": "inline", "root": str(tmp_path), "sinks": ["local"]}}
        return unitrack.sweep(train, space, config=options.pop("config", config), **options)

    return run


def quadratic(x, y=0):
    return {"loss": (x - 2) ** 2 + y}


def test_a_grid_runs_each_combination_once(sweep):
    result = sweep(quadratic, {"x": [1, 2, 3], "y": [0, 1]}, strategy="grid")
    assert [(one.params["x"], one.params["y"]) for one in result] == [(x, y) for x in (1, 2, 3) for y in (0, 1)]
    assert result.best.params == {"x": 2, "y": 0}
    assert result.best.value == 0


def test_the_first_combinations_of_a_grid_that_fits_nowhere_can_be_run(sweep):
    assert [one.params for one in sweep(quadratic, {"x": range(10**9)}, strategy="grid", n=2)] == [{"x": 0}, {"x": 1}]


@pytest.mark.parametrize("strategy", ["random", "tpe", "nsga2"])
def test_a_search_runs_as_many_trials_as_asked(sweep, strategy):
    result = sweep(quadratic, {"x": (-10.0, 10.0)}, strategy=strategy, n=4, seed=1)
    assert len(result) == 4
    assert result.best.value == min(one.value for one in result)


def test_tpe_finds_better_params_than_its_first_draws(sweep):
    result = sweep(quadratic, {"x": (-10.0, 10.0)}, n=25, seed=0)
    assert result.best.value < 1
    assert result.best.number >= 10  # the first ten are random


def test_samplers_and_pruners_of_optuna_are_taken_as_they_are(sweep):
    sampler = optuna.samplers.TPESampler(seed=1, n_startup_trials=2)
    result = sweep(quadratic, {"x": (-10.0, 10.0)}, strategy=sampler, prune=optuna.pruners.NopPruner(), n=3)
    assert len(result) == 3
    assert result.study.sampler is sampler


def test_a_space_may_be_a_function_of_a_trial(sweep):
    def space(trial):
        kind = trial.suggest_categorical("kind", ["linear", "deep"])
        return {"kind": kind} if kind == "linear" else {"kind": kind, "depth": trial.suggest_int("depth", 1, 3)}

    def train(kind, depth=0):
        return depth

    result = sweep(train, space, strategy="random", n=8, seed=3)
    assert {one.params["kind"] for one in result} == {"linear", "deep"}
    assert all(("depth" in one.params) == (one.params["kind"] == "deep") for one in result)


def test_objects_constants_and_nested_params_come_back_as_the_function_got_them(sweep):
    seen = []

    def train(model, act, epochs):
        seen.append({"model": model, "act": act, "epochs": epochs})
        return len(seen)

    result = sweep(train, {"model": {"depth": [1, 2]}, "act": [math.sin], "epochs": 3}, strategy="grid")
    assert [one.params for one in result] == seen
    assert seen[0] == {"model": {"depth": 1}, "act": math.sin, "epochs": 3}


def test_trials_are_child_runs_of_the_sweep(sweep, tmp_path):
    result = sweep(quadratic, {"x": [1, 2]}, strategy="grid", name="s")
    runs = {run.id: run for run in unitrack.runs(tmp_path)}
    parent = runs.pop(result.run_id)
    assert (parent.name, parent.status, parent.group) == ("s", "finished", "s")
    assert parent.tags["sweep.strategy"] == "grid"
    assert [point.value for point in parent.history("best/loss")] == [1, 0]
    assert set(runs) == {one.run_id for one in result} == {run.id for run in result.runs}
    for one in result:
        run = runs[one.run_id]
        assert (run.name, run.parent, run.group, run.status) == (f"s-{one.number}", parent.id, "s", "finished")
        assert run.params == one.params
        assert run.summary["loss"] == one.value


def test_a_mode_of_max_looks_for_the_largest(sweep):
    result = sweep(lambda x: {"acc": x}, {"x": [1, 3, 2]}, strategy="grid", metric="acc", mode="max")
    assert result.best.params == {"x": 3}


def test_a_function_may_log_its_metric_return_it_or_both(sweep, tmp_path):
    def train(run, how):
        if how != "return":
            for step, loss in enumerate((3.0, 2.0, 1.0)):
                (run if how == "both" else unitrack).log_metrics({"loss": loss}, step=step)
        return {"log": None, "both": {"loss": 1.0, "acc": 0.5}, "return": 4}[how]

    result = sweep(train, {"how": ["log", "both", "return"]}, strategy="grid")
    assert [one.value for one in result] == [1.0, 1.0, 4.0]
    runs = {run.id: run for run in unitrack.runs(tmp_path)}
    curves = [[(point.step, point.value) for point in runs[one.run_id].history("loss")] for one in result]
    assert curves == [[(0, 3), (1, 2), (2, 1)], [(0, 3), (1, 2), (2, 1)], [(0, 4)]]
    assert result[1].metrics == {"loss": 1.0, "acc": 0.5}


def failing(kind):
    if kind == "raises":
        raise RuntimeError("out of memory")
    if kind == "nan":
        unitrack.log_metrics({"loss": float("nan")})
    return {"fine": 1, "missing": {"acc": 2}, "near": {"los": 1}, "text": {"loss": "low"}, "inf": math.inf, "odd": [1]}[
        kind
    ]


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("raises", "RuntimeError: out of memory"),
        ("nan", "Metric 'loss' is NaN or Inf"),
        ("inf", "Metric loss is NaN or Inf: inf"),
        ("missing", "failing() neither returned nor logged 'loss'; it has 'acc'"),
        ("near", "failing() neither returned nor logged 'loss'; did you mean metric='los'?"),
        ("text", "metric 'loss' must be numeric, got str 'low'"),
        ("odd", "failing() must return its metrics, a number or nothing, got list"),
    ],
)
def test_a_failed_trial_is_recorded_and_not_fatal(sweep, tmp_path, kind, error):
    result = sweep(failing, {"kind": [kind, "fine"]}, strategy="grid")
    assert [one.status for one in result] == ["failed", "finished"]
    assert result[0].error.startswith(error)
    assert result.failed == [result[0]]
    run = next(run for run in unitrack.runs(tmp_path) if run.id == result[0].run_id)
    assert run.status == "failed"
    assert run.tags["unitrack.error"] == result[0].error
    if kind == "raises":
        assert "in failing" in result[0].traceback


def test_a_sweep_of_which_all_trials_fail_is_an_error(sweep, tmp_path):
    with pytest.raises(unitrack.SweepError, match=r"all 2 trials .* failed; the first: ValueError: no"):
        sweep(no, {"x": [1, 2]}, strategy="grid")
    assert len(unitrack.runs(tmp_path)) == 3


def no(x):
    raise ValueError("no")


def test_a_nan_that_the_configuration_keeps_fails_the_trial_all_the_same(sweep, tmp_path):
    config = {
        "tracking": {"delivery": "inline", "root": str(tmp_path), "sinks": ["local"]},
        "safeguards": {"non_finite": "keep"},
    }

    def train(x):
        unitrack.log_metrics({"loss": math.nan if x else 1.0})

    result = sweep(train, {"x": [0, 1]}, strategy="grid", config=config)
    assert [one.status for one in result] == ["finished", "failed"]
    assert "is NaN" in result[1].error


def test_a_pruner_stops_trials_that_are_not_worth_finishing(sweep, tmp_path):
    def train(run, x):
        for step in range(10):
            run.log_metrics({"loss": x + 1 / (step + 1)}, step=step)

    result = sweep(train, {"x": [*range(6)]}, strategy="grid", prune="median")
    assert [one.status for one in result] == ["finished"] * 5 + ["pruned"]
    last = result[-1]
    assert (last.value, result.best.number) == (6.0, 0)
    run = next(run for run in unitrack.runs(tmp_path) if run.id == last.run_id)
    assert run.status == "pruned"
    assert len(run.history("loss")) == 1


def test_a_function_that_catches_the_pruners_exception_is_told_again(sweep):
    told = []

    def train(run, x):
        for step in range(3):
            try:
                run.log_metrics({"loss": x}, step=step)
            except unitrack.TrialPruned:
                told.append((x, step))

    result = sweep(train, {"x": [*range(6)]}, strategy="grid", prune="median")
    assert told == [(5, 0), (5, 1), (5, 2)]
    assert result[-1].status == "finished"


def test_a_function_written_for_optuna_may_raise_its_exception(sweep):
    def train(x):
        if x:
            raise optuna.TrialPruned
        return 1

    assert [one.status for one in sweep(train, {"x": [0, 1]}, strategy="grid")] == ["finished", "pruned"]


@pytest.mark.parametrize("rank", ["0", "1"])
def test_a_task_of_a_slurm_step_is_an_agent_not_a_rank(sweep, tmp_path, monkeypatch, rank):
    monkeypatch.setenv("SLURM_PROCID", rank)
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "2")
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    result = sweep(quadratic, {"x": [1, 2]}, strategy="grid", name="s")
    assert {run.name: run.status for run in unitrack.runs(tmp_path)} == dict.fromkeys(("s", "s-0", "s-1"), "finished")
    assert sorted(run.summary["loss"] for run in result.runs) == [0, 1]


def test_a_target_ends_the_sweep(sweep):
    assert len(sweep(quadratic, {"x": [1, 2, 3, 4]}, strategy="grid", target=0.5)) == 2
    assert len(sweep(quadratic, {"x": [1, 2, 3]}, strategy="grid", mode="max", target=1.0)) == 1


def test_a_target_that_another_session_has_reached_ends_the_sweep(sweep):
    options = {"strategy": "grid", "name": "s", "target": 0.5}
    assert len(sweep(quadratic, {"x": [1, 2, 3, 4]}, **options)) == 2
    assert len(sweep(quadratic, {"x": [1, 2, 3, 4]}, **options)) == 2


def test_each_trial_is_shown_to_a_callback(sweep):
    seen = []
    result = sweep(quadratic, {"x": [1, 2]}, strategy="grid", on_trial=seen.append)
    assert seen == list(result)


def test_trials_may_run_in_threads_of_an_executor(sweep):
    together, meeting = set(), threading.Barrier(2, timeout=20)

    def train(x):
        meeting.wait()
        together.add((threading.get_ident(), unitrack.current_run().id))
        return x

    with ThreadPoolExecutor(2) as executor:
        result = sweep(train, {"x": [1, 2]}, strategy="grid", executor=executor, workers=2)
    assert len({thread for thread, _ in together}) == 2
    assert {run for _, run in together} == {one.run_id for one in result}


def test_a_disabled_sweep_leaves_no_runs(sweep, tmp_path):
    config = {"tracking": {"mode": "disabled", "root": str(tmp_path)}}
    result = sweep(quadratic, {"x": [1, 2]}, strategy="grid", config=config)
    assert result.best.value == 0
    logged = sweep(lambda run, x: run.log_metrics({"loss": x}), {"x": [1, 2]}, strategy="grid", config=config)
    assert [one.value for one in logged] == [1, 2]
    assert os.listdir(tmp_path) == [".sweeps"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strategy": "tpee", "n": 1}, "unknown strategy 'tpee': did you mean 'tpe'"),
        ({"strategy": 3, "n": 1}, "strategy must be one of grid, random"),
        ({"strategy": "random"}, "strategy='random' needs n="),
        ({"n": 0}, "n must be a number of trials, at least 1, got 0"),
        ({"n": 2, "prune": "medain"}, "unknown pruner 'medain': did you mean 'median'"),
        ({"n": 2, "prune": "threshold"}, "needs bounds"),
        ({"n": 2, "prune": 7}, "prune must be one of"),
        ({"n": 2, "mode": "minimize"}, "mode must be 'min' or 'max', got 'minimize'"),
        ({"n": 2, "name": "../up"}, "the name becomes a folder"),
        ({"n": 2, "workers": 0}, "workers must be"),
        ({"n": 2, "trial_timeout": 5}, "trial_timeout needs trials in processes"),
        ({"n": 2, "trial_timeout": 5, "executor": "threads"}, "trial_timeout needs trials in processes"),
        ({"n": 2, "executor": "proceses"}, "'proceses' is unknown: did you mean 'processes'"),
        ({"n": 2, "sinks": "mlfow"}, "mlfow"),
    ],
)
def test_a_mistake_is_told_before_anything_starts(sweep, tmp_path, options, message):
    ran = []
    with pytest.raises(unitrack.ConfigError, match=message):
        sweep(lambda x: ran.append(x), {"x": [1, 2]}, **options)
    assert not ran
    assert set(os.listdir(tmp_path)) <= {".sweeps"}


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"xx": [1]}, r"'xx', which quadratic\(\) does not take: did you mean 'x'"),
        ({"x": (1, 0)}, "space: 'x'"),
        ({"x": range(10**9)}, "the grid has 1,000,000,000 combinations, more than 1,000"),
        ({"x": (0.0, 1.0)}, "'x' is a range of 0 ... 1, which no grid can visit"),
        (lambda trial: {}, "a function has no grid"),
        ({"x": choice({1: {"yy": [2]}})}, "'yy', which quadratic.. does not take"),
    ],
)
def test_a_mistake_in_the_space_is_told_before_anything_starts(sweep, tmp_path, space, message):
    with pytest.raises(unitrack.ConfigError, match=message):
        sweep(quadratic, space, strategy="grid")
    assert not os.listdir(tmp_path)
