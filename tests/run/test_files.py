"""The artifacts of a run: copies of the moment of the call, which stay in the run's folder."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from unitrack_tests.local_files import logged, metadata

import unitrack
from unitrack.errors import (
    ArtifactNotFoundError,
    InvalidValueError,
)


def test_the_copy_of_an_artifact_is_that_of_the_call(root: Path) -> None:
    """What training writes into the file afterwards is not logged."""
    with unitrack.start_run("a", delivery="thread", root=root / "runs") as run:
        for version in range(5):
            (root / "model.pt").write_text(str(version))
            run.log_artifact("model.pt", f"v{version}.pt")
        (root / "model.pt").write_text("later")
    assert [(run.path / "artifacts" / f"v{v}.pt").read_text() for v in range(5)] == list("01234")


def test_an_artifact_logged_twice_is_the_last_one(root: Path) -> None:
    """Files and folders replace each other, whichever came first."""
    (root / "file").write_text("file")
    (root / "folder").mkdir()
    (root / "folder" / "x").write_text("x")
    with unitrack.start_run("a", delivery="inline", root=root / "runs") as run:
        run.log_text("1", "a.txt")
        run.log_text("2", "a.txt")
        run.log_artifact("folder", "swap")
        run.log_artifact("file", "swap")
        run.log_artifact("file", "other")
        run.log_artifact("folder", "other")
        assert run.flush().ok
    artifacts = run.path / "artifacts"
    assert (artifacts / "a.txt").read_text() == "2"
    assert (artifacts / "swap").read_text() == "file"
    assert (artifacts / "other" / "x").read_text() == "x"
    assert metadata(run)["status"] == "completed"


def test_an_artifact_below_another_ones_file_costs_only_itself(root: Path) -> None:
    """No file system holds both "a" and "a/b": the second is a dead letter, the run goes on."""
    run = unitrack.start_run("a", delivery="inline", root=root / "runs")
    run.log_text("1", "a")
    run.log_text("2", "a/b")
    run.log_metric("loss", 1)
    with pytest.warns(unitrack.DeliveryWarning, match="1 dead-lettered"):
        report = run.finish()
    assert (report["local"].state, report["local"].dead_lettered) == ("complete", 1)
    assert logged(run) == [(0, {"loss": 1.0})]


def test_names_of_artifacts_that_leave_the_run_write_nothing(root: Path) -> None:
    """By any method, neither in the run nor outside of it, and nothing is left in the spool."""
    (root / "file").write_text("x")
    with unitrack.start_run("a", delivery="inline", root=root / "runs") as run:
        for name in ("../x", "/tmp/x", "..", "a/../../x", "\\x", "", "a\0b"):
            for log in (
                lambda name=name: run.log_text("t", name),
                lambda name=name: run.log_dict({}, name),
                lambda name=name: run.log_image(np.zeros((2, 2), np.uint8), (name or "..") + "/x.png"),
                lambda name=name: run.log_artifact("file", name or "../"),
                lambda name=name: run.log_model("file", name or ".."),
            ):
                with pytest.raises(InvalidValueError, match=r"artifact path|image format"):
                    log()
        staged = list((run.path / ".spool").rglob("files/*/*"))
        assert staged == []
    assert sorted(path.name for path in root.iterdir()) == ["file", "runs"]


def test_a_page_is_a_text_or_a_path(root: Path) -> None:
    """Anything else is told so, by name."""
    with unitrack.start_run("a", sinks=["local"], delivery="inline", root=root) as run:
        with pytest.raises(TypeError, match="log_html"):
            run.log_html(3, "page")  # type: ignore[arg-type]
        run.log_html("<p>", "page")
    assert (run.path / "artifacts" / "page.html").read_text() == "<p>"


def test_texts_larger_than_allowed_leave_nothing_behind(root: Path) -> None:
    """The limit holds for what is made as well as for what is copied."""
    with unitrack.start_run(
        "a", config={"safeguards": {"max_artifact_bytes": 10}}, delivery="inline", root=root
    ) as run:
        run.log_text("x" * 10, "ok.txt")
        with pytest.raises(InvalidValueError, match="too large"):
            run.log_text("x" * 11, "big.txt")
        assert [path.name for path in (run.path / ".spool").rglob("files/*/*")] == ["ok.txt"]


def test_missing_artifacts_are_file_not_found(root: Path) -> None:
    """Whichever method was asked."""
    with unitrack.start_run("a", delivery="inline", root=root) as run:
        for log in (run.log_artifact, run.log_artifacts, run.log_model):
            with pytest.raises(ArtifactNotFoundError, match=r"missing\.pt"):
                log("missing.pt")
        with pytest.raises(ArtifactNotFoundError, match=r"missing\.png"):
            run.log_image("missing.png", "x.png")
        (root / "file").write_text("x")
        with pytest.raises(InvalidValueError, match="log_artifact"):
            run.log_artifacts(root / "file")


def test_the_working_directory_can_be_logged(root: Path) -> None:
    """`.` has a name too."""
    work = root / "work"
    work.mkdir()
    (work / "a.txt").write_text("a")
    with unitrack.start_run("a", delivery="inline", root=root / "runs") as run:
        os.chdir(work)
        run.log_artifact(".")
        run.log_artifacts(".")
    artifacts = run.path / "artifacts"
    assert sorted(path.relative_to(artifacts).as_posix() for path in artifacts.rglob("*.txt")) == [
        "a.txt",
        "work/a.txt",
    ]
