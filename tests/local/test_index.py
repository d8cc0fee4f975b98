"""The index of a folder of local runs: it saves reading, and changes nothing else."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from unitrack.local import source as local_source
from unitrack.local.index import INDEX
from unitrack.local.source import LocalSource

RUNS = 25
HOUR_AGO = time.time() - 3600


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A folder of runs, all of them an hour old."""
    for number in range(RUNS):
        write_run(tmp_path / f"run-{number:02}", number)
    return tmp_path


def write_run(folder: Path, number: int, *, changed: float = HOUR_AGO) -> None:
    folder.mkdir(exist_ok=True)
    metadata = {"run_id": f"id-{number}", "run_name": f"name {number}", "start_time_ms": 1000, "status": "finished"}
    (folder / "metadata.json").write_text(json.dumps(metadata))
    (folder / "params.json").write_text(json.dumps({"lr": number / 10, "huge": 10**number}))
    (folder / "metrics.jsonl").write_text(f'{{"step": 3, "metrics": {{"loss": {number}, "bad": NaN}}}}\n')
    for file in folder.iterdir():
        os.utime(file, (changed, changed))


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the folders whose files are read."""
    names: list[str] = []
    read: Callable[..., object] = local_source._entry_of

    def note(folder: Path) -> object:
        names.append(folder.name)
        return read(folder)

    monkeypatch.setattr(local_source, "_entry_of", note)
    return names


def listed(store: Path) -> list[object]:
    return [(start, repr(summary)) for start, summary in LocalSource(str(store)).summaries()]


def test_the_second_listing_reads_no_run_and_gives_the_same(store: Path, reads: list[str]) -> None:
    first = listed(store)
    assert len(reads) == RUNS and (store / INDEX).is_file()
    assert (store / INDEX).stat().st_mode & 0o022 == 0
    del reads[:]
    assert listed(store) == first
    assert reads == []
    assert sorted(path.name for path in store.iterdir() if not path.is_dir()) == [INDEX]


def test_a_run_that_changed_is_read_again(store: Path, reads: list[str]) -> None:
    listed(store)
    del reads[:]
    write_run(store / "run-03", 19, changed=HOUR_AGO + 1)
    with (store / "run-05" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4, "metrics": {"loss": -1}}\n')
    by_id = {start.run_id: summary for start, summary in LocalSource(str(store)).summaries()}
    assert reads[:2] == ["run-03", "run-05"]
    assert by_id["id-5"].last["loss"] == -1 and by_id["id-5"].metrics["loss"].step_of_min == 4  # type: ignore[index]
    assert "id-3" not in by_id and "run-19" in by_id, "two have one id: the second goes by its folder"


def test_a_run_that_was_written_just_now_is_not_kept(store: Path, reads: list[str]) -> None:
    """Another change may leave the same time."""
    write_run(store / "run-04", 4, changed=time.time())
    listed(store)
    del reads[:]
    listed(store)
    assert "run-04" in reads and "run-06" not in reads


def test_removed_runs_leave_the_index(store: Path) -> None:
    listed(store)
    for file in (store / "run-00").iterdir():
        file.unlink()
    for number in range(30, 55):
        write_run(store / f"run-{number}", number % 20)
    assert len(listed(store)) == RUNS - 1 + 25
    with sqlite3.connect(store / INDEX) as connection:
        [(table,)] = connection.execute("SELECT name FROM sqlite_master").fetchall()
        names = {name for (name,) in connection.execute(f"SELECT name FROM {table}")}
    connection.close()
    assert "run-00" not in names and "run-31" in names


@pytest.mark.parametrize("damage", [b"", b"no database", b"SQLite format 3\0" + b"\xff" * 5000, None])
def test_a_damaged_index_is_made_anew(store: Path, reads: list[str], damage: bytes | None) -> None:
    first = listed(store)
    index = store / INDEX
    if damage is None:
        content = bytearray(index.read_bytes())
        content[len(content) // 2 :: 7] = bytes(len(content[len(content) // 2 :: 7]))
        damage = bytes(content)
    index.write_bytes(damage)
    assert listed(store) == first
    listed(store)
    del reads[:]
    assert listed(store) == first
    assert len(reads) < RUNS


def test_a_locked_index_is_left_alone(store: Path) -> None:
    first = listed(store)
    connection = sqlite3.connect(store / INDEX, isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    began = time.monotonic()
    assert listed(store) == first
    assert time.monotonic() - began < 2
    connection.close()


def test_an_index_that_cannot_be_written_is_no_error(store: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "file"
    elsewhere.write_text("mine")
    (store / INDEX).symlink_to(elsewhere)
    assert len(listed(store)) == RUNS
    assert elsewhere.read_text() == "mine"
    (store / INDEX).unlink()
    (store / INDEX).mkdir()
    assert len(listed(store)) == RUNS


def test_readers_at_the_same_time(store: Path) -> None:
    answers: list[int] = []
    threads = [threading.Thread(target=lambda: answers.append(len(listed(store)))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [RUNS] * 4


def test_few_small_runs_and_single_ones_get_no_index(store: Path, tmp_path: Path) -> None:
    assert len(listed(store / "run-00")) == 1
    assert not (store / "run-00" / INDEX).exists()
    few = tmp_path / "few"
    few.mkdir()
    write_run(few / "one", 1)
    assert len(listed(few)) == 1
    assert not (few / INDEX).exists()
