"""The columnar copy beside the points of a local run that has ended, and what reading does without it."""

from __future__ import annotations

import json
import math
import os
import zlib
from pathlib import Path

import msgspec
import pytest

from unitrack.hookspecs import RunSummary, columns_of
from unitrack.local import columns as columns_module
from unitrack.local.columns import LocalPoints
from unitrack.local.source import LocalSource
from unitrack.reading import History
from unitrack.records import Metrics

POINTS = 3000
FOREIGN = [
    '{"step": 5, "metrics": {"loss": NaN, "val/acc": Infinity}, "time": 9, "seq": 1}',
    '{"metrics": {"loss": 2}}',
    '{"step": 6, "metrics": {"other": 1}}',
    "no line of metrics",
    '{"step": -1, "metrics": {"loss": 1}}',
    "",
]


def write_run(folder: Path, *, status: str = "completed", state: bool = True) -> Path:
    folder.mkdir(exist_ok=True)
    if state:
        (folder / ".unitrack").mkdir(exist_ok=True)
    (folder / "metadata.json").write_text(json.dumps({"run_id": "r", "status": status, "start_time_ms": 7}))
    lines = [
        json.dumps({"step": i, "metrics": {"loss": i / 3, "lr": 1 / (i + 1)}, "time": 1000 + i, "seq": i})
        for i in range(POINTS)
    ]
    lines[10:10] = FOREIGN
    (folder / "metrics.jsonl").write_text("\n".join(lines) + '\n{"step": 1, "metr')
    return folder


def read(folder: Path, *names: str) -> dict[str, list[str]]:
    """The points as text, since NaN does not equal itself."""
    found = LocalSource(str(folder)).columns("r", names or None)
    return {name: [repr(point) for point in History(name, columns)] for name, columns in found.items()}


def expected(folder: Path) -> dict[str, list[str]]:
    records = (record for record in LocalSource(str(folder)).records("r") if isinstance(record, Metrics))
    return {name: [repr(point) for point in History(name, one)] for name, one in columns_of(records).items()}


@pytest.fixture(autouse=True)
def _small_files_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns_module, "_WORTH_KEEPING", 0)


