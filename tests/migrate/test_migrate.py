"""Scripts that are rewritten: what they log is what they logged, and what is left is named."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import unitrack
from unitrack.cli import app
from unitrack.errors import ArtifactNotFoundError, InvalidValueError

pytest.importorskip("libcst", reason="libcst is not installed")

from unitrack.migrate import migrate_script

WANDB = '''\
"""Train with W&B."""
import argparse
import wandb as wb
from wandb import Histogram

wb.login()


def train(run, epochs):
    config = wb.config
    run.define_metric("val/*", summary="max")
    for step in range(epochs):
        run.log({"loss": config.lr / (step + 1), "val": {"acc": step / 7}}, step=step)
        if step % 2:
            wb.log({"late": step}, step=step, commit=True)
    run.log({"weights": Histogram([0.0, 1.0, 1.0]), "end": 0.25})
    wb.run.summary["best"] = 3


with wb.init(
    project="digits",
    name="first",
    config=dict(lr=0.1, depth=4),
    entity="me",
) as run:
    train(run, 4)
'''
MLFLOW = """\
import mlflow
from mlflow import log_metric as measure

mlflow.set_tracking_uri("mlruns")
mlflow.set_experiment("digits")


def main():
    with mlflow.start_run(run_name="first") as run:
        mlflow.log_params({"lr": 0.1, "depth": 4})
        mlflow.set_tag("team", "nlp")
        for step in range(4):
            mlflow.log_metrics({"loss": 0.1 / (step + 1), "acc": step / 7}, step=step)
            measure("late", 1 / 3, step)
        mlflow.log_dict({"a": run.info.run_id != ""}, "a.json")


if __name__ == "__main__":
    main()
"""
TENSORBOARD = """\
from tensorboardX import SummaryWriter


class Trainer:
    def __init__(self):
        self.writer = SummaryWriter("events/first", flush_secs=1)

    def fit(self):
        for step in range(4):
            self.writer.add_scalar("loss", 0.1 / (step + 1), step)
            self.writer.add_scalars("acc", {"train": step / 7, "val": 0.5}, global_step=step)
        self.writer.add_histogram("weights", [0.0, 1.0, 1.0], 3)
        self.writer.close()


Trainer().fit()
"""
SCRIPTS = {
    "wandb": (WANDB, "wandb:.", {"loss", "val.acc", "late", "end", "best"}),
    "mlflow": (MLFLOW, "mlflow:mlruns", {"loss", "acc", "late"}),
    "tensorboardX": (TENSORBOARD, "tensorboard:events", {"loss", "acc/train", "acc/val"}),
}
Points = dict[str, list[tuple[int, float]]]


@pytest.mark.parametrize("sdk", SCRIPTS)
def test_what_the_script_logs_is_what_it_logged(sdk: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read back from the SDK's own store, and from the local files of the rewritten script."""
    pytest.importorskip(sdk, reason=f"{sdk} is not installed")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # a new database takes it 5 s
    before, location, metrics = SCRIPTS[sdk]
    migration = migrate_script(before)
    assert not migration.left
    assert sdk not in migration.after.replace('"""Train with W&B."""', "")
    run_python(before)
    monkeypatch.setenv("UNITRACK_SINKS", "local")
    monkeypatch.setenv("UNITRACK_DELIVERY", "inline")
    exec(compile(migration.after, "train.py", "exec"), {"__name__": "__main__"})
    their_params, theirs = logged(location)
    our_params, ours = logged("local:experiments")
    assert ours.keys() == metrics
    for name in metrics - {"best"}:  # W&B's summary has no steps
        assert ours[name] == [(step, pytest.approx(value, rel=1e-6)) for step, value in theirs[name]]
    assert ours.get("best", [(0, 3.0)])[-1][1] == 3.0
    assert {name: str(value) for name, value in our_params.items()} == {
        name: str(value) for name, value in their_params.items()
    }
    [run] = unitrack.runs("experiments")
    assert (run.name, run.status) == ("first", "finished")
    assert sdk == "tensorboardX" or run.project == "digits"


def run_python(script: str) -> None:
    environment = os.environ | {"WANDB_MODE": "offline", "WANDB_SILENT": "true", "WANDB_API_KEY": "0" * 40}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr


def logged(location: str) -> tuple[dict[str, object], Points]:
    """The params and the points of all runs there, one beside the other: `add_scalars` makes runs of its own."""
    params: dict[str, object] = {}
    points: Points = {}
    for run in unitrack.runs(location):
        params |= run.params
        beside = f"/{run.name}" if "/" in run.id else ""
        for name in run.summary:
            history = run.history(name)
            points[f"{name}{beside}"] = list(zip(history.steps, history.values, strict=True))
    return params, points


