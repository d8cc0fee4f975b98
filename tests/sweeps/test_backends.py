"""A sweep in the backends: nested in MLflow, a group in W&B, rows of TensorBoard's HParams."""

import pytest

import unitrack

pytest.importorskip("optuna")


def train(run, lr):
    run.log_metrics({"loss": lr * 2}, step=0)


def swept(tmp_path, sink):
    config = {"tracking": {"delivery": "inline", "root": str(tmp_path / "runs")}}
    return unitrack.sweep(
        train, {"lr": [0.1, 0.2]}, strategy="grid", name="s", sinks=sink, config=config, project="p", progress=False
    )


def test_trials_are_nested_in_mlflow(tmp_path):
    pytest.importorskip("unitrack_mlflow")
    mlflow = pytest.importorskip("mlflow")
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    result = swept(tmp_path, {"mlflow": {"tracking_uri": uri}})
    client = mlflow.MlflowClient(uri)
    found = {run.info.run_name: run for run in client.search_runs([client.get_experiment_by_name("p").experiment_id])}
    assert set(found) == {"s", "s-0", "s-1"}
    for one in result:
        run = found[f"s-{one.number}"]
        assert run.data.tags["mlflow.parentRunId"] == found["s"].info.run_id
        assert run.data.metrics["loss"] == one.value
        assert run.data.params["lr"] == str(one.params["lr"])
    assert found["s"].data.metrics["best/loss"] == 0.2


def test_trials_are_rows_of_hparams_in_tensorboard(tmp_path):
    pytest.importorskip("unitrack_tensorboard")
    from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer
    from tensorboard.plugins.hparams import metadata

    swept(tmp_path, {"tensorboard": {"logdir": str(tmp_path / "logs")}})
    events = EventMultiplexer().AddRunsFromDirectory(str(tmp_path / "logs")).Reload()
    rows = {}
    for name in events.Runs():
        tags = events.GetAccumulator(name).SummaryMetadata
        try:
            content = tags(metadata.SESSION_START_INFO_TAG).plugin_data.content
        except KeyError:
            continue
        hparams = metadata.parse_session_start_info_plugin_data(content).hparams
        rows[name] = (
            {key: value.number_value for key, value in hparams.items()},
            events.Scalars(name, "loss")[-1].value,
        )
    assert sorted(rows.values(), key=str) == [({"lr": 0.1}, pytest.approx(0.2)), ({"lr": 0.2}, pytest.approx(0.4))]


def test_trials_are_a_group_in_wandb(tmp_path, monkeypatch):
    pytest.importorskip("unitrack_wandb")
    monkeypatch.chdir(tmp_path)
    swept(tmp_path, {"wandb": {"mode": "offline", "dir": str(tmp_path / "w")}})
    found = {run.name: run for run in unitrack.runs(f"wandb:{tmp_path / 'w'}")}
    assert set(found) == {"s", "s-0", "s-1"}
    assert {run.group for run in found.values()} == {"s"}
    assert found["s-0"].job_type == "trial"
    assert found["s"].job_type == "sweep"