@pytest.mark.parametrize("block", [50, 4096, 1 << 20])
@pytest.mark.parametrize("status", ["completed", "running"])
def test_columns_are_the_points_of_the_records(
    tmp_path: Path, block: int, status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unitrack.local.points._BLOCK", block)
    folder = write_run(tmp_path / "run", status=status)
    before = expected(folder)
    assert list(before) == ["loss", "lr", "val/acc", "other"] and len(before["loss"]) == POINTS + 2
    for _ in range(2):  # from the lines, then from the copy
        assert read(folder) == before
        assert list(read(folder)) == list(before)
        assert read(folder, "lr", "none") == {"lr": before["lr"]}
    assert (folder / ".unitrack" / "columns.bin").exists() == (status == "completed")


@pytest.mark.parametrize("status", ["completed", "running"])
def test_the_summary_of_columns_is_that_of_the_records(
    tmp_path: Path, status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_run(tmp_path / "run", status=status)
    points = [(3, -0.0), (9, 2.0), (9, 0.0), (1, 2.0), (4, math.inf), (4, math.inf), (2, 1e-9)]
    lines = [json.dumps({"step": step, "metrics": {"x": value}, "time": 5, "seq": 1}) for step, value in points]
    lines += ['{"step": 0, "metrics": {"nan": NaN}}'] * 2
    with (folder / "metrics.jsonl").open("a") as file:
        file.write("\n" + "\n".join(lines))
    source = LocalSource(str(folder))
    whole = RunSummary.of(source.records("r"))
    for _ in range(2):
        summary = source.summary("r")
        assert repr(summary.metrics) == repr(whole.metrics) and repr(summary.last) == repr(whole.last)
        assert (summary.status, summary.ended) == (whole.status, whole.ended)
        assert read(folder, "lr") == {"lr": expected(folder)["lr"]}
    if status == "completed":
        monkeypatch.setattr(columns_module, "read_columns", None)
        monkeypatch.setattr(columns_module, "summary_of_columns", None)
        assert repr(source.summary("r").metrics) == repr(whole.metrics)


def test_the_second_read_decodes_no_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_run(tmp_path / "run")
    before = read(folder)
    monkeypatch.setattr(columns_module, "read_columns", None)
    assert read(folder) == before
    assert math.isnan(LocalSource(str(folder)).columns("r")["loss"].values[10])


def test_the_copy_of_a_foreign_run_lies_hidden_beside_its_points(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", state=False)
    read(folder)
    assert sorted(os.listdir(folder)) == [".metrics.columns", "metadata.json", "metrics.jsonl"]
    assert not [record for record in LocalSource(str(folder)).records("r") if type(record).__name__ == "Artifact"]


def test_a_copy_of_other_points_is_replaced(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    read(folder)
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('\n{"step": 9999, "metrics": {"new": 1.5}, "time": 5, "seq": 1}\n')
    assert read(folder, "new") == {"new": ["Point(step=9999, value=1.5, time=5)"]}
    assert read(folder) == expected(folder)


@pytest.mark.parametrize("at", [0, 9, 13, 40, 120, 200, 5000, -1])
def test_a_damaged_copy_is_replaced(tmp_path: Path, at: int) -> None:
    folder = write_run(tmp_path / "run")
    before, copy = read(folder), folder / ".unitrack" / "columns.bin"
    whole = copy.read_bytes()
    damaged = bytearray(whole)
    damaged[at] ^= 0x85
    for content in (bytes(damaged), whole[: at % len(whole)], b"", whole[:8] + b"\xff" * 64):
        copy.write_bytes(content)
        assert read(folder) == before
        assert copy.read_bytes() == whole


@pytest.mark.parametrize("place", [[0, 10**15, 0], [2**63, 1, 0], [-5, 1, 0], [0, -1, 0], ["x", 1, 0]])
def test_a_header_that_lies_is_not_followed(tmp_path: Path, place: list[object]) -> None:
    folder = write_run(tmp_path / "run")
    before, copy = read(folder), folder / ".unitrack" / "columns.bin"
    whole = copy.read_bytes()
    length = int.from_bytes(whole[8:16], "little")
    header = msgspec.msgpack.decode(whole[24 : 24 + length])
    header["metrics"]["loss"] = place
    lying = msgspec.msgpack.encode(header)
    numbers = [number.to_bytes(8, "little") for number in (len(lying), zlib.crc32(lying))]
    copy.write_bytes(b"".join((whole[:8], *numbers, lying, whole[24 + length :])))
    assert read(folder) == before


def test_links_and_pipes_in_the_place_of_the_copy_are_not_followed(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    before, copy, outside = expected(folder), folder / ".unitrack" / "columns.bin", tmp_path / "outside"
    outside.write_text("mine")
    copy.symlink_to(outside)
    assert read(folder) == before and outside.read_text() == "mine"
    copy.unlink()
    os.mkfifo(copy)
    assert read(folder) == before
    copy.unlink()
    (folder / ".unitrack").rmdir()
    (tmp_path / "elsewhere").mkdir()
    (folder / ".unitrack").symlink_to(tmp_path / "elsewhere")
    assert read(folder) == before and not os.listdir(tmp_path / "elsewhere")


def test_nothing_is_kept_where_nothing_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_run(tmp_path / "run")

    def refuse(path: Path, data: bytes) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(columns_module, "write_atomically", refuse)
    assert read(folder) == expected(folder)
    assert os.listdir(folder / ".unitrack") == []


def test_no_points_are_no_columns(tmp_path: Path) -> None:
    assert LocalPoints(tmp_path / "metrics.jsonl", 0, ended=True).columns() == {}
