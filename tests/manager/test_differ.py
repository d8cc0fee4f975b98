"""Two runs compared in all that they hold: each difference is found, and named."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import unitrack
from unitrack.manager.verification.allowances import Allowances
from unitrack.manager.verification.differ import compare_runs
from unitrack.reading import StoredRun

CONFIG = {"safeguards": {"non_finite": "keep"}, "tracking": {"sinks": ["local"], "delivery": "inline"}}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder: params of several types, points out of order and not finite, a file, and a folder."""
    root = tmp_path_factory.mktemp("differ")
    data = root / "data"
    data.mkdir()
    (data / "a.txt").write_text("a")
    with unitrack.start_run("r", config=CONFIG, root=root / "runs", tags={"team": "nlp"}) as run:
        run.log_params({"lr": 0.1, "depth": 4, "flag": True})
        for step in (0, 5, 1, 2):
            run.log_metrics({"loss": 1 / (step + 3)}, step=step)
        run.log_metrics({"odd": math.nan}, step=0)
        run.log_metrics({"odd": -math.inf}, step=1)
        run.log_text("hello", "notes.txt")
        run.log_artifacts(data, "data")
    return run.path


@pytest.fixture
def pair(written: Path, tmp_path: Path) -> tuple[StoredRun, Path]:
    """The run, and the folder of a copy of it."""
    copy = Path(shutil.copytree(written, tmp_path / "r"))
    return unitrack.runs(written)[0], copy


def found(pair: tuple[StoredRun, Path], allowances: Allowances | None = None) -> list[str]:
    return [str(one) for one in compare_runs(pair[0], unitrack.runs(pair[1])[0], allowances or Allowances())]


def edit_points(folder: Path, change: Callable[[list[dict[str, Any]]], object]) -> None:
    file = folder / "metrics.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    change(lines)
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))


def edit_json(file: Path, **values: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def test_a_copy_does_not_differ(pair: tuple[StoredRun, Path]) -> None:
    assert found(pair) == []


def test_a_value_one_bit_off_is_named_with_its_step_and_both_values(pair: tuple[StoredRun, Path]) -> None:
    value = math.nextafter(1 / 8, 1)
    edit_points(pair[1], lambda lines: lines[1]["metrics"].update(loss=value))
    assert found(pair) == [f"point 'loss' at step 5: value differs: 0.125 became {value!r}"]


def test_points_that_are_missing_extra_or_of_another_time(pair: tuple[StoredRun, Path]) -> None:
    def change(lines: list[dict[str, Any]]) -> None:
        lines[0]["time"] += 7
        lines.append(lines[2] | {"step": 9})
        lines.append(lines[3])
        del lines[2]

    edit_points(pair[1], change)
    problems = [one.split(": ")[1] for one in found(pair)]
    assert problems == ["time differs", "missing", "extra"]
    assert "point 'loss' (2 points, the first at step 2): extra" in found(pair)[2]


def test_a_metric_that_only_one_has(pair: tuple[StoredRun, Path]) -> None:
    edit_points(pair[1], lambda lines: lines[0].update(metrics={"lost": 0.5}))
    assert [one.split(":")[0] for one in found(pair)] == ["point 'loss' at step 0", "point 'lost' at step 0"]


def test_the_order_of_logging_is_no_difference_where_steps_tell_it(pair: tuple[StoredRun, Path]) -> None:
    edit_points(pair[1], lambda lines: lines.insert(0, lines.pop(1)))
    assert found(pair) == []


def test_params_have_types_tags_and_the_description_count(pair: tuple[StoredRun, Path]) -> None:
    edit_json(pair[1] / "params.json", depth="4", flag=1)
    edit_json(pair[1] / "metadata.json", tags={"team": "cv", "new": "x"}, description="other", status="failed")
    assert found(pair) == [
        "run 'description': differs: '' became 'other'",
        "run 'status': differs: 'finished' became 'failed'",
        "param 'depth': differs: '4' became '\"4\"'",
        "param 'flag': differs: 'true' became '1'",
        "tag 'team': differs: 'nlp' became 'cv'",
        "tag 'new': extra: None became 'x'",
    ]
    [text, flag] = [one for one in found(pair, Allowances(text_params=True)) if one.startswith("param")]
    assert text.endswith("[the backend holds text]")
    assert "[" not in flag


def test_files_are_compared_by_content_in_folders_too(pair: tuple[StoredRun, Path]) -> None:
    (pair[1] / "artifacts" / "notes.txt").write_text("hellO")
    (pair[1] / "artifacts" / "data" / "a.txt").unlink()
    (pair[1] / "artifacts" / "data" / "b.txt").write_text("a")
    lines = [one.split(": ")[:2] for one in found(pair)]
    assert lines == [
        ["artifact 'data/a.txt'", "missing"],
        ["artifact 'notes.txt'", "differs"],
        ["artifact 'data/b.txt'", "extra"],
    ]


def test_32_bit_floats_are_stated_only_if_the_backend_declares_them(pair: tuple[StoredRun, Path]) -> None:
    import struct

    def change(lines: list[dict[str, Any]]) -> None:
        for line in lines[:4]:
            line["metrics"]["loss"] = struct.unpack("<f", struct.pack("<f", line["metrics"]["loss"]))[0]

    edit_points(pair[1], change)
    assert found(pair)[0].startswith("point 'loss' (2 points, the first at step 0): value differs")  # two are exact
    assert found(pair, Allowances(exact_floats=False)) == [
        "point 'loss': held as 32-bit floats [the backend holds 32-bit floats]"
    ]


def test_thinned_points_may_be_missing_and_no_others_come_instead(pair: tuple[StoredRun, Path]) -> None:
    edit_points(pair[1], lambda lines: (lines.pop(1), lines[0]["metrics"].update(loss=9.0)))
    value, missing = compare_runs(pair[0], unitrack.runs(pair[1])[0], Allowances(keep_every=2))
    assert (value.problem, value.allowed, missing.problem, missing.allowed) == (
        "value differs", "", "missing", "the sink gets one point in 2",
    )  # fmt: skip


def test_points_after_training_went_back_may_differ(pair: tuple[StoredRun, Path]) -> None:
    edit_points(pair[1], lambda lines: (lines.pop(1), lines[0]["metrics"].update(loss=9.0)))
    at_zero, later = compare_runs(pair[0], unitrack.runs(pair[1])[0], Allowances(superseded={"loss": 2}))[::-1]
    assert (at_zero.step, at_zero.allowed, later.step, bool(later.allowed)) == (0, "", 5, True)


def test_middleware_allows_all_differences(pair: tuple[StoredRun, Path]) -> None:
    edit_json(pair[1] / "params.json", depth=5)
    [difference] = compare_runs(pair[0], unitrack.runs(pair[1])[0], Allowances(changed_by=("rename",)))
    assert difference.allowed == "the sink's options rename change what it gets"
