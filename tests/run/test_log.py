"""`Run.log`: numbers and media together; `run.config`, `run.summary` and `define_metric`."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

import unitrack
from unitrack.local.source import LocalSource
from unitrack.records import Artifact, Metrics

BOXES = {
    "predicted": {
        "box_data": [{"position": {"minX": 0.1, "maxX": 0.2, "minY": 0.3, "maxY": 0.4}, "class_id": 1}],
        "class_labels": {1: "car"},
    }
}
PIXELS = np.zeros((4, 6, 3), dtype=np.uint8)


def logged(run: unitrack.Run, kind: type) -> list[Any]:
    return [record for record in LocalSource(str(run.path)).records(run.path.name) if isinstance(record, kind)]


def test_numbers_and_media_at_one_step(root: Path) -> None:
    figure = pytest.importorskip("matplotlib.figure").Figure()
    table = unitrack.Table([], columns=["n", "what"])
    table.add_data(1, "x")
    with unitrack.start_run("a", sinks="local", delivery="inline") as run:
        run.log(
            {
                "loss": 0.5,
                "val": {"loss": np.float32(0.25), "image": unitrack.Image(PIXELS)},
                "image": unitrack.Image(PIXELS, caption="a car"),
                "several": [unitrack.Image(PIXELS), Pillow.new("L", (2, 2))],
                "table": table,
                "weights": unitrack.Histogram([0.0, 1.0], bins=2),
                "tone": unitrack.Audio(np.zeros(80), sample_rate=8000, caption="silence"),
                "clip": unitrack.Video(np.zeros((2, 4, 4, 3), dtype=np.uint8)),
                "page": unitrack.Html("<p>x</p>"),
                "figure": figure,
                "wrapped": unitrack.Figure(figure),
            },
            step=7,
        )
        run.log({"loss": 0.25})
    points = logged(run, Metrics)
    assert [(point.step, point.values()) for point in points] == [
        (7, {"loss": 0.5, "val.loss": 0.25}),
        (8, {"loss": 0.25}),
    ]
    artifacts = {one.name: (one.type, one.step, one.annotations) for one in logged(run, Artifact)}
    assert artifacts == {
        "val.image-7.png": ("image", 7, {}),
        "image-7.png": ("image", 7, {"caption": "a car"}),
        "several/0-7.png": ("image", 7, {}),
        "several/1-7.png": ("image", 7, {}),
        "table-7.json": ("table", 7, {}),
        "weights-7.json": ("histogram", 7, {}),
        "tone-7.wav": ("audio", 7, {"caption": "silence"}),
        "clip-7.gif": ("video", 7, {}),
        "page-7.html": ("html", 7, {}),
        "figure-7.png": ("figure", 7, {}),
        "wrapped-7.png": ("figure", 7, {}),
    }


def test_steps_go_on_from_call_to_call(root: Path) -> None:
    with unitrack.start_run("a", sinks="local", delivery="inline") as run:
        run.log({"image": unitrack.Image(PIXELS)})
        run.log({"image": unitrack.Image(PIXELS), "loss": 1.0})
    assert [one.step for one in logged(run, Artifact)] == [0, 1]
    assert [one.step for one in logged(run, Metrics)] == [1]


def test_boxes_and_masks_are_kept(root: Path) -> None:
    classes = np.arange(24, dtype=np.int64).reshape(4, 6)
    masks = {"truth": {"mask_data": classes, "class_labels": {1: "car"}}}
    with unitrack.start_run("a", sinks="local", delivery="inline") as run:
        run.log({"image": unitrack.Image(PIXELS, boxes=BOXES, masks=masks)})
    [image] = logged(run, Artifact)
    assert image.annotations["boxes"]["predicted"]["class_labels"] == {"1": "car"}
    assert image.annotations["boxes"]["predicted"]["box_data"] == BOXES["predicted"]["box_data"]
    png = base64.b64decode(image.annotations["masks"]["truth"]["png"])
    assert np.array_equal(np.asarray(Pillow.open(io.BytesIO(png))), classes)


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        (5, TypeError, "log takes a mapping of names to values, got int"),
        ({"note": "text"}, TypeError, "metric 'note' must be numeric"),
        ({"image": unitrack.Image(PIXELS, caption=3)}, TypeError, "'image': caption must be a string, got int 3"),
        ({"image": unitrack.Image(PIXELS, boxes={"p": [1]})}, TypeError, "image 'image', boxes 'p': expected"),
        ({"image": unitrack.Image(PIXELS, boxes={"p": {"box_data": [1]}})}, TypeError, 'each box needs {"position"'),
        ({"image": unitrack.Image(PIXELS, masks={"p": PIXELS})}, TypeError, "image 'image', masks 'p': expected"),
        (
            {"image": unitrack.Image(PIXELS, masks={"p": {"mask_data": [[0.5]]}})},
            TypeError,
            "mask_data must be integers of shape",
        ),
        ({"image": unitrack.Image(PIXELS, masks={"p": {"mask_data": [[256]]}})}, ValueError, "must be in 0 ... 255"),
    ],
)
def test_what_is_wrong_is_named(root: Path, values: Any, error: type[Exception], message: str) -> None:
    with unitrack.start_run("a", sinks="local", delivery="inline") as run:
        with pytest.raises(unitrack.UnitrackError, match=message) as refused:
            run.log(values)
        assert isinstance(refused.value, error)
        run.log({"loss": 1.0})
    assert len(logged(run, Metrics)) == 1


def test_rows_are_added_to_a_list_alone() -> None:
    with pytest.raises(TypeError, match="rows can be added to a list of rows, not to data of type dict"):
        unitrack.Table({"a": [1]}).add_data(2)


def test_pictures_can_be_switched_off(root: Path) -> None:
    config = {"artifacts": {"save_plots": False}}
    with unitrack.start_run("a", config=config, sinks="local", delivery="inline") as run:
        run.log({"image": unitrack.Image(PIXELS), "loss": 1.0})
        run.log_image(PIXELS, "b")
    assert logged(run, Artifact) == []
    assert len(logged(run, Metrics)) == 1


def test_params_as_a_mapping(root: Path) -> None:
    with unitrack.start_run("a", params={"lr": 0.1, "model": {"depth": 4}}, sinks="local", delivery="inline") as run:
        assert run.config["lr"] == run.config.lr == 0.1
        run.config["lr"] = 0.2
        run.config.seed = 1
        run.config.update({"model": {"width": 8}}, epochs=3)
        run.config.setdefaults({"lr": 0.5, "seed": 2})
        assert dict(run.config) == {"lr": 0.2, "model": {"depth": 4, "width": 8}, "seed": 1, "epochs": 3}
        assert repr(run.config) == repr(run.config.as_dict())
        with pytest.raises(AttributeError, match="the run has no param 'lrr'; it has lr, model, seed, epochs"):
            _ = run.config.lrr
        with pytest.raises(KeyError):
            _ = run.config["lrr"]
        with pytest.raises(TypeError, match="param 'lr' can't be removed"):
            del run.config["lr"]
    [found] = unitrack.runs("local:experiments")
    assert found.params == {"lr": 0.2, "model.depth": 4, "model.width": 8, "seed": 1, "epochs": 3}


def test_values_for_the_whole_run(root: Path) -> None:
    with unitrack.start_run("a", sinks="local", delivery="inline") as run:
        run.log_metrics({"loss": 0.5}, step=9)
        run.summary["best"] = np.float32(0.5)
        run.summary.update({"f1": 0.75}, top5=1)
        assert dict(run.summary) == {"best": 0.5, "f1": 0.75, "top5": 1.0}
        with pytest.raises(TypeError, match="summary value 'note' must be a number, got str; text belongs in set_tags"):
            run.summary["note"] = "x"
    [found] = unitrack.runs("local:experiments")
    assert found.summary == {"loss": 0.5, "best": 0.5, "f1": 0.75, "top5": 1.0}
    assert [point.step for point in found.history("best")] == [9]


def test_which_value_stands_for_the_run(root: Path) -> None:
    with unitrack.start_run("a", sinks="local", delivery="inline") as run:
        run.define_metric("val/*", step_metric="epoch", summary="max")
        run.define_metric("val/loss", summary="min")
        run.define_metric("mean", summary="mean")
        run.define_metric("first", summary="first")
        for step, value in enumerate((2.0, 1.0, 3.0)):
            run.log({"val/acc": value, "val/loss": value, "mean": value, "first": value, "plain": value, "epoch": step})
        for arguments, message in (
            (("",), "name must be the name of a metric, got ''"),
            ((3,), "name must be the name of a metric, got 3"),
        ):
            with pytest.raises(TypeError, match=message):
                run.define_metric(*arguments)
        with pytest.raises(ValueError, match=r"summary must be one of 'last', 'min', .* got 'best'"):
            run.define_metric("a", summary="best")
    [found] = unitrack.runs("local:experiments")
    assert found.summary == {"val/acc": 3, "val/loss": 1, "mean": 2, "first": 2, "plain": 3, "epoch": 2}


def test_a_pruned_trial_ends_as_one(root: Path) -> None:
    run = unitrack.start_run("a", sinks="local", delivery="inline")
    run.finish("pruned")
    [found] = unitrack.runs("local:experiments")
    assert found.status == "pruned"
