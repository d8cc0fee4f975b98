"""Folders of offline runs as people have them: damaged, copied, linked, with axes and summaries of the plain SDK."""

from __future__ import annotations

import itertools
import logging
import shutil
from pathlib import Path

import pytest
from unitrack_tests.vanishing import make_vanishing
from wandb_reading import wait_for_end

import unitrack
from unitrack.records import DEFINITION_PREFIX, MetricDefinition, RunEnd, metric_definitions
from unitrack_wandb.source import open_source

ROWS = 1500
BLOCK = 32 * 1024


@pytest.fixture(scope="module")
def plain_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root that the plain SDK wrote one offline run to, of several blocks."""
    import wandb

    root = tmp_path_factory.mktemp("plain")
    settings = wandb.Settings(mode="offline", silent=True, console="off", x_disable_stats=True, reinit="create_new")
    run = wandb.init(id="plain", project="p", notes="why", dir=str(root), settings=settings)
    run.define_metric("epoch")
    run.define_metric("val/*", step_metric="epoch")
    run.define_metric("acc", summary="max")
    for step in range(ROWS):
        run.log({"acc": step / 3, "epoch": step // 100, "val/loss": 1 / (step + 1)})
    run.summary["best"] = 0.5
    run.summary["deep"] = {"score": 2}
    run.summary["acc"] = -1.0
    run.summary["word"] = "text"
    run.finish()
    wait_for_end(root)
    return root


@pytest.fixture
def copied(plain_run: Path, tmp_path: Path) -> Path:
    """The `.wandb` file in a copy, which a test may damage."""
    shutil.copytree(plain_run, tmp_path / "copy", symlinks=True)
    [file] = (tmp_path / "copy" / "wandb").glob("offline-run-*/*.wandb")
    assert file.stat().st_size > 5 * BLOCK
    return file


def steps_of(file: Path) -> list[int]:
    return list(open_source(str(file.parent)).columns("plain")["acc"].steps)


def overwrite(file: Path, at: int, size: int) -> None:
    content = bytearray(file.read_bytes())
    content[at : at + size] = b"\xff" * size
    file.write_bytes(content)


def test_reading_goes_on_behind_damage(copied: Path, caplog: pytest.LogCaptureFixture) -> None:
    at = 2 * BLOCK + 5000
    for _ in range(6):  # a row and its summary hold it in turns
        at = copied.read_bytes().index(b"val/loss", at + 1)
        overwrite(copied, at, 1)
    with caplog.at_level(logging.WARNING):
        run = unitrack.runs(f"wandb:{copied.parent}").find("plain")
        steps = list(run.history("acc").steps)
    assert len(steps) == ROWS - 3
    assert (steps[0], steps[-1], run.status) == (0, ROWS - 1, "finished")
    assert steps == sorted(set(steps))
    assert f"{copied}: " in caplog.text
    assert "bytes are damaged, and were skipped" in caplog.text
    assert caplog.text.count("damaged") == 1


def test_a_lost_block_costs_its_own_rows(copied: Path) -> None:
    overwrite(copied, 2 * BLOCK, BLOCK)
    steps = steps_of(copied)
    [gap] = [(one, two) for one, two in itertools.pairwise(steps) if two != one + 1]
    assert 20 < gap[1] - gap[0] < 300
    assert (steps[0], steps[-1]) == (0, ROWS - 1)


def test_a_run_whose_beginning_is_lost_has_the_id_in_its_file_name(copied: Path) -> None:
    overwrite(copied, 7, BLOCK - 7)
    run = unitrack.runs(f"wandb:{copied.parent}").find("plain")
    assert run.history("acc")[-1].step == ROWS - 1
    assert (run.status, run.project) == ("finished", "")


def test_a_file_that_was_cut_is_no_damage_and_the_run_has_no_end(
    copied: Path, caplog: pytest.LogCaptureFixture
) -> None:
    copied.write_bytes(copied.read_bytes()[: 3 * BLOCK + 1234])
    run = unitrack.runs(f"wandb:{copied.parent}").find("plain")
    steps = list(run.history("acc").steps)
    assert steps == list(range(len(steps)))
    assert len(steps) > 100
    assert (run.status, run.ended) == ("running", None)
    assert not caplog.records


def test_each_cut_is_read_up_to_it(copied: Path) -> None:
    content = copied.read_bytes()
    before = 0
    for size in range(2 * BLOCK, 2 * BLOCK + 900, 61):
        copied.write_bytes(content[:size])
        steps = steps_of(copied)
        assert steps == list(range(len(steps)))
        assert len(steps) >= before
        before = len(steps)


def test_axes_and_summaries_of_define_metric_are_tags(plain_run: Path) -> None:
    run = unitrack.runs(f"wandb:{plain_run}").find("plain")
    assert metric_definitions(run.tags) == {
        "val/*": MetricDefinition(step_metric="epoch"),
        "acc": MetricDefinition(summary="max"),
    }
    assert set(run.tags) == {f"{DEFINITION_PREFIX}val/*", f"{DEFINITION_PREFIX}acc"}
    assert run.description == "why"
    assert run.history("epoch")[250].value == 2.0
    assert run.summary["acc"] == (ROWS - 1) / 3


def test_numbers_set_in_the_summary_are_metrics_at_the_newest_step(plain_run: Path) -> None:
    run = unitrack.runs(f"wandb:{plain_run}").find("plain")
    assert {name: [(p.step, p.value) for p in run.history(name)] for name in ("best", "deep.score")} == {
        "best": [(ROWS - 1, 0.5)],
        "deep.score": [(ROWS - 1, 2.0)],
    }
    assert set(run.metrics) == {"acc", "epoch", "val/loss", "best", "deep.score"}
    assert run.history("acc")[-1].value == (ROWS - 1) / 3, "what was set for a logged metric is no point of it"


def test_a_copy_of_a_folder_is_the_same_run_and_the_longest_counts(plain_run: Path, copied: Path) -> None:
    root = copied.parents[2]
    shutil.copytree(copied.parent, root / "backup" / copied.parent.name)
    copied.write_bytes(copied.read_bytes()[: 3 * BLOCK])
    (root / "wandb" / "old.wandb").touch()
    [run] = unitrack.runs(f"wandb:{root}")
    assert len(run.history("acc")) == ROWS
    assert run.status == "finished"


def test_a_link_to_the_latest_run_and_the_file_itself_are_locations(copied: Path) -> None:
    link = copied.parents[1] / "latest-run"
    link.unlink()
    link.symlink_to(copied.parent.name, target_is_directory=True)
    for location in (link, copied, copied.parent, link.parent):
        assert [run.id for run in unitrack.runs(f"wandb:{location}")] == ["plain"]


def test_columns_and_summaries_hold_what_the_records_hold(plain_run: Path) -> None:
    source = open_source(str(plain_run))
    columns = source.columns("plain")
    reference = super(type(source), source).columns("plain")
    assert {name: (list(one.steps), list(one.values), list(one.times)) for name, one in columns.items()} == {
        name: (list(one.steps), list(one.values), list(one.times)) for name, one in reference.items()
    }
    assert list(source.columns("plain", ["acc", "no"])) == ["acc"]
    [(start, summary)] = source.summaries()
    assert (start, summary) == (next(source.runs()), source.summary("plain"))
    assert isinstance(list(source.records("plain"))[-1], RunEnd)
    assert source.summary("plain").ended == columns["acc"].times[-1]


def test_a_folder_that_vanishes_while_runs_are_searched(
    plain_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside a run at work: its courier removes the spool of what is delivered."""
    shutil.copytree(plain_run, tmp_path / "runs", symlinks=True)
    make_vanishing(tmp_path / "runs" / "spool.removed", monkeypatch)
    assert [start.run_id for start in open_source(str(tmp_path / "runs")).runs()] == ["plain"]
    assert not (tmp_path / "runs" / "spool.removed").exists()


@pytest.mark.parametrize("listed", ["runs", "summaries"])
def test_a_run_that_is_gone_once_it_was_found_hides_no_other(copied: Path, listed: str) -> None:
    """A run that is sent again replaces the folder of its first attempt."""
    for name in ("second", "third"):
        other = copied.parents[1] / f"{copied.parent.name}-{name}"
        shutil.copytree(copied.parent, other)
        file = (other / copied.name).rename(other / f"run-{name}.wandb")
        overwrite(file, 7, BLOCK - 7)
    found = getattr(open_source(str(copied.parents[1])), listed)()
    next(found)
    shutil.rmtree(copied.parents[1] / f"{copied.parent.name}-second")
    [rest] = found
    assert (rest if listed == "runs" else rest[0]).run_id == "third"
