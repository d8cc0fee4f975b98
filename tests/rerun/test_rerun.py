"""`unitrack rerun` on real runs: programs in a repository, done once more from what they have recorded."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner
from unitrack_tests.children import how_it_ended

import unitrack
from unitrack.cli import app
from unitrack.environment.record import RECORD
from unitrack.records import RERUN_OF
from unitrack.rerun.git import run_git

PROGRAM = """
import random, sys
from pathlib import Path
import helper, unitrack

Path("data", "rows.txt").read_text()
if sys.argv[1] == "seeded":
    unitrack.seed_everything(7)
with unitrack.start_run(sys.argv[1], sinks=["local"], root="somewhere", params={"lr": float(sys.argv[2])}) as run:
    for step in range(5):
        run.log_metrics({"loss": random.random() + helper.OFFSET, "step/even": step % 2}, step=step)
"""
SETTINGS = """
reproducibility:
  log_environment: true
  variables: [COLOR]
"""
ENVIRON = {"UNITRACK_DELIVERY": "inline", "COLOR": "blue"}


def call(folder: Path, *arguments: str) -> None:
    """Run Python in a folder, and fail if it does."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=os.environ | ENVIRON,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, how_it_ended(done)


def rerun(*arguments: str, expect: int = 0) -> str:
    """Call the command in this process, and return what it printed."""
    done = CliRunner().invoke(app, ["rerun", *arguments], catch_exceptions=False)
    assert done.exit_code == expect, done.output
    return done.output if expect == 2 else done.stdout


def result_of(*arguments: str, expect: int = 0) -> Any:
    """Call the command without asking, and return its JSON."""
    return json.loads(rerun(*arguments, "--yes", "--json", expect=expect))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A repository in which runs were made, and that has gone on since."""
    folder = tmp_path_factory.mktemp("rerun") / "project"
    folder.mkdir()
    for arguments in (["init", "-q"], ["config", "user.name", "A"], ["config", "user.email", "a@example.org"]):
        run_git(folder, *arguments)
    (folder / "train.py").write_text(PROGRAM)
    (folder / "unitrack.yaml").write_text(SETTINGS)
    (folder / ".gitignore").write_text("/somewhere\n/experiments\n/data\n__pycache__\n")
    run_git(folder, "add", "-A")
    run_git(folder, "commit", "-qm", "all but the helper")
    (folder / "helper.py").write_text("OFFSET = 1000.0\n")  # never committed
    (folder / "data").mkdir()
    (folder / "data" / "rows.txt").touch()
    call(folder, "train.py", "seeded", "0.1")
    call(folder, "train.py", "unseeded", "0.1")
    inside = "import os; print(os.environ['COLOR'])"
    call(folder, "-m", "unitrack", "exec", "--name", "command", "--param", "a=1", "--", sys.executable, "-c", inside)
    (folder / "helper.py").unlink()
    (folder / "train.py").write_text("raise SystemExit('the work tree has gone on')\n")
    before = run_git(folder, "status", "--porcelain"), run_git(folder, "rev-parse", "HEAD")
    yield folder
    assert (run_git(folder, "status", "--porcelain"), run_git(folder, "rev-parse", "HEAD")) == before
    assert len(run_git(folder, "worktree", "list").splitlines()) == 1


@pytest.fixture(autouse=True)
def in_project(root: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As its user calls the command, in a shell in which a variable is another one now."""
    monkeypatch.chdir(project)
    monkeypatch.delenv("COLUMNS", raising=False)
    for name, value in {**ENVIRON, "COLOR": "red"}.items():
        monkeypatch.setenv(name, value)


def test_a_seeded_training_is_reproduced(project: Path) -> None:
    """Bit for bit, from the tree that it had: a file that was never committed is in it. The new run names it."""
    result = result_of("somewhere/seeded", "--link", "data")
    assert (result["reproduced"], result["verdict"]) == (True, "Reproduced: 2 metrics, 10 points, bit for bit")
    assert result["params"] == []
    assert result["environment"] == []
    again = unitrack.runs(project / "somewhere").find(result["rerun_id"])
    first = unitrack.runs(project / "somewhere").find(result["run_id"])
    assert again.tags[RERUN_OF] == first.id
    assert again.histories()["loss"].values == first.histories()["loss"].values


def test_a_training_without_seeds_is_not() -> None:
    """The metric and its first point are named, beside what is the same."""
    result = result_of("somewhere/unseeded", "--link", "data", expect=1)
    assert result["verdict"] == "Not reproduced: 1 of 2 metrics differs"
    loss, even = result["metrics"]
    assert (loss["name"], loss["verdict"], loss["step"], even["verdict"]) == ("loss", "differs", 0, "bit-equal")
    assert 0 < loss["deviation"] < 0.001


def test_a_run_of_exec(project: Path) -> None:
    """The command is done once more, with the variable as it was recorded; its duration does not count."""
    result = result_of("command")
    assert result["verdict"] == "Reproduced: 1 metric, 1 point, bit for bit"
    again = unitrack.runs(project / "experiments").find(result["rerun_id"])
    assert (Path(again.folder or "") / "artifacts" / "output.log").read_text() == "blue\n"
    assert again.params["a"] == 1


