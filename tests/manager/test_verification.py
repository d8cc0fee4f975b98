"""`unitrack.verify` and the command: all backends of a run, and runs with their copies."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import unitrack
from unitrack.cli import app
from unitrack.errors import ConfigError, NotFoundError


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with two runs in local files."""
    root = tmp_path_factory.mktemp("verify") / "runs"
    for name, lr in (("a", 0.1), ("b", 0.2)):
        with unitrack.start_run(name, run_id=f"{name}-1", sinks=["local"], delivery="inline", root=root) as run:
            run.log_params({"lr": lr})
            for step in range(3):
                run.log_metrics({"loss": lr / (step + 1)}, step=step)
    return root


@pytest.fixture
def copies(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "copies"))


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["verify", *map(str, arguments)], catch_exceptions=False)


def change_value(folder: Path, change: Callable[[list[dict[str, Any]]], object]) -> None:
    file = folder / "metrics.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    change(lines)
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_a_run_of_one_backend_has_nothing_to_be_compared_with(written: Path) -> None:
    verification = unitrack.verify(written / "a")
    assert verification.ok
    assert verification.verdict == "Nothing to compare with: only local has the run (3 points)"


def test_a_copy_of_all_runs(written: Path, copies: Path) -> None:
    verification = unitrack.verify(written, copies)
    assert (verification.ok, verification.verdict) == (True, "2 runs, the same in both: 6 points, bit for bit")
    assert "the same, bit for bit" in str(verification)
    assert "<table>" in verification._repr_html_()
    assert call(written, copies).exit_code == 0


def test_a_changed_point_is_named_and_the_exit_code_is_1(written: Path, copies: Path) -> None:
    change_value(copies / "b", lambda lines: lines[2]["metrics"].update(loss=7.0))
    result = call(written, copies)
    assert result.exit_code == 1
    assert f"b: point 'loss' at step 2: value differs: {0.2 / 3!r} became 7.0" in result.stdout
    [difference] = unitrack.verify(written, copies, name="b").differences
    assert (difference.name, difference.step, difference.found) == ("loss", 2, 7.0)
    assert unitrack.verify(written, copies, name="a").ok


def test_missing_and_further_runs_are_named(written: Path, copies: Path) -> None:
    shutil.rmtree(copies / "a")
    shutil.copytree(written / "b", copies / "c")
    metadata = json.loads((copies / "c" / "metadata.json").read_text())
    (copies / "c" / "metadata.json").write_text(json.dumps(metadata | {"run_id": "c-1", "run_name": "c"}))
    verification = unitrack.verify(written, copies)
    assert (verification.missing, verification.extra, verification.ok) == (("a (a-1)",), ("c (c-1)",), False)
    assert "missing: a (a-1)" in call(written, copies).stdout


def test_what_copy_has_made_is_the_same(written: Path, tmp_path: Path) -> None:
    """The tag that tells the origin of a copy is no difference."""
    report = unitrack.copy(written, f"local:{tmp_path / 'copied'}")
    assert report.ok
    verification = unitrack.verify(written, tmp_path / "copied")
    assert verification.verdict == "2 runs, the same in both: 6 points, bit for bit", str(verification)


def test_whether_the_original_can_be_deleted(written: Path, copies: Path) -> None:
    whole = call(written, copies, "--deletion-ready")
    assert (whole.exit_code, "Ready for deletion" in whole.stdout) == (0, True)
    change_value(copies / "a", lambda lines: lines.pop())
    cut = call(written, copies, "--deletion-ready")
    assert (cut.exit_code, "Not ready for deletion: the copy is not whole." in cut.stdout) == (1, True)
    shown = json.loads(call(written, copies, "--deletion-ready", "--json").stdout)
    assert (shown["ok"], shown["deletion_ready"], len(shown["checks"])) == (False, False, 2)


