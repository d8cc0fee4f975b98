"""MLflow's fluent functions without MLflow."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from unitrack_tests.captured import captured_of

from unitrack.capture.compatibility import Support, tables
from unitrack.reading import runs

SCRIPT = """
import mlflow
from mlflow.tracking import MlflowClient

mlflow.set_tracking_uri("http://127.0.0.1:9")
mlflow.set_experiment("demo")
with mlflow.start_run(run_name="first", tags={"team": "nlp"}, description="a try") as run:
    mlflow.log_params({"lr": 0.1, "flag": True})
    for step in range(3):
        mlflow.log_metric("loss", step / 2, step=step)
    mlflow.log_metrics({"once": 7})
    mlflow.log_text("hello", "notes/hello.txt")
    mlflow.log_dict({"a": 1}, "a.json")
    with mlflow.start_run(run_name="child", nested=True):
        mlflow.log_metric("inner", 3)
    try:
        mlflow.log_param("lr", 0.2)
    except mlflow.MlflowException as error:
        mlflow.set_tag("refused", error)
assert mlflow.active_run() is None and mlflow.last_active_run().info.run_id == run.info.run_id
client = MlflowClient()
other = client.create_run(client.create_experiment("demo"), run_name="by client")
client.log_metric(other.info.run_id, "m", 1.5, step=4)
client.log_param(other.info.run_id, "p", "x")
client.set_terminated(other.info.run_id, "FAILED")
mlflow.sklearn.autolog()
mlflow.log_metric("left open", 1)
"""


def test_a_script_logs_the_same_with_mlflow_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server that it names is not asked."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "script.py").write_text(SCRIPT)
    program = str(Path(sys.executable).with_name("unitrack"))
    command = [program, "capture", "--sinks", "local", "--replace", "mlflow", "--", sys.executable, "script.py"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    found = {run.name: run for run in runs("local:experiments")}
    first, child, other = found["first"], found["child"], found["by client"]
    assert (first.project, first.description, first.tags["team"]) == ("demo", "a try", "nlp")
    assert first.params == {"lr": 0.1, "flag": True}
    assert first.history("loss").values.tolist() == [0, 0.5, 1]
    assert "Changing param values is not allowed" in first.tags["refused"]
    assert {artifact.name for artifact in first.artifacts} == {"notes/hello.txt", "a.json"}
    assert (child.parent, child.metrics["inner"].last, child.status) == (first.id, 3, "finished")
    assert (other.status, other.params, other.history("m").steps.tolist()) == ("failed", {"p": "x"}, [4])
    assert len(found) == 4 and "mlflow.autolog" in done.stderr


def test_the_module_imports_without_the_sdk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code = "import sys; sys.modules['mlflow'] = None\nfrom unitrack.capture import mlflow\n"
    code += "with mlflow.start_run() as run: mlflow.log_metric('a', 1)\nprint(run.info.run_id)"
    environ = os.environ | {"UNITRACK_SINKS": "local"}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, timeout=60)
    assert captured_of(done.stdout.strip()).metrics["a"].last == 1, done.stderr


@pytest.mark.parametrize("row", tables()["mlflow"], ids=lambda row: row.name)
def test_each_name_is_what_the_table_says(row: Support) -> None:
    from unitrack.capture import mlflow

    found = getattr(mlflow, row.name)
    if row.verdict == "raises":
        with pytest.raises(mlflow.MlflowException, match=row.name):
            found()
    else:
        assert callable(found)


def test_the_table_has_every_name() -> None:
    mlflow = pytest.importorskip("mlflow", reason="compares with MLflow's SDK")
    if not mlflow.__version__.startswith("3.17."):
        pytest.skip(f"the table is that of mlflow 3.17, this is {mlflow.__version__}")
    from unitrack.capture.mlflow.public_names import MLFLOW

    assert set(MLFLOW) == set(mlflow.__all__)


def test_the_writers_table_has_every_method() -> None:
    """And the drop-in writer has each."""
    from unitrack.capture.compatibility import SUMMARY_WRITER
    from unitrack.capture.tensorboard import SummaryWriter

    writer = SummaryWriter("runs/unused")
    assert all(callable(getattr(writer, name)) for name in SUMMARY_WRITER)
    with pytest.raises(AttributeError):
        writer.nothing  # noqa: B018
    real = pytest.importorskip("torch.utils.tensorboard", reason="compares with torch's writer")
    assert {name for name in dir(real.SummaryWriter) if name[0] != "_"} == set(SUMMARY_WRITER)
