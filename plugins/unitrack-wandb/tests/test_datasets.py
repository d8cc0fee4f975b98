"""Datasets of a run are W&B artifacts of the type "dataset"."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stand_in_server import StandInServer
from wandb_reading import Drive

import unitrack
from unitrack.hookspecs import RunContext
from unitrack_wandb.datasets import MARK, artifact_name
from unitrack_wandb.offline_run import OfflineRun


def logged(run: unitrack.Run) -> dict[str, dict[str, object]]:
    """Return the metadata of the artifacts in the SDK's own file of an offline run, by type and name."""
    header = OfflineRun(Path(run.links()["wandb"].location)).header
    return {f"{one.type}/{one.name}": json.loads(one.metadata) for one in header.artifacts}


def test_an_offline_run_has_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With hash, rows and schema as metadata; read back they are what unitrack logged, once."""
    monkeypatch.chdir(tmp_path)
    Path("train.csv").write_text("x,label\n1,a\n2,b\n")
    sinks = [{"wandb": {"mode": "offline"}}]
    with unitrack.start_run("data", project="p", sinks=sinks, delivery="inline", root="runs") as run:
        run.log_metrics({"loss": 1.0})
        run.log_dataset("train.csv")
        run.log_dataset(np.zeros((3, 2)), "valid set", context="validation")
    found = logged(run)
    assert found.keys() == {"dataset/train", f"dataset/{artifact_name('valid set')}"}
    train = found["dataset/train"]
    assert (train[MARK], train["kind"], train["rows"], train["columns"]) == (1, "csv", 2, {"x": "", "label": ""})
    [stored] = unitrack.runs(f"wandb:{run.links()['wandb'].location}")
    assert {one.name: one.type for one in stored.artifacts} == {
        "datasets/train.json": "dataset",
        "datasets/valid set.json": "dataset",
    }


def test_a_resumed_run_keeps_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder of the second session is the whole run."""
    monkeypatch.chdir(tmp_path)
    options = {"project": "p", "sinks": [{"wandb": {"mode": "offline"}}], "root": "runs"}
    with unitrack.start_run("data", run_id="r1", delivery="inline", **options) as run:  # type: ignore[arg-type]
        run.log_dataset(np.zeros(3), "first")
    with unitrack.start_run("data", run_id="r1", resume="must", delivery="inline", **options) as run:  # type: ignore[arg-type]
        run.log_dataset(np.ones(3), "second")
    assert logged(run).keys() == {"dataset/first", "dataset/second"}


def test_names() -> None:
    """W&B takes letters, digits, "_", "-" and "."; different names stay different."""
    assert artifact_name("train-1.0_x") == "train-1.0_x"
    assert len({artifact_name(name) for name in ("a b", "a_b", "a/b", "ü" * 200, "x" * 200, "x" * 201)}) == 6


def test_a_server_that_takes_no_artifacts_gets_the_file(
    server: StandInServer, online: dict[str, Any], run: RunContext, drive: Drive
) -> None:
    """The run ends all the same: the record of a dataset is among its files."""
    driver = drive(run=run, **online)
    content = b'{"name":"train","kind":"csv","digest":"5e1f","rows":2}'
    driver.artifact("datasets/train.json", content, type="dataset")
    driver.metrics({"v": 1.0}, step=1)
    driver.end()
    stored = server.runs[run.start.run_id]
    assert stored.files["datasets/train.json"] == content
    assert stored.exit_code == 0
