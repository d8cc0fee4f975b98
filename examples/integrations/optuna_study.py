"""Optuna: a study is a run, and each trial a run below it; a trial that is pruned ends as pruned."""

import optuna

import unitrack
from unitrack.integrations.optuna import UnitrackCallback


def objective(trial: optuna.Trial) -> float:
    """Return the loss of a training that is not shown here."""
    rate = trial.suggest_float("lr", 1e-3, 1.0, log=True)
    loss = 1.0
    for step in range(5):
        loss *= 1 - rate / 2
        unitrack.log_metrics({"loss": loss}, step=step)  # in the trial's run
        trial.report(loss, step)
        if trial.should_prune():
            raise optuna.TrialPruned
    return loss


with unitrack.start_run("study"):
    callback = UnitrackCallback()
    study = optuna.create_study(pruner=optuna.pruners.MedianPruner(n_startup_trials=2))
    study.optimize(callback.track(objective), n_trials=6, callbacks=[callback])
