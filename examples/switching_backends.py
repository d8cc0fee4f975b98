"""Train twice, with the backends that a file and then a variable name, and read the runs back from each backend.
The function never changes: `unitrack.yaml` and `UNITRACK_SINKS` decide where its data goes.
"""

import os
from pathlib import Path

import unitrack

CONFIG = """\
experiment: {project: switching}
tracking:
  sinks:
    - local
    - mlflow: {tracking_uri: "sqlite:///mlflow.db"}
"""


def train(name: str) -> unitrack.Run:
    """Train a model; no backend is mentioned."""
    with unitrack.start_run(name, params={"lr": 0.1, "model": {"depth": 4}}) as run:
        loss = 1.0
        for step in range(20):
            loss *= 1 - run.config["lr"]
            run.log_metric("loss", loss, step=step)
    return run


Path("unitrack.yaml").write_text(CONFIG)
both = train("by-file")
os.environ["UNITRACK_SINKS"] = "tensorboard"  # as in the shell: UNITRACK_SINKS=tensorboard python train.py
other = train("by-variable")

histories = []
for run in (both, other):
    for backend, link in run.links().items():
        stored = unitrack.runs(f"{backend}:{link.location}").find(link.id)
        histories.append([(step, value) for step, value, time in stored.history("loss")])
        print(
            f"{run.name:12} {backend:12} {stored.params} {len(histories[-1])} points, loss {stored.summary['loss']:.4f}"
        )
print("every backend has the same points:", all(history == histories[0] for history in histories))