def test_what_has_no_counterpart_is_left_and_named() -> None:
    """Then its import stays as well; of two that are imported from one place, the one that is used."""
    script = """\
import wandb
from wandb import Image, Object3D

run = wandb.init("digits")
run = wandb.init(project="digits", resume_from="x", **options)
run = wandb.init(name="a", project="digits")
run.log({"a": Image(pixels), "b": Object3D(points)}, commit=False)
run.log(Image(pixels, grouping=1))
run.log_artifact(made)
run.use_artifact("data:latest")
print(run.url, run.id, wandb.run.step)
ok = wandb.login()
run.finish(code)
table = wandb.Table(columns=["a"])
run.define_metric("a", summary="best")
"""
    migration = migrate_script(script)
    assert [(one.line, one.code) for one in migration.left] == [
        (4, "wandb.init"),
        (5, "wandb.init"),
        (7, "run.log"),
        (7, "Object3D"),
        (8, "Image"),
        (9, "run.log_artifact"),
        (10, "run.use_artifact"),
        (11, "run.url"),
        (11, "wandb.run.step"),
        (12, "wandb.login"),
        (13, "run.finish"),
        (15, "run.define_metric"),
    ]
    assert "import unitrack\nimport wandb\nfrom wandb import Image, Object3D\n" in migration.after
    assert 'run = unitrack.start_run("a", project="digits")' in migration.after
    assert "unitrack.Image(pixels)" in migration.after


def test_an_artifact_of_three_statements_is_one_call() -> None:
    """If they follow one another, and nothing else is said of it."""
    one = """\
import wandb

# the weights
artifact = wandb.Artifact(f"m-{x}", type="model")
artifact.add_file(local_path="m.pt")
wandb.log_artifact(artifact, aliases=["best"])
"""
    assert migrate_script(one).after == (
        'import unitrack\n\n# the weights\nunitrack.log_artifact("m.pt", name=f"m-{x}", aliases=["best"])\n'
    )
    for change in (
        ('type="model"', "type='model', metadata=facts"),
        ("\nwandb.log_artifact", "\nartifact.add_dir(more)\nwandb.log_artifact"),
        ("\nwandb.log_artifact", "\nprint(artifact)\nwandb.log_artifact"),
        ("\nartifact.add", "\nif x:\n    artifact.add"),
        ('local_path="m.pt"', '"m.pt", name="weights.pt"'),
    ):
        left = migrate_script(one.replace(*change)).left
        assert [found.code for found in left] == ["wandb.Artifact", "wandb.log_artifact"]


def test_what_is_dropped_needs_no_import() -> None:
    script = """\
import wandb

wandb.init(name=f"{a}", settings=wandb.Settings(x=1), sync_tensorboard=True)
wandb.run.name = "b"
wandb.config = {}
wandb.config.lr = 1
"""
    migration = migrate_script(script)
    assert migration.after == (
        'import unitrack\nimport wandb\n\nunitrack.start_run(f"{a}")\nwandb.run.name = "b"\n'
        "wandb.config = {}\nunitrack.current_run().config.lr = 1\n"
    )
    assert [(one.line, one.code) for one in migration.left] == [(4, "wandb.run.name"), (5, "wandb.config")]
    assert [one.code for one in migration.dropped] == ["wandb.init(settings=)", "wandb.init(sync_tensorboard=)"]


def test_a_result_that_is_used() -> None:
    """Of MLflow's run its id and name are known; what a model became is not."""
    script = """\
import mlflow

with mlflow.start_run() as run:
    info = mlflow.sklearn.log_model(model, "m")
    print(mlflow.active_run().info.run_id, run.info.run_name, run.data)
"""
    migration = migrate_script(script)
    assert "print(unitrack.current_run().id, run.name, run.data)" in migration.after
    assert [(one.line, one.code) for one in migration.left] == [(4, "mlflow.sklearn.log_model"), (5, "run.data")]


def test_a_run_that_mlflow_starts_by_itself() -> None:
    plain = migrate_script("import mlflow\n\nx = 1\nmlflow.log_metric('a', x)\nmlflow.log_metric('b', x)\n")
    assert plain.after == (
        "import unitrack\n\nx = 1\nunitrack.start_run()\nunitrack.log_metric('a', x)\nunitrack.log_metric('b', x)\n"
    )
    assert not plain.left
    inside = migrate_script("import mlflow\ndef f():\n    mlflow.log_param('a', 1)\n")
    assert [(one.line, "call `unitrack.start_run()` before" in one.why) for one in inside.left] == [(3, True)]


def test_what_mlflow_logs_by_itself() -> None:
    script = "import mlflow\nmlflow.autolog()\nmlflow.xgboost.autolog(log_models=False)\nmlflow.pytorch.autolog()\n"
    migration = migrate_script(script)
    assert migration.after.splitlines()[-3:-1] == [
        "unitrack.autolog()",
        'unitrack.autolog("xgboost", log_models=False)',
    ]
    assert [one.code for one in migration.left] == ["mlflow.pytorch.autolog"]


