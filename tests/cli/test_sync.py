"""`unitrack sync`."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

from typer.testing import Result
from unitrack_probe import points

from unitrack import Run
from unitrack.local.source import LocalSource
from unitrack.records import Metrics
from unitrack.runfolder.find import find_run_folders

Invoke = Callable[..., Result]
Program = Callable[..., subprocess.CompletedProcess[str]]


def test_delivers_what_is_left(invoke: Invoke, root: Path, complete_run: Run, pending_run: Run) -> None:
    result = invoke("sync", "--timeout", 30)
    assert result.exit_code == 0
    assert "done-1" not in result.stdout
    assert points(root / "backend", "loss") == [(0, 1.0), (1, 2.0)]
    assert json.loads((root / "backend" / "ended.json").read_text(encoding="utf-8"))["status"] == "finished"
    assert not (pending_run.path / ".spool").exists()


def test_twice_delivers_once(invoke: Invoke, root: Path, pending_run: Run) -> None:
    assert invoke("sync", "stuck", "--timeout", 30).exit_code == 0
    assert invoke("sync", "stuck", "--timeout", 30).exit_code == 0
    assert points(root / "backend", "loss") == [(0, 1.0), (1, 2.0)]


def test_nothing_to_do(invoke: Invoke, complete_run: Run) -> None:
    result = invoke("sync")
    assert (result.exit_code, result.stdout) == (0, "nothing to deliver: every run is complete\n")


def test_exit_code_1_while_something_is_pending(invoke: Invoke, root: Path, run_in_trouble: Callable[..., Run]) -> None:
    run_in_trouble("open_run", "misconfigured")
    result = invoke("sync", "--timeout", 30, "--json")
    assert result.exit_code == 1
    probe = json.loads(result.stdout)[0]["sinks"][1]
    assert (probe["state"], probe["pending"], probe["last_error"]) == ("parked", 4, "401 for the tests")


def test_to_a_new_sink_brings_everything(invoke: Invoke, root: Path, complete_run: Run) -> None:
    """The run was complete: its spool is gone, so this comes from its local files."""
    (root / "unitrack.yaml").write_text(
        f"tracking: {{sinks: [{{probe: {{name: second, out: '{root / 'second'}'}}}}]}}", encoding="utf-8"
    )
    result = invoke("sync", "done", "--to", "second", "--timeout", 30)
    assert result.exit_code == 0
    assert points(root / "second", "loss") == [(0, 3.0), (1, 1.0), (2, 2.0)]


def test_to_a_backend_without_configuration(invoke: Invoke, root: Path) -> None:
    """ "local" has default options; the sink in trouble does not count, as it was not asked for."""
    import pytest

    from unitrack import DeliveryWarning, start_run

    options = {"out": str(root / "backend"), "troubles": [{"hook": "open_run", "kind": "misconfigured"}]}
    run = start_run("remote", sinks=[{"probe": options}], delivery="inline")
    run.log_metrics({"loss": 0.25}, step=7)
    with pytest.warns(DeliveryWarning):
        run.finish(timeout=0)
    assert invoke("sync", "remote", "--to", "local", "--timeout", 30).exit_code == 0
    [record] = [one for one in LocalSource("experiments").records("remote") if isinstance(one, Metrics)]
    assert (record.step, record.metrics) == (7, {"loss": 0.25})


def test_one_run_that_cannot_be_synced_stops_no_other(invoke: Invoke, root: Path, pending_run: Run) -> None:
    broken = root / "experiments" / "broken" / ".unitrack"
    broken.mkdir(parents=True)
    (broken / "run.json").write_text("{", encoding="utf-8")
    result = invoke("sync", "--timeout", 30)
    assert result.exit_code == 1
    assert result.stderr.lstrip().startswith("experiments/broken: ")  # rich before 14.3 begins a long line on a new one
    assert points(root / "backend", "loss") == [(0, 1.0), (1, 2.0)]


def test_an_unknown_sink_is_named(complete_run: Run, call_program: Program) -> None:
    """With runs and without."""
    for arguments in (("done",), ()):
        result = call_program("sync", *arguments, "--to", "mlfow")
        assert result.returncode == 2
        assert result.stderr.startswith("error: unknown sink 'mlfow': did you mean 'mlflow'? Configured here: ")


def test_no_runs(invoke: Invoke, root: Path) -> None:
    """That is something else than runs that are complete."""
    assert invoke("sync").stdout == f"no runs in {root / 'experiments'} (tracking.root)\n"
    assert invoke("sync", "--json").stdout == "[]\n"


def test_a_run_folder_is_absolute_however_it_was_named(tmp_path, monkeypatch):
    """What sinks note of it must mean the same in another working directory, and by another link."""
    folder = tmp_path / "runs" / "a"
    (folder / ".unitrack").mkdir(parents=True)
    (folder / ".unitrack" / "run.json").write_text("{}")
    (tmp_path / "shortcut").symlink_to("runs")
    monkeypatch.chdir(tmp_path)
    expected = folder.resolve()
    for root in (Path("runs"), Path("./shortcut"), Path("runs/../runs/a"), folder):
        assert [found.path for found in find_run_folders(root)] == [expected]
