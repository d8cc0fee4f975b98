"""W&B artifacts of plain offline runs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from wandb_reading import wait_for_end

import unitrack
from unitrack.errors import SourceError
from unitrack.reading import StoredRun


@pytest.fixture(scope="module")
def plain_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an offline run of the plain SDK that logs two versions of a dataset, a model and a reference."""
    import wandb

    root = tmp_path_factory.mktemp("plain")
    settings = wandb.Settings(mode="offline", silent=True, console="off", x_disable_stats=True, reinit="create_new")
    (root / "data" / "inner").mkdir(parents=True)
    (root / "data" / "inner" / "a.txt").write_text("first")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("WANDB_DATA_DIR", str(root / "staging"))
        with wandb.init(project="p", dir=str(root), settings=settings) as run:
            for version in ("first", "second"):
                (root / "data" / "inner" / "a.txt").write_text(version)
                dataset = wandb.Artifact("digits", "dataset")
                dataset.add_dir(str(root / "data"))
                dataset.add_reference("https://example.com/large.bin", checksum=False)
                run.log_artifact(dataset)
            model = wandb.Artifact("net", "model")
            model.add_file(str(root / "data" / "inner" / "a.txt"), name="weights.bin")
            run.log_artifact(model)
    wait_for_end(root)
    return root


def stored(root: Path) -> StoredRun:
    [run] = unitrack.runs(f"wandb:{root}")
    return run


def test_they_are_folders_with_the_files_that_were_logged(plain_run: Path, tmp_path: Path) -> None:
    run = stored(plain_run)
    assert [(one.name, one.type) for one in run.artifacts] == [
        ("digits", "folder"),
        ("digits-v1", "folder"),
        ("net", "model"),
    ]
    for name, content in (("digits", "first"), ("digits-v1", "second")):
        there = run.fetch(name, tmp_path)
        assert (there / "inner" / "a.txt").read_text() == content
        told = json.loads((there / "large.bin.reference.json").read_text())
        assert told["reference"] == "https://example.com/large.bin"
    assert (run.fetch("net", tmp_path) / "weights.bin").read_text() == "second"


def test_files_that_are_gone_or_changed_are_named(plain_run: Path, tmp_path: Path) -> None:
    """A stranger's run can't have other files of this machine copied: size and digest must be as they were logged."""
    shutil.copytree(plain_run / "staging", tmp_path / "kept")
    try:
        for file in (path for path in (plain_run / "staging").rglob("*") if path.is_file()):
            file.write_bytes(bytes(reversed(file.read_bytes())))
        with pytest.raises(SourceError, match=r"'weights.bin' is no longer in the SDK's folders"):
            stored(plain_run).fetch("net", tmp_path / "fetched")
        shutil.rmtree(plain_run / "staging")
        with pytest.raises(SourceError, match=r"'inner/a.txt' is no longer in the SDK's folders"):
            stored(plain_run).fetch("digits", tmp_path / "fetched")
        report = unitrack.copy(f"wandb:{plain_run}", f"local:{tmp_path / 'copy'}")
        assert (report.ok, sorted(report.runs[0].missing)) == (False, ["digits", "digits-v1", "net"])
    finally:
        shutil.rmtree(plain_run / "staging", ignore_errors=True)
        shutil.copytree(tmp_path / "kept", plain_run / "staging")
