"""Datasets: logged by their content, which no log call reads if there is much of it."""

from __future__ import annotations

import hashlib
import os
import threading
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

import unitrack
from unitrack.blobs.content import content_of
from unitrack.environment.datasets import as_frame
from unitrack.errors import ArtifactNotFoundError, InvalidTypeError, InvalidValueError
from unitrack.limits import MIB
from unitrack.records import Column, Dataset


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def datasets(run: unitrack.Run) -> dict[str, Dataset]:
    """Return what the local files have of a run's datasets."""
    folder = run.path / "artifacts/datasets"
    return {path.stem: msgspec.json.decode(path.read_bytes(), type=Dataset) for path in folder.iterdir()}


@pytest.mark.parametrize("delivery", ["inline", "process"])
def test_files_and_folders(delivery: Any, here: Path) -> None:
    """Their bytes are hashed; what their format tells of columns and rows is there."""
    Path("train.csv").write_text('x,"a name"\n1,"two\nlines"\n2,b\n')
    Path("lines.jsonl").write_text('{"a": 1}\n{"a": 2}\n')
    Path("fake.parquet").write_text("no parquet")
    np.save("v.npy", np.zeros((5, 3), dtype="f4"))
    Path("images/deep").mkdir(parents=True)
    Path("images/deep/a.png").write_bytes(b"png")
    with unitrack.start_run("data", sinks=["local"], delivery=delivery, root="runs") as run:
        run.log_dataset("train.csv")
        run.log_dataset(Path("images"), "pictures", context="validation")
        for name in ("lines.jsonl", "fake.parquet", "v.npy"):
            run.log_dataset(name)
    found = datasets(run)
    train = found["train"]
    assert train.digest == hashlib.sha256(Path("train.csv").read_bytes()).hexdigest()
    assert (train.kind, train.rows, train.columns) == ("csv", 2, (Column("x"), Column("a name")))
    assert (train.source, train.context) == (str(here / "train.csv"), "training")
    pictures = found["pictures"]
    assert (pictures.kind, pictures.files, pictures.size, pictures.context) == ("folder", 1, 3, "validation")
    assert pictures.digest == content_of(Path("images")).digest
    assert (found["lines"].rows, found["fake"].kind) == (2, "file" if find_spec("pyarrow") else "parquet")
    assert (found["v"].rows, found["v"].columns) == (5, (Column("", "float32[3]"),))
    [stored] = unitrack.runs("runs")
    assert {artifact.type for artifact in stored.artifacts} == {"dataset"}


def test_large_data_in_memory_is_hashed_in_another_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """The log call returns before; `finish` waits for it."""
    hashed_in: list[int] = []
    go_on = threading.Event()

    def slow(frame: Any) -> Any:
        made = as_frame(frame)

        def digest() -> str:
            assert go_on.wait(30)
            hashed_in.append(threading.get_ident())
            return made.digest()

        return msgspec.structs.replace(made, digest=digest)

    monkeypatch.setattr("unitrack.environment.datasets.as_frame", slow)
    array = np.arange(MIB, dtype="f8")
    with unitrack.start_run("big", sinks=["local"], delivery="inline", root="runs") as run:
        run.log_dataset(array, "big", source="s3://bucket/big.npy")
        assert not (run.path / "artifacts/datasets").exists()
        go_on.set()
    assert hashed_in and hashed_in[0] != threading.get_ident()
    assert datasets(run)["big"].digest == as_frame(array).digest()
    assert datasets(run)["big"].source == "s3://bucket/big.npy"


def test_what_is_not_hashed_in_time_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """`finish` keeps its timeout."""
    go_on = threading.Event()
    slow = msgspec.structs.replace(as_frame(np.zeros(MIB)), digest=lambda: str(go_on.wait(30)))
    monkeypatch.setattr("unitrack.environment.datasets.as_frame", lambda data: slow)
    run = unitrack.start_run("big", sinks=["local"], delivery="inline", root="runs")
    run.log_dataset(object(), "big")
    with pytest.warns(UserWarning, match=r"run 'big' ends without dataset 'big': hashing takes longer"):
        run.finish(timeout=0.1)
    go_on.set()


FRAMES: dict[str, Any] = {
    "numbers": {"a": [1, 2, None, 4]},
    "texts": {"s": ["x" * 30, None, "y" * 40, ""]},
    "bools": {"b": [True, None, False, True]},
    "lists": {"l": [[1], [2, 3], [], None]},
}


