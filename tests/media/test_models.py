"""What `log_model` makes of objects."""

from __future__ import annotations

from pathlib import Path

import pytest

import unitrack
from unitrack.errors import InvalidTypeError, InvalidValueError
from unitrack.media import models
from unitrack.media.models import register_saver, save_model
from unitrack.testing import recorded


class Model:
    def __init__(self, text: str = "weights") -> None:
        self.text = text


class Finer(Model):
    pass


@pytest.fixture(autouse=True)
def own_savers(monkeypatch: pytest.MonkeyPatch) -> None:
    """No saver outlives its test."""
    monkeypatch.setattr(models, "_savers", {})


def write(model: Model, folder: Path) -> Path:
    (folder / "model.bin").write_text(model.text)
    return folder / "model.bin"


def test_a_registered_saver_saves_its_class_and_those_below(tmp_path: Path) -> None:
    register_saver(Model, write)
    with recorded() as runs, unitrack.start_run("a") as run:
        run.log_model(Model(), "net")
        run.log_model(Finer("finer"), "finer")
    assert runs[0].files == {"net/model.bin": b"weights", "finer/model.bin": b"finer"}
    assert {record.type for record in runs[0].records if hasattr(record, "size")} == {"model"}


def test_the_nearest_class_counts_and_the_last_registration(tmp_path: Path) -> None:
    def failing(model: object, folder: Path) -> Path:
        raise AssertionError("not this one")

    register_saver(object, failing)
    register_saver(Model, failing)
    register_saver(Finer, failing)
    register_saver(Finer, write)
    assert save_model(Finer("near"), tmp_path).read_text() == "near"


def test_a_saver_that_wrote_elsewhere_or_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("")
    folder = tmp_path / "folder"
    folder.mkdir()
    for returned in (tmp_path / "elsewhere", folder / "missing", folder):
        register_saver(Model, lambda model, folder, returned=returned: returned)
        with pytest.raises(InvalidValueError, match="the saver of Model returned"):
            save_model(Model(), folder)


def test_save_pretrained_makes_a_folder(tmp_path: Path) -> None:
    class Pretrained:
        def save_pretrained(self, folder: Path) -> None:
            folder.mkdir()
            (folder / "config.json").write_text("{}")

    saved = save_model(Pretrained(), tmp_path)
    assert [file.name for file in saved.iterdir()] == ["config.json"]


def test_what_nobody_can_save_names_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(InvalidTypeError, match="can't save a Model: register a saver"):
        save_model(Model(), tmp_path)


def test_an_estimator_that_pickle_does_not_take_names_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Estimator:
        def fit(self) -> None: ...

        def get_params(self) -> None: ...

    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)  # no skops
    with pytest.raises(InvalidTypeError, match=r"log_model can't pickle a Estimator: .*; register a saver"):
        save_model(Estimator(), tmp_path)
