"""Contents of files and folders by their SHA-256, and copies that share blocks."""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path

import pytest

from unitrack.blobs.content import ContentChangedError, Member, content_of, differences, file_digest, folder_digest
from unitrack.blobs.copying import clone_or_copy


def test_a_file_has_the_digest_that_sha256sum_prints(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"abc" * 1_000_000)
    content = content_of(tmp_path / "a.bin")
    assert (content.digest, content.size, content.members) == (
        hashlib.sha256(b"abc" * 1_000_000).hexdigest(),
        3_000_000,
        None,
    )


def test_a_folder_counts_by_the_paths_and_contents_of_its_files(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name / "sub").mkdir(parents=True)
        (tmp_path / name / "sub" / "b.txt").write_text("b")
        (tmp_path / name / "a.txt").write_text("a")
    (tmp_path / "two" / "empty").mkdir()
    (tmp_path / "two" / "link").symlink_to(tmp_path / "one" / "a.txt")
    one, two = content_of(tmp_path / "one"), content_of(tmp_path / "two")
    assert one == two
    assert one.members is not None
    assert [member.path for member in one.members] == ["a.txt", "sub/b.txt"]
    assert one.digest == folder_digest(reversed(one.members))
    (tmp_path / "two" / "sub" / "b.txt").rename(tmp_path / "two" / "sub" / "c.txt")
    assert content_of(tmp_path / "two").digest != one.digest


def test_names_and_contents_of_a_folder_cannot_be_mistaken_for_each_other() -> None:
    digest = file_digest(Path(os.devnull))
    both = [Member("a", 0, digest), Member("b", 0, digest)]
    assert folder_digest(both) != folder_digest([Member(f"a\n{digest}", 0, digest)])


def test_a_file_that_is_written_while_it_is_read_is_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "log.bin"
    path.write_bytes(b"x" * 2**20)
    stop = threading.Event()

    def write_on() -> None:
        with path.open("ab", buffering=0) as file:
            while not stop.is_set():
                file.write(b"y" * 4096)

    writer = threading.Thread(target=write_on)
    writer.start()
    try:
        with pytest.raises(ContentChangedError, match=r"log\.bin was written while it was read"):
            for _ in range(100):
                content_of(path)
    finally:
        stop.set()
        writer.join()


def test_differences_name_each_file(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).write_text(name)
    before = content_of(tmp_path)
    assert differences(tmp_path, before) == []
    (tmp_path / "a").write_text("A")
    (tmp_path / "b").unlink()
    (tmp_path / "d").write_text("d")
    assert differences(tmp_path, before) == ["a has another content", "b is missing", "d was added"]
    one = content_of(tmp_path / "c")
    (tmp_path / "c").write_text("C")
    assert differences(tmp_path / "c", one) == ["c has another content"]


def test_a_copy_is_its_own_file(tmp_path: Path) -> None:
    source, copy = tmp_path / "source", tmp_path / "copy"
    source.write_bytes(os.urandom(3 * 2**20))
    os.utime(source, (1, 2))
    clone_or_copy(source, copy)
    assert content_of(copy) == content_of(source)
    assert copy.stat().st_mtime == 2
    with source.open("r+b") as file:
        file.write(b"changed")
    assert content_of(copy) != content_of(source)
    with pytest.raises(FileExistsError):
        clone_or_copy(source, copy)