def test_nothing_compared_is_not_ready(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    result = call(tmp_path / "one", tmp_path / "two", "--deletion-ready")
    assert (result.exit_code, "nothing was compared" in result.stdout) == (1, True)


def test_single_runs_are_named_after_a_hash(written: Path, copies: Path) -> None:
    """Two different runs, as the user says that they are to be compared."""
    verification = unitrack.verify(f"local:{written}#a", f"local:{copies}#b")
    assert not verification.ok
    assert {one.subject for one in verification.differences} >= {"run", "param", "point"}
    assert unitrack.verify(unitrack.runs(written).find("a"), copies).ok


def test_what_is_no_run_is_an_error_that_names_it(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNITRACK_ROOT", str(written))
    with pytest.raises(ConfigError, match="'aa' is neither a folder with runs nor a run under"):
        unitrack.verify("aa")
    with pytest.raises(NotFoundError, match="no run 'nope'"):
        unitrack.verify(written, written, name="nope")
    with pytest.raises(ConfigError, match="a run is a run folder, a name, an id or LOCATION#RUN, got 5"):
        unitrack.verify(5)
    assert unitrack.verify("a").ok
    assert unitrack.verify("a-1").ok


def test_options_for_copies_need_two_locations(written: Path) -> None:
    result = call(written / "a", "--deletion-ready")
    assert (result.exit_code, "two locations" in result.stderr) == (2, True)


def test_pending_records_are_said(written: Path, tmp_path: Path) -> None:
    """One sink has never opened the run."""
    troubles = [{"hook": "open_run", "kind": "misconfigured"}]
    sinks: list[Any] = ["local", {"probe": {"out": str(tmp_path / "out"), "troubles": troubles}}]
    run = unitrack.start_run("stuck", sinks=sinks, delivery="inline", root=tmp_path / "runs")
    run.log_metrics({"loss": 1.0}, step=0)
    with pytest.warns(unitrack.DeliveryWarning):
        run.finish(timeout=0)
    result = call(run.path)
    assert result.exit_code == 1
    assert "probe: not everything is delivered: run `unitrack sync`" in result.stdout
    assert "Not the same: probe." in result.stdout


def test_a_sink_that_is_thinned_or_filtered_is_stated(tmp_path: Path) -> None:
    pytest.importorskip("unitrack_tensorboard")
    sinks: list[Any] = [
        {"tensorboard": {"logdir": str(tmp_path / "tb"), "every": 2}},
        "local",
    ]
    with unitrack.start_run("thin", sinks=sinks, delivery="inline", root=tmp_path / "runs") as run:
        for step in range(6):
            run.log_metrics({"loss": step / 8}, step=step)
    verification = unitrack.verify(run)
    thinned, whole = verification.checks
    assert (verification.ok, whole.is_reference) == (True, True)
    assert (thinned.points < 6, thinned.verdict) == (True, "the same, but: missing")
    assert [one.allowed for one in verification.stated] == ["the sink gets one point in 2"]


def test_all_backends_agree_until_one_is_changed(tmp_path: Path) -> None:
    """The proof on real stores: MLflow's database is changed with SQL."""
    pytest.importorskip("unitrack_mlflow")
    pytest.importorskip("unitrack_tensorboard")
    database = tmp_path / "mlflow.db"
    sinks: list[Any] = [
        "local",
        {"mlflow": {"tracking_uri": f"sqlite:///{database}", "artifact_location": str(tmp_path / "files")}},
        {"tensorboard": {"logdir": str(tmp_path / "tb")}},
    ]
    run = unitrack.start_run("r", sinks=sinks, delivery="inline", root=tmp_path / "runs", params={"lr": 0.1})
    for step in range(3):
        run.log_metrics({"loss": 0.1 * step, "acc": 1 / 3}, step=step)
    run.log_text("hello", "notes.txt")
    run.finish()
    assert unitrack.verify(run).verdict == "All 3 backends agree: 6 points, bit for bit"
    with sqlite3.connect(database) as connection:
        connection.execute("update metrics set value = 0.5 where key = 'loss' and step = 1")
    connection.close()
    stored = tmp_path / "tb" / "r" / "artifacts" / "notes.txt"
    stored.unlink()  # it may be a hard link to the local file
    stored.write_text("other")
    result = call(run.path)
    assert result.exit_code == 1
    assert "mlflow: point 'loss' at step 1: value differs: 0.1 became 0.5" in result.stdout
    assert "tensorboard: artifact 'notes.txt': differs" in result.stdout
    assert "Not the same: mlflow, tensorboard." in result.stdout
    for file in ("metadata.json", "metrics.jsonl", "params.json"):
        (run.path / file).unlink()
    without_local = unitrack.verify(run.path)
    assert [(check.name, check.is_reference) for check in without_local.checks][1] == ("mlflow", True)
    assert without_local.checks[0].problem == "can't be read: its files are gone"


def test_the_handle_of_a_run_is_verified_against_its_copy(root: Path) -> None:
    with unitrack.start_run("handle", sinks=["local"], delivery="inline") as run:
        run.log_metrics({"loss": 0.5}, step=0)
    assert unitrack.copy(run.path, "local:copies").ok
    assert unitrack.verify(run, "local:copies").ok
