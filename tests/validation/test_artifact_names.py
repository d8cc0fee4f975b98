"""Names of artifacts: what is refused in the call, and what one odd name in a folder costs."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import unitrack
from unitrack.errors import InvalidTypeError, InvalidValueError

ODD = (b"caf\xe9.txt", b"a\\b.txt", b"n" * 241)
KEPT = (b"line\nbreak", b"bell\x07", b"dot.", b"space ", b"Case.txt", b"case.txt", b"a:b", b"C:x")


def folder_with(place: Path, *names: bytes) -> Path:
    """A folder of two good files and one of each of these names."""
    (place / "sub").mkdir(parents=True)
    (place / "good.txt").write_text("good")
    (place / "sub" / "deep.txt").write_text("deep")
    for name in names:
        Path(os.fsdecode(os.fsencode(place / "sub") + b"/" + name)).write_text("odd")
    return place


def kept_in(folder: Path) -> set[str]:
    """The files below a folder, relative to it."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def calls(run: unitrack.Run, file: Path, name: str) -> dict[str, Callable[[], None]]:
    """Every call that takes a name for an artifact."""
    pixels = np.zeros((2, 2), np.uint8)
    return {
        "log_artifact": lambda: run.log_artifact(file, name),
        "log_artifacts": lambda: run.log_artifacts(file.parent, name),
        "log_text": lambda: run.log_text("t", name),
        "log_dict": lambda: run.log_dict({}, name),
        "log_image": lambda: run.log_image(pixels, name),
        "log_image of a file": lambda: run.log_image(file, name),
        "log_histogram": lambda: run.log_histogram([1.0, 2.0], name),
        "log_table": lambda: run.log_table([{"a": 1}], name),
        "log_audio": lambda: run.log_audio(np.zeros(80), name),
        "log_video": lambda: run.log_video(np.zeros((2, 4, 4, 3)), name),
        "log_html": lambda: run.log_html("<p>", name),
        "log_model": lambda: run.log_model(file, name),
    }


@pytest.mark.parametrize("name", ["a\\b", "plots\\a.png", "a.png\\b", "a\\"])
def test_a_backslash_in_a_name_is_refused_by_every_call(root: Path, name: str) -> None:
    """The value and the remedy are in the message, and nothing is logged or left in the spool."""
    file = root / "data" / "file.png"
    file.parent.mkdir()
    file.write_bytes(b"x")
    with unitrack.start_run("a", sinks=["local"], delivery="inline", root=root / "runs") as run:
        for call, log in calls(run, file, name).items():
            with pytest.raises(InvalidValueError, match=r"holds a backslash.*write '/'") as caught:
                log()
            assert repr(name)[1:-1] in str(caught.value), call
        assert list((run.path / ".spool").rglob("files/*/*")) == []
    assert not (run.path / "artifacts").exists()


@pytest.mark.parametrize("name", [3, Path("a/b.txt")], ids=str)
def test_a_name_that_is_no_string_is_a_type_error(root: Path, name: object) -> None:
    """It says what it got."""
    (root / "file.png").write_bytes(b"x")
    with unitrack.start_run("a", sinks=["local"], delivery="inline", root=root / "runs") as run:
        for log in calls(run, root / "file.png", name).values():  # type: ignore[arg-type]  # which is the mistake
            with pytest.raises(InvalidTypeError, match="must be a string"):
                log()


@pytest.mark.parametrize("name", ODD[:2], ids=repr)
def test_a_file_of_an_odd_name_is_one_clear_error_and_another_name_helps(root: Path, name: bytes) -> None:
    """The file is fine; only its name is not."""
    file = Path(os.fsdecode(os.fsencode(root) + b"/" + name))
    file.write_text("content")
    with unitrack.start_run("a", sinks=["local"], delivery="inline", root=root / "runs") as run:
        with pytest.raises(InvalidValueError, match=r"give .* another name"):
            run.log_artifact(file)
        run.log_artifact(file, "renamed/file.txt")
    assert (run.path / "artifacts" / "renamed" / "file.txt").read_text() == "content"


@pytest.mark.parametrize("method", ["log_artifact", "log_artifacts"])
def test_odd_names_in_a_folder_cost_those_files_and_one_warning(root: Path, method: str) -> None:
    """The warning is given at the call, names the files and says what to do."""
    data = folder_with(root / "data", *ODD)
    with (
        unitrack.start_run("a", sinks=["local"], delivery="inline", root=root / "runs") as run,
        pytest.warns(UserWarning, match="left out of folder") as caught,
    ):
        getattr(run, method)(data, "in/data")
    [warning] = caught
    assert warning.filename == __file__
    text = str(warning.message)
    assert "caf\\udce9.txt" in text
    assert repr("a\\b.txt")[1:-1] in text
    assert "rename them" in text
    assert run.finish().ok
    assert kept_in(run.path / "artifacts" / "in" / "data") == {"good.txt", "sub/deep.txt"}


def test_a_folder_inside_of_an_odd_name_is_left_out_whole(root: Path) -> None:
    """With what lies in it, and told once; the size that is noted is that of what was kept."""
    data = folder_with(root / "data")
    odd = Path(os.fsdecode(os.fsencode(data) + b"/d\xe9"))
    odd.mkdir()
    (odd / "x").write_text("x" * 2000)
    with (
        unitrack.start_run(
            "a",
            sinks=["local"],
            delivery="inline",
            root=root / "runs",
            config={"safeguards": {"max_artifact_bytes": 1000}},
        ) as run,
        pytest.warns(UserWarning, match=r"left out of folder .*data': 'd\\udce9'") as caught,
    ):
        run.log_artifact(data)
    assert len(caught) == 1
    assert kept_in(run.path / "artifacts" / "data") == {"good.txt", "sub/deep.txt"}


def test_a_warning_names_ten_files_and_counts_the_rest(root: Path) -> None:
    """A data set of such names does not fill the terminal."""
    data = folder_with(root / "data", *(f"{number:02}\\x".encode() for number in range(23)))
    with (
        unitrack.start_run("a", sinks=["local"], delivery="inline", root=root / "runs") as run,
        pytest.warns(UserWarning, match="and 13 more; "),
    ):
        run.log_artifact(data)


@pytest.mark.parametrize("method", ["log_artifact", "log_artifacts"])
def test_other_names_in_a_folder_are_kept_as_they_are(root: Path, method: str) -> None:
    """Control characters, trailing dots and spaces, and names that differ only in case, without a word."""
    data = folder_with(root / "data", *KEPT)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with unitrack.start_run("a", sinks=["local"], delivery="inline", root=root / "runs") as run:
            getattr(run, method)(data, "in/data")
    assert kept_in(run.path / "artifacts" / "in" / "data") == kept_in(data)


def test_the_name_of_the_folder_of_log_artifacts_does_not_matter(root: Path) -> None:
    """It is no part of any artifact's name."""
    data = folder_with(Path(os.fsdecode(os.fsencode(root) + b"/d\xe9\\")))
    with unitrack.start_run("a", sinks=["local"], delivery="inline", root=root / "runs") as run:
        run.log_artifacts(data)
    assert kept_in(run.path / "artifacts") == {"good.txt", "sub/deep.txt"}
