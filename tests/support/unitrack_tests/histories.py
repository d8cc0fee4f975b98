"""Runs as unitrack and as the plain SDKs write them, one small store of each kind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

import unitrack

_PLAIN_WANDB = """
import wandb, numpy
with wandb.init(project="digits", name="plain", id="theirs", config={"lr": 0.1, "model": {"depth": 4}}, notes="a note",
                tags=["baseline"], group="folds") as run:
    for step in range(5):
        run.log({"loss": 1 / (step + 1), "val/acc": step / 3})
    run.log({"picture": wandb.Image(numpy.zeros((2, 2, 3), dtype="uint8")), "loss": float("nan")})
"""


_PLAIN_TRACKIO = """
import trackio
run = trackio.init("digits", name="plain", config={"lr": 0.1, "model": {"depth": 4}}, embed=False, auto_log_gpu=False,
                   auto_log_cpu=False)
for step in range(5):
    trackio.log({"loss": 1 / (step + 1), "val/acc": step / 3})
run.finish()
"""
_TRACKIO_BY_UNITRACK = """
from pathlib import Path
from unitrack_tests.histories import log_run
log_run(Path("of-trackio"), [{"trackio": {"project": "matrix"}}], files=False)
"""


def write_all(folder: Path) -> dict[str, str]:
    """Write a store of each kind below `folder`; return the location of each by its name."""
    trackio = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            env=os.environ | {"TRACKIO_DIR": str(folder / name), "HF_HUB_OFFLINE": "1"},
            cwd=folder,
            stdout=subprocess.DEVNULL,
        )
        for name, code in (("trackio", _TRACKIO_BY_UNITRACK), ("plain-trackio", _PLAIN_TRACKIO))
    ]  # in processes of their own, as trackio has one folder in a process: without files, which would take seconds each
    plain = {
        "plain-local": _plain_local(folder / "plain-local"),
        "plain-mlflow": _plain_mlflow(f"sqlite:///{folder}/plain-mlflow.db", folder / "plain-artifacts"),
        "plain-tensorboard": _plain_tensorboard(folder / "plain-tensorboard"),
        "plain-wandb": _plain_wandb(folder / "plain-wandb"),
        "plain-trackio": f"trackio:{folder}/plain-trackio",
    }
    locations = _by_unitrack(folder) | plain
    for writer in trackio:
        assert writer.wait(60) == 0
    return locations


def _by_unitrack(folder: Path) -> dict[str, str]:
    locations = {
        "local": f"local:{folder}/local",
        "mlflow": f"mlflow:sqlite:///{folder}/mlflow.db",
        "tensorboard": f"tensorboard:{folder}/tensorboard",
        "wandb": f"wandb:{folder}/wandb",
        "trackio": f"trackio:{folder}/trackio",
        "sql": f"sql:{folder}/runs.db",
    }
    sinks = [
        "local",
        {"mlflow": {"tracking_uri": f"sqlite:///{folder}/mlflow.db", "artifact_location": str(folder / "artifacts")}},
        {"tensorboard": {"logdir": f"{folder}/tensorboard"}},
        {"wandb": {"mode": "offline", "dir": f"{folder}/wandb"}},
        {"sql": {"url": f"sqlite:///{folder}/runs.db"}},
    ]
    log_run(folder / "local", sinks)
    return locations


def log_run(root: Path, sinks: list[Any], *, files: bool = True) -> None:
    """Log a run with a little of everything, with files or without."""
    run = unitrack.start_run(
        "by-unitrack",
        run_id="by-unitrack",
        project="matrix",
        root=root,
        sinks=sinks,
        description="a note",
        tags={"team": "nlp", "unitrack.parent": "p1", "unitrack.group": "folds"},
        delivery="inline",
        config={"safeguards": {"non_finite": "keep"}},
    )
    run.log_params({"lr": 0.1, "model": {"depth": 4, "name": "resnet"}, "flag": True, "none": None, "sizes": [1, 2]})
    for step in (0, 1, 7, 3):
        run.log_metrics({"loss": 1 / (step + 3), "val/mean@1": step * 1e-9}, step=step)
    run.log_metrics({"loss": float("nan"), "rate": float("inf")}, step=8)
    if files:
        run.log_text("hello", "notes/a.txt")
        run.log_image(np.zeros((2, 2, 3), dtype="uint8"), "sample", step=7, caption="dark")
        run.log_histogram(np.arange(4), "weights", step=7)
        run.log_table([[1, "a"]], "table", columns=["n", "letter"])
    run.define_metric("loss", summary="min")
    report = run.finish("failed", timeout=60)
    assert report.ok, report


def _plain_local(folder: Path) -> str:
    """As the loop of many tutorials writes a run."""
    run = folder / "run_20240101_101010"
    (run / "artifacts").mkdir(parents=True)
    (run / "metadata.json").write_text(
        json.dumps({"run_name": "plain", "start_time": "20240101_101010", "status": "completed"})
    )
    (run / "params.json").write_text('{"lr": 0.1, "model": {"depth": 4}}')
    lines = [json.dumps({"step": step, "metrics": {"loss": 1 / (step + 1)}}) for step in range(5)]
    (run / "metrics.jsonl").write_text("\n".join([*lines, '{"step": 5, "metrics": {"loss": NaN}}']) + "\n")
    (run / "artifacts" / "model.pt").write_bytes(b"weights")
    return f"local:{folder}"


def _plain_mlflow(uri: str, artifacts: Path) -> str:
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    experiment = client.create_experiment("digits", artifact_location=str(artifacts))
    tags = {"mlflow.runName": "plain", "team": "nlp", "mlflow.note.content": "a note"}
    run = client.create_run(experiment, start_time=1_700_000_000_000, tags=tags).info.run_id
    client.log_param(run, "lr", 0.1)
    client.log_param(run, "model.depth", 4)
    for step in (0, 1, 7, 3):
        client.log_metric(run, "loss", 1 / (step + 3), timestamp=1_700_000_000_000 + step, step=step)
    client.log_text(run, "hello", "notes/a.txt")
    client.log_dict(run, {"a": 1}, "config.json")
    client.set_terminated(run, "KILLED", end_time=1_700_000_001_000)
    child = client.create_run(experiment, start_time=1_700_000_000_500, tags={"mlflow.parentRunId": run}).info.run_id
    client.log_metric(child, "loss", 0.5, timestamp=1_700_000_000_600, step=0)
    client.set_terminated(child)
    return f"mlflow:{uri}"


def _plain_tensorboard(folder: Path) -> str:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    writer = EventFileWriter(str(folder / "exp 1" / "train"))
    for step in range(5):
        values = [Summary.Value(tag="loss", simple_value=0.5 / (step + 1)), Summary.Value(tag="a", simple_value=step)]
        writer.add_event(Event(wall_time=1_700_000_000.5 + step, step=step, summary=Summary(value=values)))
    writer.close()
    return f"tensorboard:{folder}"


def _plain_wandb(folder: Path) -> str:
    folder.mkdir()
    quiet = {
        "WANDB_MODE": "offline",
        "WANDB_SILENT": "true",
        "WANDB_DIR": str(folder),
        "WANDB_ERROR_REPORTING": "false",
    }
    subprocess.run([sys.executable, "-c", _PLAIN_WANDB], env=os.environ | quiet, check=True, timeout=120)
    return f"wandb:{folder}"
