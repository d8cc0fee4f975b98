"""Source files of a run are a W&B artifact of the type "code"."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from stand_in_server import StandInServer

import unitrack
from unitrack_wandb.offline_run import OfflineRun


def test_an_offline_run_has_its_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a second session as well. Read back, it is the folder that unitrack logged, once."""
    monkeypatch.chdir(tmp_path)
    Path("src").mkdir()
    Path("src/train.py").write_text("print(1)")
    options = {"project": "p", "sinks": [{"wandb": {"mode": "offline"}}], "root": "runs", "delivery": "inline"}
    with unitrack.start_run("a", run_id="r1", **options) as run:  # type: ignore[arg-type]
        run.log_code("src")
    with unitrack.start_run(run_id="r1", resume="must", **options) as run:  # type: ignore[arg-type]
        run.log_metrics({"loss": 0.5})
    place = run.links()["wandb"].location
    [artifact] = OfflineRun(Path(place)).header.artifacts
    assert (artifact.type, artifact.name) == ("code", "unitrack-source-p-code")
    [stored] = unitrack.runs(f"wandb:{place}")
    assert [(one.name, one.type) for one in stored.artifacts] == [("code", "code")]
    assert stored.fetch("code", tmp_path / "back").joinpath("train.py").read_text() == "print(1)"


def test_a_server_gets_it(
    tmp_path: Path, server: StandInServer, online: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside the files of the run; a server that takes no artifacts has those."""
    monkeypatch.chdir(tmp_path)
    Path("src").mkdir()
    Path("src/train.py").write_text("print(1)")
    sinks = [{"wandb": online}]
    with unitrack.start_run("a", run_id="r1", project="tests", sinks=sinks, root="runs", delivery="inline") as run:
        run.log_code("src")
    assert run.finish().ok
    assert server.runs["r1"].files["artifacts/code/train.py"] == b"print(1)"
    assert server.runs["r1"].exit_code == 0
