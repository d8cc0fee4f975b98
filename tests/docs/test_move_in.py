"""The tables of "Coming from ...": each right-hand side runs, and is what `unitrack migrate` makes of the left one."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import unitrack
from unitrack.integrations.automatic import switch

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "move-in.md"
BEFORE = {
    "W&B": "import wandb\nrun = wandb.init()\n",
    "trackio": "import trackio\n",
    "MLflow": "import mlflow\nimport mlflow.sklearn\n",
    "TensorBoard": "from tensorboardX import SummaryWriter\nwriter = SummaryWriter()\n",
}
"""What stands above the left-hand sides, by heading. Neptune's are not rewritten."""


def rows() -> Iterator[Any]:
    for section in re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        title = section.partition("\n")[0]
        for left, right in re.findall(r"^\| `(.*)` \| `(.*)` \|$", section, re.MULTILINE):
            yield pytest.param(title, left, right, id=f"{title}: {left[:60]}")


def names(folder: Path) -> dict[str, Any]:
    """What the right-hand sides take for granted."""
    found: dict[str, Any] = {
        "unitrack": unitrack,
        "loss": 0.5,
        "step": 3,
        "image": np.zeros((4, 4), np.uint8),
        "values": np.arange(8.0),
        "sound": np.zeros(80),
        "video": np.zeros((2, 3, 4, 4), np.uint8),
        "accuracies": {"train": 0.5},
        "labels": [0, 1],
        "table": unitrack.Table([], columns=["a", "b"]),
        "predictions": [0.25, 0.75],
        "vectors": np.eye(2),
    }
    (folder / "plots").mkdir()
    for name in ("model.pt", "plots/loss.png", "train.py"):
        (folder / name).write_bytes(b"1")
    return found


@pytest.mark.filterwarnings("ignore::unitrack.AlertWarning")
@pytest.mark.parametrize(("title", "left", "right"), list(rows()))
def test_the_right_hand_side_runs(
    title: str, left: str, right: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UNITRACK_SINKS", "local")
    monkeypatch.setenv("UNITRACK_DELIVERY", "inline")
    given = names(tmp_path)
    for name, module in {"figure": "matplotlib", "estimator": "sklearn", "model": "torch"}.items():
        if re.search(rf"\b{name}\b(?!=)", re.sub(r'"[^"]*"', "", right)):
            pytest.importorskip(module, reason=f"{module} is not installed")
            given |= _object(name)
    if "autolog" in right:
        pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    given["run"] = given["writer"] = run = unitrack.start_run("first")
    try:
        exec(right, given)
    finally:
        switch._on.stop()
        run.finish()
        while (open_run := unitrack.current_run()) is not None:
            open_run.finish()


def _object(name: str) -> dict[str, Any]:
    if name == "figure":
        from matplotlib.figure import Figure

        return {"figure": Figure()}
    if name == "estimator":
        from sklearn.dummy import DummyClassifier

        return {"estimator": DummyClassifier()}
    import torch

    return {"model": torch.nn.Linear(2, 1), "example": torch.zeros(1, 2)}


@pytest.mark.skipif(importlib.util.find_spec("libcst") is None, reason="libcst is not installed")
@pytest.mark.parametrize(("title", "left", "right"), [row for row in rows() if row.values[0] in BEFORE])
def test_the_command_makes_it_of_the_left_hand_side(title: str, left: str, right: str) -> None:
    from unitrack.migrate import migrate_script

    migration = migrate_script(f"{BEFORE[title]}{left}\n")
    assert migration.after.splitlines()[-1] == right
    assert not migration.left
