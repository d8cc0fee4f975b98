"""`--replace wandb`: the script is the same, W&B gets nothing, and what is read back is the same as well."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from unitrack_tests.captured import SCRIPTS, differences, run_captured

from unitrack.reading import runs

NO_WANDB = "import sys; sys.modules['wandb'] = None; "
"""So that the SDK can't be imported."""


def test_points_params_and_files_are_those_of_mirror_mode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb", reason="compares with W&B's SDK")
    pytest.importorskip("unitrack_wandb", reason="needs unitrack-wandb, which reads the offline file")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    run_captured("wandb_training.py", options=("--replace", "wandb"), WANDB_MODE="online", UNITRACK_ROOT="replaced")
    assert not (tmp_path / "wandb").exists()
    run_captured("wandb_training.py", UNITRACK_ROOT="mirrored")
    [original], [mirrored], [replaced] = runs("wandb:wandb"), runs("local:mirrored"), runs("local:replaced")
    assert differences(original, replaced) == []
    page = {"page-25.html": ""}  # W&B puts its style sheet into it
    assert mirrored.digests() | page == replaced.digests() | page
    [ours, theirs] = ({one.name: one.annotations for one in run.artifacts} for run in (replaced, mirrored))
    assert ours["image-25.png"] == theirs["image-25.png"]
    same = ("name", "project", "description", "group", "job_type", "status")
    assert {name: getattr(replaced, name) for name in same} == {name: getattr(mirrored, name) for name in same}


def test_what_is_read_back_is_what_wandb_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb", reason="compares with W&B's SDK")
    monkeypatch.chdir(tmp_path)
    script = [sys.executable, str(SCRIPTS / "wandb_reading.py")]
    quiet = os.environ | {"WANDB_MODE": "offline", "WANDB_SILENT": "true"}
    real = subprocess.run(script, env=quiet, capture_output=True, text=True, timeout=100)
    program = str(Path(sys.executable).with_name("unitrack"))
    ours = subprocess.run(
        [program, "capture", "--sinks", "local", "--replace", "wandb", "--", *script], capture_output=True, text=True
    )
    assert json.loads(ours.stdout) == json.loads(real.stdout)


def test_after_the_import_as_in_a_notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names that other modules hold are replaced as well."""
    pytest.importorskip("wandb", reason="is about its SDK")
    monkeypatch.chdir(tmp_path)
    code = """
import wandb
from wandb import init, log
import unitrack
unitrack.capture("wandb", replace="wandb", sinks="local")
run = init(project="notebook")
log({"loss": 1.5})
wandb.log({"loss": 0.5})
assert type(run).__module__.startswith("unitrack"), run
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    [run] = runs("local:experiments")
    assert run.history("loss").values.tolist() == [1.5, 0.5]
    assert not (tmp_path / "wandb").exists()


def test_the_module_works_without_the_sdk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is not finished ends with the process: as failed, if an exception ends it."""
    monkeypatch.chdir(tmp_path)
    code = NO_WANDB + (
        "from unitrack.capture import wandb\n"
        "wandb.init(project='p', config={'lr': 0.1})\n"
        "open(wandb.run.dir + '/model.txt', 'w').write('weights')\n"
        "wandb.log({'loss': 0.5}, commit=False)\n"
        "raise SystemError('stop')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100)
    assert "SystemError: stop" in done.stderr
    [run] = runs("local:experiments")
    assert (run.status, run.params, run.metrics["loss"].last) == ("failed", {"lr": 0.1}, 0.5)
    assert [artifact.name for artifact in run.artifacts] == ["model.txt"]


def test_names_that_need_wandb_say_why() -> None:
    from unitrack.capture import wandb

    for name in ("Api", "sweep", "keras"):
        with pytest.raises(wandb.UsageError, match=rf"wandb\.{name} is not available without W&B: .+"):
            getattr(wandb, name)()
    with pytest.raises(wandb.Error, match=r"You must call wandb\.init\(\) before wandb\.log\(\)"):
        wandb.log({"a": 1})
    with pytest.raises(AttributeError, match="nonsense"):
        wandb.nonsense  # noqa: B018


def test_a_disabled_run_logs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from unitrack.capture import wandb

    monkeypatch.chdir(tmp_path)
    with wandb.init(mode="disabled", config={"a": 1}) as run:
        run.log({"loss": 1})
        assert (run.config.a, run.disabled) == (1, True)
    assert wandb.run is None
    assert not (tmp_path / "experiments").exists()