def test_the_plan(project: Path) -> None:
    """It names all that is done, and nothing is."""
    before = sorted(path.name for path in (project / "somewhere").iterdir())
    told = rerun("somewhere/seeded", "--dry-run", "--link", "data")
    run_id = unitrack.runs(project / "somewhere" / "seeded")[0].id
    lines = [f"refs/unitrack/{run_id}, the exact tree, of {project}", "python train.py seeded 0.1"]
    lines += ["COLOR=blue", "7, which the program sets", f"data, from {project}", f"unitrack.rerun_of={run_id}"]
    lines += ["as recorded; the current environment has them", f"in {project}/somewhere, sinks local"]
    assert [line for line in lines if line not in told] == []
    plan = json.loads(rerun("somewhere/seeded", "--dry-run", "--json"))
    assert (plan["run_id"], plan["command"][-1], plan["variables"]) == (run_id, "0.1", {"COLOR": "blue"})
    assert sorted(path.name for path in (project / "somewhere").iterdir()) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("somewhere/seeded",), "nobody can be asked here"),
        (("somewhere/seeded", "--yes"), "has started no run; files that git ignores"),
        (("somewhere/none", "--yes"), "somewhere/none"),
        (("somewhere/seeded", "--yes", "--link", "nothing"), "there is no"),
        (("somewhere/seeded", "--yes", "--repository", ".."), "is no git repository"),
        (("somewhere/seeded", "--yes", "--sink", "prob"), "unknown sink 'prob': did you mean 'probe'?"),
        (("somewhere/seeded", "--yes", "--env", "no.lock"), "there is no no.lock in the code of the run"),
        (("somewhere/seeded", "--yes", "--env", "curent"), "did you mean current?"),
        (("somewhere/seeded", "--tolerance", "inf"), "finite"),
        (("somewhere/seeded", "--tolerance", "-1"), "0"),
    ],
)
def test_what_can_not_be_done(arguments: tuple[str, ...], message: str) -> None:
    """Exit code 2, and why."""
    assert message in rerun(*arguments, expect=2)


def test_the_new_run_goes_to_another_sink_as_well(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the options that its variables set; the comparison reads the local files."""
    monkeypatch.setenv("PROBE_OUT", str(root / "probe"))
    assert result_of("somewhere/seeded", "--link", "data", "--sink", "probe")["reproduced"]
    assert (root / "probe" / "stored.jsonl").read_text().count('"loss"') >= 5


def test_the_work_tree_can_be_kept(root: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the files that the program has made; nothing is kept of a rerun that has not started the program."""
    monkeypatch.setattr(tempfile, "tempdir", str(root))
    rerun("somewhere/seeded", "--yes", "--keep", "--link", "nothing", expect=2)
    assert list(root.iterdir()) == []
    done = CliRunner().invoke(app, ["rerun", "somewhere/seeded", "--yes", "--keep", "--link", "data"])
    assert done.exit_code == 0, done.output
    [kept] = root.iterdir()
    top = kept / "project"
    assert f"kept: {kept}; `git worktree remove --force {top}` removes the work tree" in done.stderr
    assert (top / "helper.py").read_text() == "OFFSET = 1000.0\n"
    run_git(project, "worktree", "remove", "--force", str(top))


def test_the_current_environment(root: Path, project: Path) -> None:
    """It is taken as it is, and what differs is said before and after."""
    copy = root / "edited"
    shutil.copytree(project / "somewhere" / "seeded", copy)
    record = copy / "artifacts" / RECORD
    content = json.loads(record.read_text())
    content["packages"].append({"name": "long-gone", "version": "1.0"})
    record.write_text(json.dumps(content))
    told = rerun(str(copy), "--dry-run", "--env", "current")
    assert "those of the current environment, which differ: long-gone 1.0 there, missing here" in told
    result = result_of(str(copy), "--env", "current", "--link", "data")
    assert (result["reproduced"], result["environment"]) == (True, ["long-gone: 1.0 became not installed"])


def test_nothing_to_compare(project: Path) -> None:
    """A run without metrics that is done once more: exit code 2."""
    program = "import unitrack\nwith unitrack.start_run('bare', sinks=['local'], root='somewhere'):\n    pass\n"
    before = (project / "train.py").read_text()
    (project / "train.py").write_text(program)
    call(project, "train.py")
    (project / "train.py").write_text(before)
    assert "Nothing to compare: the run has no metrics" in rerun("somewhere/bare", "--yes", expect=2)


def test_a_run_outside_of_a_repository(root: Path) -> None:
    """Its code is nowhere: one error, and nothing is left."""
    with unitrack.start_run("bare", sinks=["local"], root=root, delivery="inline") as run:
        run.log_metric("loss", 1.0)
    record = run.path / "artifacts" / RECORD
    content = json.loads(record.read_text()) | {"git": None, "git_note": "the folder is in no git repository"}
    content["command"] |= {"argv": ["train.py"], "script": str(root / "train.py"), "module": ""}
    record.write_text(json.dumps(content))
    told = rerun(str(run.path), "--yes", expect=2)
    assert "is not recorded (the folder is in no git repository), so it can't be rerun: start the program in" in told


def test_a_run_without_a_record(root: Path) -> None:
    """It says what would have recorded it."""
    config = {"reproducibility": {"log_environment": False}}
    with unitrack.start_run("bare", sinks=["local"], root=root, config=config):
        pass
    told = rerun(str(root / "bare"), "--yes", expect=2)
    assert "has no record of its environment" in told
    assert "run.log_environment()" in told


def test_only_a_yes_starts_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enter is a no."""
    monkeypatch.setattr("unitrack.cli.commands.rerun.can_be_asked", lambda: True)
    done = CliRunner().invoke(app, ["rerun", "somewhere/seeded"], input="\n")
    assert (done.exit_code, "Run it? [y/N]" in done.output) == (2, True)
