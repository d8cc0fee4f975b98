"""Values as real code has them: names with dots, small floats, sound in either order, objects as params."""

from __future__ import annotations

import wave
from collections import namedtuple
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import attrs
import ml_dtypes
import numpy as np
import omegaconf
import pytest

import unitrack
from unitrack.local.source import LocalSource
from unitrack.records import Artifact, Params

PIXELS = np.zeros((4, 4, 3))


def start() -> unitrack.Run:
    return unitrack.start_run("a", sinks="local", delivery="inline")


def artifacts(run: unitrack.Run) -> list[str]:
    return [one.name for one in LocalSource(str(run.path)).records("a") if isinstance(one, Artifact)]


@pytest.mark.parametrize("name", ["layer1.0.conv.weight", "loss.v2", "a.b/c.d", "v1.5"])
def test_a_name_keeps_its_dots(root: Path, name: str) -> None:
    with start() as run:
        run.log_image(PIXELS, name)
        run.log_histogram([0.0, 1.0], name, step=3)
        run.log_table([[1]], f"{name}.t", columns=["x"])
        run.log_audio(np.zeros(8), name)
        run.log_video(np.zeros((2, 4, 4, 3)), name)
        run.log_html("<p>", name)
        run.log({name: unitrack.Image(PIXELS)}, step=4)
    assert artifacts(run) == [
        *(f"{name}.png", f"{name}-3.json", f"{name}.t.json", f"{name}.wav", f"{name}.gif", f"{name}.html"),
        f"{name}-4.png",
    ]


def test_a_suffix_of_the_medium_is_the_format(root: Path) -> None:
    with start() as run:
        run.log_image(PIXELS, "photo.JPG")
        run.log_image(run.path / "artifacts" / "photo.JPG", "layer.0")
        run.log_html("<p>", "page.htm", step=1)
    assert artifacts(run) == ["photo.JPG", "layer.0.JPG", "page-1.htm"]


@pytest.mark.parametrize("dtype", ["bfloat16", "float8_e4m3fn", "float8_e5m2", "float16"])
def test_floats_of_few_bits(root: Path, dtype: str) -> None:
    values = np.array([[0.0, 0.25], [0.5, 1.0]]).astype(getattr(ml_dtypes, dtype, dtype))
    with start() as run:
        run.log_image(values, "image")
        run.log_histogram(values, "histogram", bins=2)
        run.log_audio(values.ravel(), "sound")
        run.log_video(np.stack([values, values]), "video")
        run.log_metrics({"loss": values[0, 1]}, step=0)
    assert len(artifacts(run)) == 4
    [found] = unitrack.runs("local:experiments")
    assert found.summary == {"loss": 0.25}


class BFloat16Tensor:
    """What torch has: no NumPy type for bfloat16, until it is made a float."""

    def __init__(self, values: Any, is_float: bool = False) -> None:
        self._values, self._is_float = values, is_float

    def detach(self) -> BFloat16Tensor:
        return self

    def cpu(self) -> BFloat16Tensor:
        return self

    def float(self) -> BFloat16Tensor:
        return BFloat16Tensor(self._values, is_float=True)

    def numpy(self) -> Any:
        if not self._is_float:
            raise TypeError("Got unsupported ScalarType BFloat16")
        return np.asarray(self._values, dtype=np.float32)


def test_a_tensor_that_numpy_does_not_know(root: Path) -> None:
    with start() as run:
        run.log_image(BFloat16Tensor([[0.0, 1.0]]), "image")
    assert artifacts(run) == ["image.png"]


@pytest.mark.parametrize("shape", [(2, 8000), (8000, 2)])
def test_the_shorter_axis_of_a_sound_is_its_channels(root: Path, shape: tuple[int, int]) -> None:
    left, right = np.full(8000, 0.5), np.full(8000, -0.5)
    sound = np.stack([left, right], axis=0 if shape[0] == 2 else 1)
    with start() as run:
        run.log_audio(sound, "tone", sample_rate=8000)
    with wave.open(str(run.path / "artifacts" / "tone.wav")) as file:
        assert (file.getnchannels(), file.getnframes(), file.getframerate()) == (2, 8000, 8000)
        assert np.frombuffer(file.readframes(1), "<i2").tolist() == [16384, -16384]


