"""A training as MLflow's guides show one: fluent calls, a client, nested runs, a model, autolog."""

import time

import mlflow
import numpy as np
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from sklearn.linear_model import LogisticRegression

mlflow.set_tracking_uri("sqlite:///mlflow.db")
mlflow.set_experiment("demo")
with mlflow.start_run(run_name="first", tags={"team": "nlp"}, description="a try"):
    mlflow.log_param("lr", 0.1)
    mlflow.log_params({"depth": 4, "kind": "sgd", "flag": True, "odd": "1e-3"})
    for step in range(5):
        mlflow.log_metric("loss", 1 / (step + 1), step=step)
        mlflow.log_metrics({"acc": step / 5, "val": step / 3}, step=step * 10)
    mlflow.log_metric("late", 1.0, step=7)
    mlflow.log_metric("late", 2.0, step=3)
    mlflow.log_metric("once", 0.5)
    mlflow.log_metric("nan", float("nan"))
    mlflow.set_tag("stage", "warm-up")
    mlflow.log_text("hello", "notes/hello.txt")
    mlflow.log_dict({"a": 1}, "notes/a.json")
    mlflow.log_image(np.full((4, 4, 3), 200, dtype=np.uint8), "gray.png")
    mlflow.log_table({"id": [1, 2], "text": ["one", "two"]}, "rows.json")
    with mlflow.start_run(run_name="child", nested=True):
        mlflow.log_metric("inner", 3.0)

client = MlflowClient()
experiment = client.get_experiment_by_name("demo").experiment_id
run = client.create_run(experiment, run_name="by client")
now = int(time.time() * 1000)
client.log_batch(
    run.info.run_id,
    metrics=[Metric("m", step / 7, now, step) for step in range(20)],
    params=[Param("p", "x")],
    tags=[RunTag("t", "y")],
)
client.log_param(run.info.run_id, "q", 7)
client.log_metric(run.info.run_id, "m", 9.0, step=20, synchronous=False).wait()
client.set_terminated(run.info.run_id, "FAILED")

mlflow.sklearn.autolog(log_models=False)
features, classes = np.random.default_rng(0).normal(size=(40, 3)), np.arange(40) % 2
with mlflow.start_run(run_name="autologged"):
    model = LogisticRegression(C=0.5).fit(features, classes)
    mlflow.sklearn.log_model(model, name="model", pip_requirements=["scikit-learn"])
