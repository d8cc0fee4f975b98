"""Offline runs that unitrack did not write, read as records."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from wandb_reading import wait_for_end

import unitrack
from unitrack.plugins.registry import installed
from unitrack.records import GROUP, JOB_TYPE, Artifact, Metrics
from unitrack.system.members import walk_members
from unitrack_wandb.source import open_source


def test_a_run_that_unitrack_did_not_write(tmp_path: Path) -> None:
    import wandb

    settings = wandb.Settings(mode="offline", silent=True, console="off", x_disable_stats=True, reinit="create_new")
    config = {"lr": 0.1, "unitrack": "theirs"}
    identity = {"id": "foreign", "project": "p", "name": "n", "tags": ["t"], "group": "g", "job_type": "eval"}
    foreign = wandb.init(**identity, dir=str(tmp_path), config=config, settings=settings)
    foreign.log({"loss": 1.5, "nested": {"x": 2}, "text": "no", "step": 40})
    foreign.log({"user.y": 3}, step=7)
    foreign.finish(exit_code=0)
    wait_for_end(tmp_path)
    (tmp_path / "train.py").touch()
    assert [path.name for path in walk_members(tmp_path, installed().stores())] == ["train.py"], "its folder is a store"
    start, params, tags, *metrics, end = open_source(str(tmp_path)).records("foreign")
    assert (start.run_id, start.project, start.name) == ("foreign", "p", "n")
    assert params.params == config
    assert tags.tags == {"t": "", GROUP: "g", JOB_TYPE: "eval"}
    assert [(record.step, record.metrics) for record in metrics] == [
        (0, {"loss": 1.5, "nested.x": 2.0, "step": 40.0}),
        (7, {"user.y": 3.0}),
    ]
    assert end.status == "finished"


def test_media_of_a_run_that_unitrack_did_not_write(tmp_path: Path) -> None:
    import wandb

    image = pytest.importorskip("PIL.Image")
    (tmp_path / "page.html").write_text("<p>")
    settings = wandb.Settings(mode="offline", silent=True, console="off", x_disable_stats=True, reinit="create_new")
    foreign = wandb.init(id="foreign", project="p", dir=str(tmp_path), settings=settings)
    one, two = (image.new("RGB", (2, 2), colour) for colour in ("red", "blue"))
    foreign.log({"loss": 0.5, "sample": wandb.Image(one), "h": wandb.Histogram(np_histogram=([1, 2], [0, 1, 2]))})
    foreign.log({"both": [wandb.Image(one), wandb.Image(two)], "deep/page": wandb.Html(str(tmp_path / "page.html"))})
    foreign.log({"loss": 0.25, "forged": {"_type": "image-file", "path": "../../../page.html"}})
    foreign.finish(exit_code=0)
    wait_for_end(tmp_path)
    records = list(open_source(str(tmp_path)).records("foreign"))
    points = [(record.step, record.metrics) for record in records if isinstance(record, Metrics)]
    assert points == [(0, {"loss": 0.5}), (2, {"loss": 0.25})]
    artifacts = [record for record in records if isinstance(record, Artifact)]
    shown = [record for record in artifacts if record.name.startswith("media/")]
    assert sorted((record.type, record.step) for record in shown) == [
        ("histogram", 0), ("html", 1), ("image", 0), ("image", 1), ("image", 1),
    ]  # fmt: skip
    files = [record for record in shown if record.type != "histogram"]
    assert all(Path(record.file).stat().st_size == record.size for record in files)
    assert not [record.name for record in artifacts if "page.html" in record.file and "media/" not in record.name]


def test_histograms_of_a_run_that_unitrack_did_not_write(tmp_path: Path) -> None:
    """They stand in the rows; files are made of them when they are fetched."""
    import wandb

    settings = wandb.Settings(mode="offline", silent=True, console="off", x_disable_stats=True, reinit="create_new")
    foreign = wandb.init(id="foreign", project="p", dir=str(tmp_path), settings=settings)
    foreign.log({"loss": 0.5, "w": wandb.Histogram(np_histogram=([1, 2], [0, 1, 4]))})
    foreign.log({"../w": wandb.Histogram([0.0, 1.0, 1.0], num_bins=2), "forged": {"_type": "histogram", "values": 3}})
    foreign.finish(exit_code=0)
    wait_for_end(tmp_path)
    run = unitrack.runs(f"wandb:{tmp_path}").find("foreign")
    found = {one.name: one for one in run.artifacts if one.type == "histogram"}
    assert [one.step for one in found.values()] == [0, 1]
    contents = {name: json.loads(run.fetch(name, tmp_path / "here").read_bytes()) for name in found}
    assert contents == {
        "media/histograms/w_0.json": {"counts": [1.0, 2.0], "edges": [0.0, 1.0, 4.0]},
        "media/histograms/_x2e__x2e__x2f_w_1.json": {"counts": [1.0, 2.0], "edges": [0.0, 0.5, 1.0]},
    }
    assert [one.size for one in found.values()] == [(tmp_path / "here" / name).stat().st_size for name in found]
    assert dict(run.summary) == {"loss": 0.5}
