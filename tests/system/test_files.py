"""Reading files and folders that others may have made, or change; see also tests/faults."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest
from unitrack_tests.vanishing import make_vanishing

from unitrack.system.files import files_below, read_regular


def test_reading_a_small_file_takes_little_memory(root: Path) -> None:
    """Ledgers are read a hundred times a second while training waits, also near a limit on its memory."""
    file = root / "small.json"
    file.write_bytes(b"{}")
    tracemalloc.start()
    try:
        assert read_regular(file) == b"{}"
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_a_file_as_long_as_allowed_is_read_and_a_longer_one_is_not(root: Path) -> None:
    """By one byte."""
    file = root / "file"
    file.write_bytes(b"1234")
    assert read_regular(file, max_bytes=4) == b"1234"
    with pytest.raises(OSError, match="more than 3 bytes"):
        read_regular(file, max_bytes=3)


def test_the_files_below_a_folder_of_which_a_part_vanishes(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An artifact of a run at work is replaced while the run is listed."""
    (root / "kept" / "inner").mkdir(parents=True)
    (root / "kept" / "inner" / "file").touch()
    (root / "kept" / "link").symlink_to(root / "kept" / "inner")
    make_vanishing(root / "vanishing", monkeypatch)
    assert list(files_below(root)) == [root / "kept" / "inner" / "file"]
    assert not (root / "vanishing").exists()