def test_a_picture_is_no_sound(root: Path) -> None:
    with start() as run, pytest.raises(ValueError, match=r"audio 'x' of shape \(300, 200\) would have more than 64"):
        run.log_audio(np.zeros((200, 300)), "x")


class Optimizer(NamedTuple):
    name: str
    lr: float


@attrs.define
class Model:
    depth: int
    optimizer: Optimizer


class Handwritten:
    momentum = 0.9

    def __init__(self) -> None:
        self.lr = 0.1
        self.model = Model(4, Optimizer("adam", 0.1))
        self._cache = object()


@dataclass
class HalfSet:
    lr: float = 0.1
    total_steps: int = field(init=False)


class Proxy:
    """Stands for an object that is not there yet."""

    def __getattr__(self, name: str) -> object:
        raise RuntimeError("working outside of application context")


def logged(root: Path, params: Any) -> dict[str, Any]:
    with start() as run:
        run.log_params(params)
    [found] = [one for one in LocalSource(str(run.path)).records(run.path.name) if isinstance(one, Params)]
    return found.params


OPTIMIZER = {"name": "adam", "lr": 0.1}


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        (Optimizer("adam", 0.1), OPTIMIZER),
        (namedtuple("Old", "a b")(1, 2), {"a": 1, "b": 2}),
        (Model(4, Optimizer("adam", 0.1)), {"depth": 4, "optimizer": OPTIMIZER}),
        (Handwritten(), {"lr": 0.1, "model": {"depth": 4, "optimizer": OPTIMIZER}}),
        (SimpleNamespace(lr=0.1), {"lr": 0.1}),
        (SimpleNamespace(model=SimpleNamespace(depth=4)), {"model": {"depth": 4}}),
        (HalfSet(), {"lr": 0.1}),
        ({"half": HalfSet()}, {"half": {"lr": 0.1}}),
        ({"nested": Optimizer("adam", 0.1)}, {"nested": OPTIMIZER}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_objects_that_hold_params(root: Path, params: Any, expected: dict[str, Any]) -> None:
    assert logged(root, params) == expected


def test_an_object_among_params_stays_text(root: Path) -> None:
    """It may be a model with a million parameters."""
    found = logged(root, {"model": Handwritten()})
    assert found["model"].endswith("Handwritten object>")


def test_an_object_that_answers_nothing_is_told_by_its_type(root: Path) -> None:
    assert logged(root, {"app": Proxy()})["app"].endswith("Proxy object>")
    with start() as run, pytest.raises(TypeError, match="log_params: params must be a mapping"):
        run.log_params(Proxy())


@pytest.mark.parametrize("nothing", [object(), 5, "lr=0.1", [1], print, Handwritten, np.zeros(2)])
def test_what_holds_no_named_values_is_refused(root: Path, nothing: Any) -> None:
    with start() as run, pytest.raises(TypeError, match="log_params: params must be a mapping"):
        run.log_params(nothing)


def test_a_missing_value_of_omegaconf_is_as_it_is_written(root: Path) -> None:
    config = omegaconf.OmegaConf.create({"lr": 0.1, "data": {"path": "???", "size": "${lr}"}})
    assert logged(root, config) == {"lr": 0.1, "data": {"path": "???", "size": 0.1}}


def test_a_value_that_omegaconf_cannot_resolve_is_named(root: Path) -> None:
    config = omegaconf.OmegaConf.create({"path": "???", "data": {"file": "${path}/x", "other": "${nothing}"}})
    with start() as run, pytest.raises(ValueError, match=r"param 'data.file' can't be resolved by OmegaConf: "):
        run.log_params(config)
