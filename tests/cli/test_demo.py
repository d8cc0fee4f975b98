"""`unitrack demo`: the whole way, on real data."""

from __future__ import annotations

import importlib.util
import json
import math
import sqlite3
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from unitrack.errors import ConfigError, MissingPackageError
from unitrack.plugins.entry_points import find_entry_points
from unitrack.plugins.registry import Plugins
from unitrack.system.installation import install_command

HAS_PACKAGES = all(importlib.util.find_spec(name) is not None for name in ("sklearn", "matplotlib"))
needs_packages = pytest.mark.skipif(not HAS_PACKAGES, reason="scikit-learn and matplotlib are not installed")


@pytest.mark.skipif(HAS_PACKAGES, reason="scikit-learn and matplotlib are installed")
def test_names_the_extra_that_it_needs(invoke: Callable[..., Result]) -> None:
    with pytest.raises(MissingPackageError, match=r"pip install '?.*\[demo\]'?`"):
        invoke("demo")


@needs_packages
def test_local_files_hold_what_the_table_says(invoke: Callable[..., Result], root: Path) -> None:
    result = invoke("demo", "--sinks", "local", "--steps", 5, "--dir", "d", "--json")
    assert result.exit_code == 0
    shown = json.loads(result.stdout)
    [row] = shown["backends"]
    assert (row["backend"], row["where"], row["match"], row["problem"]) == ("local", "d/digits", "exact", None)
    lines = (root / "d" / "digits" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    metrics = [json.loads(line) for line in lines]
    assert [line["step"] for line in metrics] == list(range(5))
    assert row["points"] == sum(len(line["metrics"]) for line in metrics) == 10
    assert row["last_loss"] == metrics[-1]["metrics"]["loss"]
    assert row["artifacts"] == sum(path.is_file() for path in (root / "d/digits/artifacts").rglob("*")) == 2
    assert 0 < row["lag"] < 60
    assert 0 < shown["log_call_us"]["p50"] < 1e6
    assert [path.name for path in root.iterdir()] == ["d"]


@needs_packages
def test_learns(root: Path) -> None:
    """The numbers are those of a model that gets better, not noise."""
    from unitrack.demo.training import Training

    steps = list(Training(100))
    assert steps[-1].accuracy > 0.9 > steps[0].accuracy
    assert steps[-1].loss < steps[0].loss / 3


@needs_packages
def test_twice_gives_two_runs(invoke: Callable[..., Result], root: Path) -> None:
    for expected in ("digits", "digits-2"):
        result = invoke("demo", "--sinks", "local", "--steps", 2, "--dir", "d", "--json")
        assert Path(json.loads(result.stdout)["folder"]) == root / "d" / expected


@needs_packages
def test_takes_no_configuration_of_the_folder_or_the_environment(
    invoke: Callable[..., Result], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a demo in a project would send its run to that project's servers."""
    (root / "unitrack.yaml").write_text("logging: {log_frequency: 3}\nartifacts: {save_plots: false}", encoding="utf-8")
    monkeypatch.setenv("UNITRACK_MODE", "disabled")
    result = invoke("demo", "--sinks", "local", "--steps", 4, "--dir", "d", "--json")
    [row] = json.loads(result.stdout)["backends"]
    assert (row["points"], row["artifacts"], row["match"]) == (8, 2, "exact")


@needs_packages
@pytest.mark.parametrize("columns", [80, 120])
def test_text_fits_the_terminal(
    invoke: Callable[..., Result], root: Path, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    output = invoke("demo", "--sinks", "local", "--steps", 2, "--dir", "d").stdout
    assert max(map(len, output.splitlines())) <= columns
    assert "local agrees with what was logged: 4 points, bit for bit." in output
    assert "unitrack show d/digits" in output
    assert 'with unitrack.start_run(sinks=["local"]) as run:' in output


@needs_packages
def test_all_backends_agree(call_program: Callable[..., subprocess.CompletedProcess[str]], root: Path) -> None:
    """With MLflow, W&B and TensorBoard; MLflow's database is looked at with SQLite beside its SDK."""
    for name in ("mlflow", "wandb", "tensorboard"):
        pytest.importorskip(f"unitrack_{name}")
    result = call_program("demo", "--steps", 20, "--dir", "d", "--json", timeout=115)
    assert result.returncode == 0, result.stdout + result.stderr
    shown = json.loads(result.stdout)
    assert (shown["agree"], shown["verified"]) == (True, True)
    rows = {row["backend"]: row for row in shown["backends"]}
    assert list(rows) == ["local", "mlflow", "wandb", "tensorboard"]
    for row in rows.values():
        assert (row["match"], row["params"], row["points"], row["artifacts"]) == ("exact", 9, 40, 2), row
        assert row["last_loss"] == rows["local"]["last_loss"]
        assert row["open_with"]
    with sqlite3.connect(root / "d" / "mlflow.db") as database:
        query = "select value from metrics where key = 'loss' order by step desc"
        losses = [value for (value,) in database.execute(query)]
    database.close()
    assert (len(losses), losses[0]) == (20, rows["local"]["last_loss"])
    assert [path.name for path in root.iterdir()] == ["d"]


def only_local() -> Plugins:
    return Plugins([entry for entry in find_entry_points("unitrack") if entry.name == "local"])


def test_a_backend_that_is_not_installed_is_left_out_with_its_command(root: Path) -> None:
    from unitrack.demo.sinks import choose

    chosen = choose(["local", "mlflow"], only_local(), root)
    assert chosen.entries == [{"local": {}}]
    assert install_command("unitrack-core[mlflow]") in chosen.left_out["mlflow"]


def test_a_backend_that_nobody_knows_is_an_error(root: Path) -> None:
    from unitrack.demo.sinks import choose

    with pytest.raises(ConfigError, match="did you mean 'local'"):
        choose(["lokal"], only_local(), root)


@needs_packages
def test_a_backend_without_a_reader_is_no_failure(root: Path) -> None:
    """It has confirmed everything, and nothing shows that it lacks any."""
    from unitrack.demo.logged_run import log_training
    from unitrack.demo.report import row_of
    from unitrack.demo.training import Training
    from unitrack.plugins.registry import installed

    logged = log_training(Training(2), [{"probe": {"out": str(root / "backend")}}], root, lambda step: None)
    row = row_of(installed().backend("probe"), logged)
    assert (row.ok, row.match, row.points) == (True, None, None)


@needs_packages
def test_a_backend_that_lacks_a_point_is_a_failure(root: Path) -> None:
    from unitrack.demo.logged_run import log_training
    from unitrack.demo.report import row_of
    from unitrack.demo.training import Training
    from unitrack.plugins.registry import installed

    logged = log_training(Training(3), [{"local": {}}], root, lambda step: None)
    metrics = logged.path / "metrics.jsonl"
    metrics.write_bytes(b"".join(metrics.read_bytes().splitlines(keepends=True)[:-1]))
    row = row_of(installed().backend("local"), logged)
    assert (row.ok, row.match, row.points) == (False, "different", 4)


def judged(*points: tuple[str, int, float]) -> str:
    """What the demo says of a backend that holds these points, where 0.1 and 0.7 were logged."""
    from unitrack.demo.reading import Holding

    held = Holding(where="", params=0, points=list(points), artifacts=0)
    return held.matches({("loss", 0): 0.1, ("loss", 1): 0.7})


def as_float32(value: float) -> float:
    return float(struct.unpack("<f", struct.pack("<f", value))[0])


@pytest.mark.parametrize(
    ("points", "match"),
    [
        pytest.param([("loss", 1, 0.7), ("loss", 0, 0.1)], "exact", id="in another order"),
        pytest.param([("loss", 0, 0.1), ("loss", 1, math.nextafter(0.7, 1))], "different", id="one bit off"),
        pytest.param([("loss", 0, 0.1), ("loss", 1, 0.7), ("loss", 1, 0.7)], "different", id="a point twice"),
        pytest.param([("loss", 0, 0.1)], "different", id="a point missing"),
        pytest.param([("loss", 0, 0.1), ("loss", 2, 0.7)], "different", id="a wrong step"),
        pytest.param([("loss", 0, as_float32(0.1)), ("loss", 1, as_float32(0.7))], "float32", id="32-bit floats"),
    ],
)
def test_what_counts_as_agreeing(points: list[tuple[str, int, float]], match: str) -> None:
    assert judged(*points) == match
