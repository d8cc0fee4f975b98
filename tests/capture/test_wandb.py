"""A W&B script, unchanged: its own offline file and the captured run hold the same."""

from __future__ import annotations

import pytest
from unitrack_tests.captured import captured_of, differences, run_captured

from unitrack.reading import runs
from unitrack.records import metric_definitions

pytest.importorskip("wandb", reason="needs W&B's SDK")
pytest.importorskip("unitrack_wandb", reason="needs unitrack-wandb, which reads the offline file")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The report of the script, which ran in the working directory."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("trained"))
        return run_captured("wandb_training.py")


@pytest.fixture
def folder(trained: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path_factory.getbasetemp() / "trained0")


def test_points_and_params_are_those_of_the_offline_file_step_for_step(folder: None) -> None:
    [original] = runs("wandb:wandb")
    captured = captured_of(original.id)
    assert differences(original, captured) == []
    assert captured.history("val/acc").steps.tolist() == [1, 2, 3, 4, 5]
    assert captured.params == {"lr": 0.1, "model.depth": 4, "epochs": 5}


def test_identity_relations_and_definitions_arrive(folder: None) -> None:
    [original] = runs("wandb:wandb")
    captured = captured_of(original.id)
    assert (captured.name, captured.project, captured.description) == ("first", "demo", "a try")
    assert (captured.group, captured.job_type, captured.tags["baseline"]) == ("g", "train", "")
    assert "late" in captured.tags
    assert captured.tags["wandb.name"] == "renamed"
    assert metric_definitions(captured.tags) == metric_definitions(original.tags)
    assert captured.tags["summary.verdict"] == "good"
    assert "trained" in captured.tags["unitrack.alert.done"]
    assert captured.status == "finished"


def test_media_and_files_arrive_with_their_content(folder: None) -> None:
    [original] = runs("wandb:wandb")
    captured = captured_of(original.id)
    names = {artifact.name: artifact for artifact in captured.artifacts}
    assert {
        "image-25.png",
        "values-25.json",
        "rows-25.json",
        "page-25.html",
        "notes.txt",
        "matrix_table-26.json",
    } <= set(names)
    annotations = names["image-25.png"].annotations
    assert annotations["caption"] == "gray"
    assert annotations["boxes"]["found"]["box_data"][0]["position"]["maxY"] == 0.6
    assert annotations["masks"]["truth"]["class_labels"] == {"1": "road"}
    assert any(name.endswith("wandb_training.py") for name in captured.digests())
    assert set(original.digests().values()) & set(captured.digests().values())


def test_the_report_says_what_was_left_out(trained: str) -> None:
    assert "captured wandb run first" in trained
    assert "1 call of `wandb.Object3D` was not captured" in trained
    assert "`wandb.plot.confusion_matrix` was captured as the table behind it" in trained
    assert "below the current one" in trained


def test_an_exit_code_is_a_failed_run(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(str(tmp_path))
    run_captured("wandb_training.py", "3")
    [captured] = runs("local:experiments")
    assert captured.status == "failed"