def test_an_experiment_that_is_not_known_stays() -> None:
    script = "import mlflow\nmlflow.set_experiment(name)\nwith mlflow.start_run():\n    mlflow.log_metric('a', 1)\n"
    migration = migrate_script(script)
    assert [one.code for one in migration.left] == ["mlflow.set_experiment"]
    assert "import mlflow\nmlflow.set_experiment(name)\nwith unitrack.start_run():" in migration.after


def test_a_writer_that_is_an_argument() -> None:
    script = (
        "from torch.utils.tensorboard import SummaryWriter\n\n\n"
        "def fit(out: SummaryWriter, step: int) -> None:\n"
        '    out.add_text("a {b}", "c", step)\n'
        "    out.add_scalars(name, losses)\n"
        "    out.add_mesh('m', v)\n"
        "    out.add_scalar(*pair)\n"
    )
    migration = migrate_script(script)
    assert migration.after == (
        "import unitrack\n\n\n"
        "def fit(out: unitrack.Run, step: int) -> None:\n"
        '    out.log_text("c", f"a {{b}}-{step}.md")\n'
        '    out.log_metrics({f"{name}/{key}": value for key, value in losses.items()})\n'
        "    out.add_mesh('m', v)\n"
        "    out.add_scalar(*pair)\n"
    )
    assert [(one.line, one.why) for one in migration.left] == [
        (7, "it has no counterpart"),
        (8, "its arguments are unpacked with `*`"),
    ]


def test_comments_lines_and_imports_in_functions_stay() -> None:
    script = (
        "import os\n\n"
        "def f():\n    import wandb  # here\n    wandb.log({\n        'a': 1,  # one\n    })\n\n"
        "def g():\n    import wandb\n    wandb.log({'b': 2})\n"
    )
    assert migrate_script(script).after == script.replace("wandb", "unitrack")


@pytest.mark.parametrize(
    "script", ["", "import numpy\nx = 1\n", "run = start()\nrun.log({'a': 1})\nwriter.add_scalar(1)\n"]
)
def test_nothing_to_do(script: str) -> None:
    migration = migrate_script(script)
    assert (migration.after, migration.changed, migration.left, migration.diff("a.py")) == (script, 0, (), "")


@pytest.mark.parametrize("sdk", SCRIPTS)
def test_a_second_time_changes_nothing(sdk: str) -> None:
    after = migrate_script(SCRIPTS[sdk][0]).after
    assert migrate_script(after).after == after


def test_the_command_shows_and_with_write_changes(tmp_path: Path) -> None:
    file = tmp_path / "train.py"
    file.write_text("import wandb\nwandb.log({'a': 1})\nwandb.plot.line(x)")
    file.chmod(0o755)
    shown = CliRunner().invoke(app, ["migrate", str(file)])
    assert shown.exit_code == 0
    assert "-wandb.log({'a': 1})\n+unitrack.log({'a': 1})\n" in shown.output
    assert "line 3: `wandb.plot.line`: it has no counterpart" in shown.output
    assert file.read_text().startswith("import wandb\nwandb.log")
    told = json.loads(CliRunner().invoke(app, ["migrate", "--write", "--json", str(file)]).stdout)
    assert [(one["changed"], one["is_written"], one["left"][0]["line"]) for one in told] == [(1, True, 3)]
    assert file.read_text() == "import unitrack\nimport wandb\nunitrack.log({'a': 1})\nwandb.plot.line(x)"
    assert file.stat().st_mode & 0o777 == 0o755


def test_a_script_keeps_its_encoding(tmp_path: Path) -> None:
    for name, before in [
        ("latin.py", "# -*- coding: latin-1 -*-\r\nimport wandb\r\nwandb.log({'é': 1})\r\n".encode("latin-1")),
        ("mark.py", "import wandb\nwandb.log({'é': 1})\n".encode("utf-8-sig")),
    ]:
        (tmp_path / name).write_bytes(before)
        assert CliRunner().invoke(app, ["migrate", "--write", str(tmp_path / name)]).exit_code == 0
        assert (tmp_path / name).read_bytes() == before.replace(b"wandb", b"unitrack")


def test_files_that_are_no_scripts(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("x = (")
    (tmp_path / "bytes.py").write_bytes(b"x = '\xe9'")
    for path, error, said in [
        ("none.py", ArtifactNotFoundError, "there is no file"),
        ("bad.py", InvalidValueError, "bad.py: it is no Python"),
        ("bytes.py", InvalidValueError, "bytes.py can't be read as text"),
    ]:
        found = CliRunner().invoke(app, ["migrate", str(tmp_path / path)])
        assert isinstance(found.exception, error) and said in str(found.exception)
