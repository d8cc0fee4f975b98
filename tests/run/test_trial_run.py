"""What `start_run` means in the program of a trial: the first one is the run that the agent has started."""

import pytest

import unitrack
from unitrack.run.trial_run import VARIABLE, TrialFiles
from unitrack.runfolder.run_folder import RunFolder

LOCAL = {"sinks": "local", "delivery": "inline"}


@pytest.fixture
def trial(root, monkeypatch):
    """The run of a trial, as its agent starts it, and this process as its program."""
    run = unitrack.start_run("s-3", project="digits", group="s", params={"lr": 0.1, "model": {"depth": 2}}, **LOCAL)
    TrialFiles(RunFolder(run.path)).offer({"lr": 0.1, "model": {"depth": 2}})
    monkeypatch.setenv(VARIABLE, str(run.path))
    yield run
    run.finish()


def _stored(run):
    return next(one for one in unitrack.runs() if one.id == run.id)


def test_the_first_run_is_that_of_the_trial(trial):
    with unitrack.start_run("mine", project="other", params={"lr": 0.1, "units": 3}, tags=["x"], **LOCAL) as run:
        assert run.id == trial.id and run.name == "s-3"
        assert run.config["lr"] == 0.1 and run.config["model"]["depth"] == 2
        run.log_metrics({"loss": 0.5}, step=1)
    assert not trial.has_ended
    trial.finish("pruned")
    stored = _stored(trial)
    assert stored.status == "pruned" and stored.project == "digits"
    assert stored.params == {"lr": 0.1, "model.depth": 2, "units": 3}
    assert "x" in stored.tags
    assert [(point.step, point.value) for point in stored.history("loss")] == [(1, 0.5)]


def test_an_exception_in_the_program_does_not_end_the_trials_run(trial):
    with pytest.raises(RuntimeError), unitrack.start_run(**LOCAL):
        raise RuntimeError
    assert not trial.has_ended


def test_further_runs_are_children_of_the_trial(trial):
    with unitrack.start_run(**LOCAL):
        pass
    with unitrack.start_run("fold-2", **LOCAL) as second:
        assert second.id != trial.id
    assert (_stored(second).parent, _stored(second).group) == (trial.id, "s")
    with unitrack.start_run("fold-3", parent="somebody", **LOCAL) as third:
        pass
    assert _stored(third).parent == "somebody"


def test_a_run_in_another_backend_is_one_of_its_own_whose_metrics_the_trial_has_as_well(trial, root):
    sinks = ["local", {"probe": {"out": str(root / "out")}}]
    with unitrack.start_run("mine", sinks=sinks, delivery="inline") as run:
        assert run.id != trial.id
        run.log_metrics({"loss": 0.25}, step=4)
    trial.finish()
    for one in (run, trial):
        assert [(point.step, point.value) for point in _stored(one).history("loss")] == [(4, 0.25)]
    assert _stored(run).parent == trial.id


def test_a_run_that_is_named_by_its_id_is_one_of_its_own(trial):
    with unitrack.start_run(run_id="mine-1", **LOCAL) as run:
        assert run.id == "mine-1"
    assert _stored(run).parent == trial.id


def test_another_attempt_offers_the_run_anew(trial):
    with unitrack.start_run(**LOCAL) as first:
        pass
    TrialFiles(RunFolder(trial.path)).offer({})
    with unitrack.start_run(**LOCAL) as again:
        pass
    assert first.id == again.id == trial.id


def test_ranks_of_one_training_log_to_the_trials_run_with_their_prefix(trial, monkeypatch):
    monkeypatch.setenv("UNITRACK_RUN_ID", "job-7")
    for rank in (0, 1):
        monkeypatch.setenv("RANK", str(rank))
        with unitrack.start_run(config={"tracking": {"ranks": "all"}}, **LOCAL) as run:
            assert run.id == trial.id
            run.log_metrics({"loss": float(rank)}, step=0)
    monkeypatch.delenv("RANK")
    trial.finish()
    assert {"loss", "rank1/loss"} <= set(_stored(trial).metrics)


def test_after_the_end_of_the_trial_a_run_is_just_a_run(trial):
    trial.finish()
    with unitrack.start_run(**LOCAL) as run:
        assert run.id != trial.id
    assert _stored(run).parent is None


def test_a_trial_whose_folder_is_gone_is_pointed_out(root, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(root / "nowhere"))
    with pytest.warns(UserWarning, match="is gone, so this is a run of its own"), unitrack.start_run(**LOCAL) as run:
        run.log_metrics({"loss": 1.0}, step=0)
    assert _stored(run).parent is None


def test_nothing_is_recorded_where_tracking_is_disabled(trial, monkeypatch):
    monkeypatch.setenv("UNITRACK_MODE", "disabled")
    with unitrack.start_run() as run:
        run.log_metrics({"loss": 1.0}, step=0)
    monkeypatch.delenv("UNITRACK_MODE")
    trial.finish()
    assert "loss" not in _stored(trial).metrics
