"""An MLflow script, unchanged: its own database and the captured runs hold the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from unitrack_tests.captured import captured_of, differences, run_captured

from unitrack.reading import StoredRun, runs

pytest.importorskip("mlflow", reason="needs MLflow's SDK")
pytest.importorskip("sklearn", reason="the script logs a model of scikit-learn")
pytest.importorskip("unitrack_mlflow", reason="needs unitrack-mlflow, which reads the database")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the script ran."""
    path = tmp_path_factory.mktemp("mlflow")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        report = run_captured("mlflow_training.py")
    (path / "report.txt").write_text(report)
    return path


@pytest.fixture
def pairs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[StoredRun, StoredRun]]:
    """The original and the captured run, by name."""
    monkeypatch.chdir(folder)
    return {run.name: (run, captured_of(run.id)) for run in runs("mlflow:sqlite:///mlflow.db")}


def test_points_and_params_are_those_of_the_database_step_for_step(
    pairs: dict[str, tuple[StoredRun, StoredRun]],
) -> None:
    """Logged by fluent functions, by a client, in batches, asynchronously, and by autolog."""
    assert set(pairs) == {"first", "child", "by client", "autologged"}
    for original, captured in pairs.values():
        assert differences(original, captured, text_params=True) == []
        assert (captured.project, captured.status) == (original.project, original.status)
    first = pairs["first"][1]
    assert first.history("late").steps.tolist() == [7, 3]
    assert first.params == {"lr": 0.1, "depth": 4, "kind": "sgd", "flag": True, "odd": "1e-3"}
    assert pairs["by client"][1].status == "failed"
    assert "training_score" in pairs["autologged"][1].metrics


def test_relations_and_tags_arrive(pairs: dict[str, tuple[StoredRun, StoredRun]]) -> None:
    first = pairs["first"][1]
    assert (first.tags["team"], first.tags["stage"], first.description) == ("nlp", "warm-up", "a try")
    assert pairs["child"][1].parent == first.id
    assert not [tag for tag in first.tags if tag.startswith("mlflow.")]


def test_files_and_models_arrive_with_their_content(pairs: dict[str, tuple[StoredRun, StoredRun]]) -> None:
    original, captured = pairs["first"]
    assert captured.digests().items() >= original.digests().items()
    assert set(captured.digests()) == {"notes/hello.txt", "notes/a.json", "gray.png", "rows.json"}
    files = pairs["autologged"][1].digests()
    assert "model/MLmodel" in files
    [described] = [name for name in files if name.startswith("inputs/")]
    [artifact] = [one for one in pairs["autologged"][1].artifacts if one.name == described]
    record = json.loads((Path("experiments/autologged/artifacts") / artifact.name).read_text())
    assert record["tags"]["mlflow.data.context"] == "train"


def test_the_report_names_each_run(folder: Path) -> None:
    report = (folder / "report.txt").read_text()
    assert "captured mlflow run first (mlflow-" in report
    assert "19 points, finished" in report
    assert "were not captured" not in report