@pytest.mark.parametrize("data", FRAMES.values(), ids=FRAMES)
def test_equal_values_have_one_digest_however_they_lie_in_memory(data: Any) -> None:
    """In one chunk or in two, sliced or filtered."""
    pa = pytest.importorskip("pyarrow")
    pd = pytest.importorskip("pandas")
    pl = pytest.importorskip("polars")
    whole = pl.DataFrame(data)
    parts = pl.concat([whole[:1], whole[1:]], rechunk=False)
    assert as_frame(parts).digest() == as_frame(whole).digest() != as_frame(whole[::-1]).digest()
    assert as_frame(whole.filter(pl.lit(True))).digest() == as_frame(whole).digest()
    table = pa.table(data)
    assert as_frame(pa.concat_tables([table[:1], table[1:]])).digest() == as_frame(table).digest()
    padded = pa.table({name: [None, *values] for name, values in data.items()})
    assert as_frame(padded[1:]).digest() == as_frame(table).digest()
    frame = pd.DataFrame(data)
    assert as_frame(frame.copy()).digest() == as_frame(frame).digest()
    assert as_frame(frame.rename(columns={frame.columns[0]: "z"})).digest() != as_frame(frame).digest()


def test_arrays() -> None:
    """Shape and type count; the order in memory does not."""
    array = np.arange(12.0).reshape(3, 4)
    assert as_frame(np.asfortranarray(array)).digest() == as_frame(array).digest()
    others = [array.reshape(4, 3), array.astype("f4"), array + 1, array.view("i8")]
    assert len({as_frame(one).digest() for one in [array, *others]}) == 5
    for odd in (
        np.zeros((0, 3)),
        np.array(["2020-01-01"], dtype="M8[D]"),
        np.zeros(2, dtype=[("x", "i4"), ("y", "f8")]),
    ):
        assert as_frame(odd).digest() == as_frame(odd.copy()).digest()


def test_bad_input(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named, with what to do; nothing else of the run is lost."""
    with unitrack.start_run("bad", sinks=["local"], delivery="inline", root="runs") as run:
        with pytest.raises(ArtifactNotFoundError, match=r"there is no file or folder nope.csv \(looked from"):
            run.log_dataset("nope.csv")
        with pytest.raises(InvalidValueError, match=r"s3://b/x.csv is not on this machine; load it"):
            run.log_dataset("s3://b/x.csv")
        with pytest.raises(InvalidTypeError, match=r"got builtins.list; save it to a file"):
            run.log_dataset([1, 2], "list")
        with pytest.raises(InvalidValueError, match="needs a name"):
            run.log_dataset(np.zeros(3))
        with pytest.raises(InvalidValueError):
            run.log_dataset(np.zeros(3), "../outside")
        with pytest.raises(InvalidTypeError, match="Python objects has no bytes"):
            run.log_dataset(np.array([object()]), "objects")
        unhashable = msgspec.structs.replace(as_frame(np.zeros(3)), digest=lambda: str(1 / 0))
        monkeypatch.setattr("unitrack.environment.datasets.as_frame", lambda data: unhashable)
        run.log_dataset(object(), "odd")
    assert datasets(run)["odd"].note == "it could not be hashed: division by zero"


def test_a_frame_without_rows_yet_is_refused() -> None:
    """A query of Polars that was not run."""
    pl = pytest.importorskip("polars")
    with (
        unitrack.start_run("lazy", sinks=["local"], delivery="inline", root="runs") as run,
        pytest.raises(InvalidValueError, match="LazyFrame has no rows yet"),
    ):
        run.log_dataset(pl.LazyFrame({"a": [1]}), "lazy")


def test_a_file_that_goes_away_or_is_written_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is a record of it, with the reason why it has no digest."""
    from unitrack.delivery import modes

    Path("gone.csv").write_text("a\n1\n")
    Path("busy.csv").write_text("a\n1\n")
    answer = modes.InlineDelivery.answer

    def later(self: Any, request: str) -> None:
        Path("gone.csv").unlink(missing_ok=True)
        answer(self, request)

    monkeypatch.setattr(modes.InlineDelivery, "answer", later)
    stat, sizes = os.fstat, iter(range(100))

    def growing(descriptor: int) -> Any:
        class Status:
            st_size, st_mtime_ns = next(sizes), 0

        return Status if os.readlink(f"/proc/self/fd/{descriptor}").endswith("busy.csv") else stat(descriptor)

    with unitrack.start_run("late", sinks=["local"], delivery="inline", root="runs") as run:
        run.log_dataset("gone.csv")
        with monkeypatch.context() as patched:
            patched.setattr("unitrack.blobs.content.os.fstat", growing)
            run.log_dataset("busy.csv")
    found = datasets(run)
    assert (found["gone"].digest, found["busy"].digest) == ("", "")
    assert "could not be read a moment after the call: No such file" in found["gone"].note
    assert "written while it was read" in found["busy"].note
