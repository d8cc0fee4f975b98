"""What a script reads back from W&B, printed as JSON."""

import argparse
import json
import os

import wandb

run = wandb.init(project="reads", id="abc123", name="reader", tags=["x"], config={"lr": 0.1, "sizes": (1, 2)})
seen = {"run": [run.id, run.name, run.project, list(run.tags), run.group, run.job_type, run.resumed, run.url]}
seen["same"] = [wandb.run is run, wandb.init() is run, run.offline, run.disabled, os.path.isdir(run.dir)]
wandb.config.update(argparse.Namespace(epochs=3))
wandb.config.batch = 8
try:
    wandb.config.update({"lr": 0.2})
except Exception as error:
    seen["refused"] = str(error)
wandb.config.update({"lr": 0.3}, allow_val_change=True)
seen["config"] = dict(run.config)
seen["get"] = [run.config.get("nothing", 5), "lr" in run.config, wandb.config["epochs"]]

run.define_metric("best", summary="max")
steps = [run.step]
for value in (1, 3, 2):
    run.log({"loss": value / 2, "best": value, "inner": {"x": value}})
    steps.append(run.step)
run.log({"late": 1}, step=7)
run.log({"more": 2}, step=7, commit=True)
seen["steps"] = [*steps, run.step]
run.summary["score"] = 0.5
seen["summary"] = {key: run.summary[key] for key in ("loss", "score", "late")}
seen["max"] = run.summary["best"]["max"]
seen["absent"] = run.summary.get("nothing", "default")

table = wandb.Table(columns=["a", "b"], data=[[1, "x"]])
table.add_data(2, "y")
table.add_column("c", [True, False])
seen["table"] = [table.columns, table.data, table.get_column("a")]
histogram = wandb.Histogram([1, 2, 3, 4], num_bins=2)
seen["histogram"] = [list(map(float, histogram.histogram)), list(map(float, histogram.bins))]
for bad in ("text", {1: 2}):
    try:
        run.log(bad)
    except Exception as error:
        seen[f"bad {type(bad).__name__}"] = [type(error).__name__, str(error)]
run.finish()
seen["after"] = wandb.run
try:
    run.log({"x": 1})
except wandb.Error as error:
    seen["finished"] = [type(error).__name__, str(error)]
try:
    wandb.log({"x": 1})
except wandb.Error as error:
    seen["no run"] = str(error)
print(json.dumps(seen))
