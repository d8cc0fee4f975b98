"""What is logged of a folder, and of a project's code."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

import unitrack


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name, encoding="utf-8")


def stored(run: unitrack.Run) -> set[str]:
    base = run.path / "artifacts"
    return {path.relative_to(base).as_posix() for path in base.rglob("*") if path.is_file()}


def start(**arguments: str) -> unitrack.Run:
    return unitrack.start_run("a", sinks="local", delivery="inline", **arguments)  # type: ignore[arg-type]


@pytest.fixture
def project(root: Path) -> Path:
    """A working folder that holds a repository, an environment, caches and an earlier run."""
    write(
        root,
        ".git/HEAD",
        "env/pyvenv.cfg",
        "env/lib/x.py",
        "src/__pycache__/m.pyc",
        "src/m.py",
        "train.py",
        "data/a.csv",
    )
    with start() as run:
        run.log_text("x", "x.txt")
    return root


@pytest.mark.parametrize("method", ["log_artifact", "log_artifacts"])
def test_a_working_folder_is_logged_without_what_is_there_by_accident(project: Path, method: str) -> None:
    with start() as run:
        getattr(run, method)(".")
    prefix = f"{project.name}/" if method == "log_artifact" else ""
    assert stored(run) == {f"{prefix}{name}" for name in ("src/m.py", "train.py", "data/a.csv")}


def test_links_to_run_folders_and_environments_are_passed_over(project: Path, tmp_path_factory: Any) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    write(elsewhere, "venv/pyvenv.cfg", "venv/lib/x.py")
    (project / ".venv").symlink_to(elsewhere / "venv")
    with start() as run:
        (project / "latest").symlink_to(run.path)
        run.log_artifact(".")
        run.log_artifacts(".", "each")
        run.log_code()
    names = ("src/m.py", "train.py", "data/a.csv")
    assert stored(run) == {
        *(f"{folder}/{name}" for folder in (project.name, "each") for name in names),
        *(f"code/{name}" for name in names[:2]),
    }


def test_a_link_to_a_folder_that_holds_it_is_refused(root: Path) -> None:
    write(root, "data/a.csv")
    (root / "data" / "again").symlink_to(root / "data")
    with start() as run, pytest.raises(ValueError, match="'again', which leads to a folder that it lies in"):
        run.log_artifact("data")


def test_what_is_passed_over_counts_for_no_limit(project: Path) -> None:
    with (project / "env" / "large.bin").open("wb") as file:
        file.truncate(200 * 2**20)
    with start() as run:
        run.log_artifact(".")


def test_each_can_be_logged_by_itself(project: Path) -> None:
    with start() as run:
        run.log_artifact(".git")
        run.log_artifact("env", "environment/")
        run.log_artifact("experiments/a/artifacts")
    assert stored(run) == {".git/HEAD", "environment/env/pyvenv.cfg", "environment/env/lib/x.py", "artifacts/x.txt"}


def test_a_run_is_not_copied_into_itself(root: Path) -> None:
    with start() as run:
        (run.path / "plots").mkdir()
        write(run.path, "plots/a.txt")
        for given in (run.path, f"{run.path}/.", run.path.relative_to(root)):
            with pytest.raises(ValueError, match="is the folder of this run, or of its spool"):
                run.log_artifact(given)
            with pytest.raises(ValueError, match="is the folder of this run, or of its spool"):
                run.log_artifacts(given)
        with pytest.raises(ValueError, match="is the folder of this run, or of its spool"):
            run.log_artifact(run.path / ".spool")
        run.log_artifact(run.path / "plots")
    assert stored(run) == {"plots/a.txt"}


def test_the_code_is_what_git_would_commit(root: Path) -> None:
    write(root, "train.py", "src/m.py", "src/new.py", "notes.ipynb", "data.csv", "build/lib.py", ".gitignore")
    (root / ".gitignore").write_text("build/\nexperiments/\n", encoding="utf-8")
    subprocess.run(["git", "init", "-q"], check=True)
    subprocess.run(["git", "add", "train.py", "src/m.py"], check=True)
    with start() as run:
        run.log_code()
        run.log_code("src", "module")
        run.log_code(name="all", include=["*"], exclude=["*.ipynb", "src/*"])
    assert stored(run) == {
        *("code/train.py", "code/src/m.py", "code/src/new.py", "code/notes.ipynb"),
        *("module/m.py", "module/new.py"),
        *("all/train.py", "all/data.csv", "all/.gitignore"),
    }


def test_run_folders_and_environments_that_git_does_not_ignore_are_no_code(root: Path) -> None:
    write(root, "train.py", "env/pyvenv.cfg", "env/lib/x.py")
    subprocess.run(["git", "init", "-q"], check=True)
    for _ in range(2):
        with start() as run:
            run.log_code()
        assert stored(run) == {"code/train.py"}


def test_code_is_bounded_before_it_is_copied(root: Path) -> None:
    with (root / "big.py").open("wb") as file:
        file.truncate(200 * 2**20)
    with start() as run, pytest.raises(ValueError, match=r"log_code of .* has 200.0MB, 100.0MB are allowed"):
        run.log_code()
    assert stored(run) == set()


def test_a_name_that_no_artifact_can_have_costs_that_file(root: Path) -> None:
    write(root, "train.py")
    (root / "old\\2.py").write_text("x", encoding="utf-8")
    with start() as run, pytest.warns(UserWarning, match="left out of folder"):
        run.log_code()
    assert stored(run) == {"code/train.py"}


def test_the_code_of_a_folder_without_git(project: Path) -> None:
    (project / ".git" / "HEAD").unlink()
    with start() as run:
        unitrack.log_code()
    assert stored(run) == {"code/train.py", "code/src/m.py"}


def test_code_that_is_not_there_is_named(root: Path) -> None:
    write(root, "a.txt")
    with start() as run:
        with pytest.raises(FileNotFoundError, match="there is no folder nowhere"):
            run.log_code("nowhere")
        with pytest.raises(FileNotFoundError, match=r"no file below .* matches \*\.py, \*\.ipynb"):
            run.log_code()
        with pytest.raises(TypeError, match=r"log_code: include must be a list of strings, got str '\*\.py'"):
            run.log_code(include="*.py")
    assert stored(run) == set()
