"""The handle of a run, end to end: what was logged is what the local files hold, in all three modes of delivery."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from unitrack_tests.local_files import MODES, Mode, gone, holding, logged, metadata

import unitrack
from unitrack.runfolder.run_folder import RunFolder
from unitrack.system.files import files_below


@pytest.mark.parametrize("delivery", MODES)
def test_everything_that_is_logged_is_in_the_local_files(root: Path, delivery: Mode) -> None:
    """Each public method once, read back from the local files."""
    (root / "model.pt").write_bytes(b"weights")
    (root / "folder" / "sub").mkdir(parents=True)
    (root / "folder" / "sub" / "a.txt").write_text("a")
    with unitrack.start_run(
        "everything",
        project="tests",
        sinks=["local"],
        tags={"team": "vision"},
        description="all of it",
        params={"seed": 1},
        delivery=delivery,
        root=root / "runs",
    ) as run:
        assert str(run) == run.id
        assert run.id in repr(run)
        assert (run.name, run.project, run.path) == ("everything", "tests", root / "runs" / "everything")
        run.log_params({"model": {"depth": 4}, "lr": 0.1})
        run.log_param("lr", 0.2)
        run.log_metrics({"loss": 0.5, "acc": 1})
        run.log_metrics({"loss": 0.25}, step=10)
        run.log_metric("loss", np.float32(0.125))
        run.log_metrics({"loss": 1e-300}, step=3)
        run.set_tags({"stage": "late", "n": 1})
        run.log_artifact("model.pt")
        run.log_artifact(root / "model.pt", "weights/best.pt")
        run.log_artifact("model.pt", "checkpoints/")
        run.log_artifact("folder")
        run.log_artifacts("folder", "flat")
        run.log_text("hello", "notes/hello.txt")
        run.log_dict({"a": [1, 2]}, "d.json")
        run.log_dict({"a": [1, 2]}, "d.yaml")
        run.log_image(np.zeros((4, 4, 3), dtype=np.uint8), "black.png", step=7)
        run.log_model("model.pt")
        report = run.flush()
        assert report["local"].pending == 0
        run.log_environment()
        assert run.links()["local"].location == str(root / "runs")
    report = run.finish()
    assert report.ok
    assert report["local"].state == "complete"
    assert logged(run) == [
        (0, {"loss": 0.5, "acc": 1.0}),
        (10, {"loss": 0.25}),
        (11, {"loss": 0.125}),
        (3, {"loss": 1e-300}),
    ]
    params = json.loads((run.path / "params.json").read_text())
    assert (params["seed"], params["model"], params["lr"]) == (1, {"depth": 4}, 0.2)
    assert params["python_version"]
    meta = metadata(run)
    assert (meta["run_name"], meta["status"], meta["run_id"]) == ("everything", "completed", run.id)
    assert meta["tags"] == {"team": "vision", "stage": "late", "n": "1"}
    artifacts = {
        path.relative_to(run.path / "artifacts").as_posix(): path.read_bytes()
        for path in (run.path / "artifacts").rglob("*")
        if path.is_file()
    }
    assert artifacts.pop("black-7.png").startswith(b"\x89PNG")
    assert json.loads(artifacts.pop("d.json")) == {"a": [1, 2]}
    environment = {name for name in list(artifacts) if name.startswith("environment/") and artifacts.pop(name)}
    assert environment == {f"environment/{name}" for name in ("call.json", "environment.json", "requirements.txt")}
    assert artifacts == {
        "model.pt": b"weights",
        "weights/best.pt": b"weights",
        "checkpoints/model.pt": b"weights",
        "folder/sub/a.txt": b"a",
        "flat/sub/a.txt": b"a",
        "notes/hello.txt": b"hello",
        "d.yaml": b"a:\n- 1\n- 2\n",
        "model/model.pt": b"weights",
    }
    assert gone(run.path / ".spool")
    assert sorted(path.name for path in root.iterdir()) == ["folder", "model.pt", "runs"]


SECRET = "hunter2-canary"


@pytest.mark.parametrize("delivery", ["inline", "process"])
def test_no_secret_is_in_any_byte_of_the_run_folder(root: Path, delivery: Mode) -> None:
    """Wherever it came in; looked for in the spool while the run lasts, and in the files after it."""
    url = f"https://me:{SECRET}@host/x"
    key = f"sk-{SECRET}{SECRET}"

    def assert_clean() -> None:
        assert len(list(files_below(root))) > 5
        assert holding(root, SECRET.encode()) == []

    sinks = ["local", {"probe": {"out": str(root / "probe"), "troubles": []}}]
    with unitrack.start_run(
        "a", sinks=sinks, project="p", tags={"api_key": SECRET, "url": url}, description=f"see {url}",
        params={"db": {"password": SECRET}}, delivery=delivery, root=root / "runs",
        config={"safeguards": {"redact": ["*_pin"]}, "artifacts": {"save_config": True}},
    ) as run:  # fmt: skip
        run.log_params({"url": url, "keys": [key], "token": SECRET, "door_pin": SECRET, "n": {"secret": [SECRET]}})
        run.log_param("github_token", SECRET)
        run.set_tags({"password": SECRET, "x": key})
        run.log_text(f"the key is {key} at {url}", "a.txt")
        run.log_dict({"password": SECRET, "door_pin": SECRET, "l": [url]}, "a.json")
        run.log_dict({"password": SECRET}, "a.yaml")
        run.flush()
        assert_clean()
    assert_clean()


def test_the_manifest_is_readable_by_others(root: Path) -> None:
    """It names the run, its sinks and its owner."""
    with unitrack.start_run("a", delivery="inline", root=root) as run:
        manifest = RunFolder(run.path).read_manifest()
        assert manifest.run.run_id == run.id
        assert [sink.name for sink in manifest.sinks] == ["local"]
        assert manifest.owner.pid == os.getpid()
        assert manifest.owner.is_alive()
