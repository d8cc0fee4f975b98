"""Ray Tune: an experiment is a run, and each trial a run below it."""

from ray import tune

from unitrack.integrations.ray import UnitrackTuneCallback


def train(config: dict[str, float]) -> None:
    """Report the loss of a training that is not shown here."""
    loss = 1.0
    for _ in range(3):
        loss *= 1 - config["lr"]
        tune.report({"loss": loss})


tune.Tuner(
    train,
    param_space={"lr": tune.grid_search([0.1, 0.5])},
    run_config=tune.RunConfig(callbacks=[UnitrackTuneCallback(name="experiment")], verbose=0),
).fit()
