"""`unitrack.compare` and the command."""

from __future__ import annotations

import csv
import io
import json
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import unitrack
from unitrack.cli import app
from unitrack.errors import ConfigError, NotFoundError


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with three runs; "b" is worse than "a", "c" is better and has a metric and a param of its own."""
    root = tmp_path_factory.mktemp("compare") / "runs"
    source = root.parent / "source"
    source.mkdir()
    runs: list[tuple[str, dict[str, Any], float]] = [
        ("a", {"lr": 0.1, "model": {"depth": 4}, "git_hash": "unknown"}, 0.5),
        ("b", {"lr": 0.2, "model": {"depth": 4}, "git_hash": "unknown"}, 0.75),
        ("c", {"lr": "0.1", "model": {"depth": 4}, "git_hash": "unknown", "warmup": True}, 0.25),
    ]
    for name, params, loss in runs:
        (source / "train.py").write_text(f"print({name!r})\n")
        with unitrack.start_run(name, run_id=f"{name}-1", sinks=["local"], delivery="inline", root=root) as run:
            run.log_params(params)
            for step in range(3):
                run.log_metrics({"loss": loss + abs(step - 1) / 8, "acc": 1 - loss}, step=step)
            if name == "c":
                run.log_metrics({"extra": 1.0}, step=0)
            run.log_code(source)
    return root


@pytest.fixture
def root(written: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("UNITRACK_ROOT", str(written))
    monkeypatch.delenv("COLUMNS", raising=False)
    return written


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["compare", *map(str, arguments)], catch_exceptions=False)


def words(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def test_what_differs_comes_first_and_types_count(root: Path) -> None:
    comparison = unitrack.compare("a", "b-1", root / "c")
    assert [(row.name, row.values) for row in comparison.params if row.differs] == [
        ("lr", (0.1, 0.2, "0.1")),
        ("warmup", (None, None, True)),
    ]
    assert [row.name for row in comparison.params if not row.differs] == ["model.depth"]
    assert [row.name for row in comparison.environment] == ["git_hash"]


def test_metrics_have_last_best_and_the_difference_from_the_baseline(root: Path) -> None:
    loss, acc, extra = unitrack.compare("a", "b", "c").metrics
    assert (loss.direction, loss.last, loss.best) == ("min", (0.625, 0.875, 0.375), (0.5, 0.75, 0.25))
    assert (loss.delta, [loss.is_better(n) for n in range(3)]) == ((None, 0.25, -0.25), [None, False, True])
    assert (acc.direction, [acc.is_better(n) for n in range(3)]) == ("max", [None, False, True])
    assert (extra.last, extra.delta) == ((None, None, 1.0), (None, None, None))


def test_another_baseline_and_goals(root: Path) -> None:
    comparison = unitrack.compare("a", "b", "c", baseline="c-1", goals={"lo*": "max"})
    assert comparison.baseline == 2
    assert comparison.metrics[0].delta == (0.25, 0.5, None)
    assert comparison.metrics[0].is_better(1) is True
    by_run = unitrack.runs(root).find("b")
    assert unitrack.compare("a", by_run, baseline=by_run).baseline == 1


def test_the_text_shows_differences_and_how_many_rows_are_the_same(root: Path) -> None:
    shown = words(call("a", "b", "c").stdout)
    assert ["a", "(baseline)", "b", "c"] in shown
    assert ["lr", "0.1", "0.2", "0.1"] in shown
    assert ["loss", "last", "0.625", "0.875", "(+0.25", "worse)", "0.375", "(-0.25", "better)"] in shown
    assert ["2", "more", "are", "the", "same", "in", "all", "runs:", "--all"] in shown
    assert ["model.depth", "4", "4", "4"] not in shown
    assert ["model.depth", "4", "4", "4"] in words(call("a", "b", "c", "--all").stdout)


def test_in_a_narrow_terminal_each_run_has_a_line_that_fits(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    output = call("a", "b", "c").stdout
    assert ["c", "0.1", "True", "0.375", "(-0.25", "better)"] in words(output)
    assert "more columns do not fit" in output
    assert max(len(line) for line in output.splitlines()[:4]) <= 50


def test_markdown_csv_and_json_have_all(root: Path) -> None:
    markdown = call("a", "b", "--markdown").stdout.splitlines()
    assert (markdown[0], markdown[2]) == ("|  | a (baseline) | b |", "| lr | 0.1 | 0.2 |")
    [a, b] = csv.DictReader(io.StringIO(call("a", "b", "--csv").stdout))
    assert (a["run"], b["params.lr"], b["params.model.depth"], b["metrics.loss.best"]) == ("a", "0.2", "4", "0.75")
    shown = json.loads(call("a", "b", "--json").stdout)
    assert [(run["run_id"], run["is_baseline"]) for run in shown["runs"]] == [("a-1", True), ("b-1", False)]
    assert shown["metrics"][0]["is_better"] == [None, False]
    assert call("a", "b", "--json", "--csv").exit_code == 2


def test_curves_are_drawn_and_a_metric_that_is_not_there_is_named(root: Path) -> None:
    output = call("a", "b", "--plot", "loss").stdout
    assert any("⠀" <= character <= "⣿" for character in output)
    assert "a  █▁█  last 0.625" in output
    with pytest.raises(NotFoundError, match="no run has the metric 'los': did you mean 'loss'"):
        call("a", "b", "--plot", "los")


def test_code_and_artifacts(root: Path) -> None:
    output = call("a", "b", "--code", "--artifacts").stdout
    assert words(output)[[line[:1] for line in words(output)].index(["code/train.py"])][:1] == ["code/train.py"]
    assert "-print('a')" in output
    assert "+print('b')" in output
    assert unitrack.compare("a", "a").artifacts[0].differs is False


@pytest.mark.parametrize("wrong", ["nope", "runs-that-are/not-there", ""])
def test_what_is_no_run_is_an_error_that_names_it(root: Path, wrong: str) -> None:
    with pytest.raises(ConfigError, match=repr(wrong)):
        unitrack.compare("a", wrong)


def test_other_mistakes_name_the_fix(root: Path) -> None:
    with pytest.raises(ConfigError, match="give at least two runs"):
        unitrack.compare()
    with pytest.raises(ConfigError, match="the baseline 'd' is none of the runs that are compared: they are a, b"):
        unitrack.compare("a", "b", baseline="d")
    with pytest.raises(ConfigError, match="the goal of metric 'loss' is 'min' or 'max', got 'low'"):
        _ = unitrack.compare("a", "b", goals={"loss": "low"}).metrics
    assert call().exit_code == 2
    assert call("a", "b", "--goal", "loss").exit_code == 2


def test_all_runs_of_a_location(root: Path) -> None:
    assert len(json.loads(call("--from", root, "--json").stdout)["runs"]) == 3
    assert len(json.loads(call("a", "c", "--from", f"local:{root}", "--json").stdout)["runs"]) == 2


def test_runs_of_one_name_are_told_apart(root: Path) -> None:
    assert unitrack.compare("a", "b").labels == ("a", "b")
    assert unitrack.compare("a", f"local:{root}#a").labels == (
        f"a a-1 local:{root / 'a'}", f"a a-1 local:{root}",
    )  # fmt: skip


def test_a_notebook_shows_a_table(root: Path) -> None:
    comparison = unitrack.compare("a", "b")
    assert "<td>lr</td><td>0.1</td><td>0.2</td>" in comparison._repr_html_()
    assert "lr" in str(comparison)
    assert repr(comparison) == "<Comparison of a, b>"


def test_across_backends(tmp_path: Path) -> None:
    pytest.importorskip("unitrack_tensorboard")
    make: list[tuple[str, Any]] = [("one", "local"), ("two", {"tensorboard": {"logdir": str(tmp_path / "tb")}})]
    for number, (name, sink) in enumerate(make):
        with unitrack.start_run(name, sinks=[sink], delivery="inline", root=tmp_path / "runs") as run:
            run.log_params({"lr": 0.1 * (number + 1)})
            run.log_metrics({"loss": 0.5 - number / 4}, step=0)
    for second in (f"tensorboard:{tmp_path / 'tb'}#two", f"tensorboard:{tmp_path / 'tb'}", tmp_path / "runs" / "two"):
        comparison = unitrack.compare(tmp_path / "runs" / "one", second)
        assert comparison.params[0].values == (0.1, 0.2)
        assert comparison.metrics[0].delta == (None, -0.25)


def test_fifty_runs_and_two_hundred_params_are_readable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(50):
        folder = tmp_path / "runs" / f"run-{number:02}"
        folder.mkdir(parents=True)
        (folder / "metadata.json").write_text(json.dumps({"run_id": f"r{number}", "run_name": f"run-{number:02}"}))
        params = {f"p{n}": n if n % 20 else number for n in range(200)}
        (folder / "params.json").write_text(json.dumps(params))
        lines = (json.dumps({"step": step, "metrics": {"loss": number + step}}) for step in range(3))
        (folder / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    monkeypatch.setenv("COLUMNS", "100")
    began = time.perf_counter()
    output = call("--from", tmp_path / "runs", "--baseline", "run-07").stdout.splitlines()
    assert time.perf_counter() - began < 5
    assert len(output) == 52
    assert max(map(len, output)) <= 100
    assert output[-1] == "190 more are the same in all runs: --all"
    assert any(line.startswith("run-08") and "(+1 worse)" in line for line in output)


def test_the_documents_example_runs_as_printed(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(root.parent)
    from unitrack import compare_experiments

    results = compare_experiments(["runs/a", "runs/b", "runs/not-there"])

    print("Experiment Comparison:")
    for name, data in results.items():
        loss = data["final_metrics"].get("loss", "N/A")
        lr = data["params"].get("lr", "N/A")
        print(f"  {name}: loss={loss}, lr={lr}")
    assert capsys.readouterr().out == "Experiment Comparison:\n  a: loss=0.625, lr=0.1\n  b: loss=0.875, lr=0.2\n"
