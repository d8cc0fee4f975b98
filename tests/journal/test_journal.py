"""The journal: what was appended is read back, whatever happens to the file around it."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from zlib import crc32

import msgspec
import pytest

from unitrack.errors import JournalError, RunFinishedError
from unitrack.journal import (
    Chunk,
    JournalReader,
    JournalWriter,
    Position,
    count_lines,
    find_writers,
    segment_path,
)
from unitrack.journal import writer as journal_module
from unitrack.journal.lines import decode_line, encode_line, encode_record
from unitrack.limits import FOREIGN_BYTES, MIB
from unitrack.records import AnyRecord, Artifact, Metrics, Params, RunEnd, RunStart, Tags

OLD_JOURNAL = Path(__file__).parent / "data" / "v1"


def point(seq: int, value: float = 0.5) -> Metrics:
    return Metrics(seq=seq, time=1_700_000_000_000 + seq, step=seq, metrics={"loss": value})


def write(spool: Path, count: int, segment_bytes: int = 1 << 20) -> JournalWriter:
    writer = JournalWriter(spool, segment_bytes)
    for seq in range(count):
        with writer.lock:
            writer.copy(point(seq))
    return writer


def read_all(spool: Path, writer: str, start: Position | None = None, max_bytes: int = 1 << 20):
    """All records and damages of a journal, chunk by chunk, until three reads in a row give nothing new."""
    reader, records, damages, idle = JournalReader(spool, writer, start), [], [], 0
    while idle < 3:
        before = reader.position
        chunk = reader.read(max_bytes)
        records += chunk.records
        damages += chunk.damages
        idle = idle + 1 if chunk.end == before else 0
    reader.close()
    return records, damages, reader.position


def test_a_line_is_checksum_space_json_newline(root: Path) -> None:
    """The format is a promise: other programs may read it with nothing but CRC-32 and JSON."""
    writer = write(root, 1)
    line = segment_path(root, writer.writer, 0).read_bytes()
    assert line.endswith(b"\n")
    assert line[8:9] == b" "
    assert int(line[:8], 16) == crc32(line[9:-1])
    assert msgspec.json.decode(line[9:-1]) == {
        "kind": "metrics",
        "seq": 0,
        "time": 1_700_000_000_000,
        "step": 0,
        "metrics": {"loss": 0.5},
    }


def test_all_kinds_of_records_come_back_equal(root: Path) -> None:
    """Each record is read as it was written, special values and big steps included."""
    records: list[AnyRecord] = [
        RunStart(seq=0, time=1, run_id="a", name="näme\n", project="p", tags={"a": "b"}),
        Params(seq=1, time=2, params={"a": [1, None, {"b": "ü"}], "big": 2**63 - 1}),
        point(2).with_values({"nan": float("nan"), "inf": float("inf"), "x": -0.0, "tiny": 5e-324, "max": 1.7e308}),
        Metrics(seq=3, time=4, step=2**63 - 1, metrics={"a/b c": 1e-9}),
        Tags(seq=4, time=5, tags={"t": "\u2028"}),
        Artifact(seq=5, time=6, name="a/b.png", file=".spool/files/x/b.png", type="figure", size=3, step=0),
        RunEnd(seq=6, time=7, status="killed"),
    ]
    writer = JournalWriter(root)
    for record in records:
        writer.copy(record)
    read, damages, _ = read_all(root, writer.writer)
    assert read == records
    assert not damages
    assert str(read[2].values()["nan"]) == "nan"  # type: ignore[union-attr]


def test_cut_at_every_byte_only_the_cut_line_is_missing(root: Path) -> None:
    """Wherever a crash cuts the file, all complete lines before it are read, and nothing is called damaged."""
    writer = write(root, 4)
    path = segment_path(root, writer.writer, 0)
    data = path.read_bytes()
    ends = [index + 1 for index, byte in enumerate(data) if byte == 10]
    for cut in range(len(data) + 1):
        path.write_bytes(data[:cut])
        records, damages, position = read_all(root, writer.writer)
        complete = sum(end <= cut for end in ends)
        assert [record.seq for record in records] == list(range(complete)), cut
        assert not damages
        assert position.offset == (ends[complete - 1] if complete else 0)


def test_what_is_appended_after_a_cut_is_read(root: Path) -> None:
    """A reader that met a half line takes it once the rest is there."""
    writer = write(root, 2)
    path = segment_path(root, writer.writer, 0)
    data = path.read_bytes()
    for cut in range(len(data)):
        path.write_bytes(data[:cut])
        reader = JournalReader(root, writer.writer)
        first = reader.read().records
        path.write_bytes(data)
        assert [record.seq for record in first + reader.read().records] == [0, 1], cut
        reader.close()


def test_segments_rotate_and_read_in_order(root: Path) -> None:
    """A full segment is followed by the next, and a reader at any chunk size crosses them without loss."""
    writer = write(root, 100, segment_bytes=300)
    segments = find_writers(root)[writer.writer]
    assert segments == list(range(len(segments)))
    assert len(segments) > 20
    for max_bytes in (64, 100, 1 << 20):
        records, damages, _ = read_all(root, writer.writer, max_bytes=max_bytes)
        assert [record.seq for record in records] == list(range(100)), max_bytes
        assert not damages
    assert count_lines(root, writer.writer, segments, Position()) == 100


def test_a_reader_resumes_from_any_position_that_it_reported(root: Path) -> None:
    """The position after a chunk is all that has to be remembered."""
    writer = write(root, 50, segment_bytes=500)
    reader = JournalReader(root, writer.writer)
    seen = 0
    while seen < 50:
        chunk = reader.read(150)
        seen += len(chunk.records)
        rest, _, _ = read_all(root, writer.writer, chunk.end)
        assert [record.seq for record in rest] == list(range(seen, 50))
        assert count_lines(root, writer.writer, find_writers(root)[writer.writer], chunk.end) == 50 - seen
    reader.close()


def test_a_reader_that_starts_before_deleted_segments_goes_on_after_them(root: Path) -> None:
    """Delivered segments may be gone when a reader begins at the beginning: it must not wait for them for ever."""
    writer = write(root, 60, segment_bytes=500)
    segments = find_writers(root)[writer.writer]
    for segment in segments[:3]:
        segment_path(root, writer.writer, segment).unlink()
    records, _, _ = read_all(root, writer.writer)
    assert records
    assert records[-1].seq == 59
    assert [record.seq for record in records] == list(range(records[0].seq, 60))


def test_lines_longer_than_a_read_are_read(root: Path) -> None:
    """A single record may be larger than what a lane takes at a time."""
    writer = JournalWriter(root)
    writer.copy(point(0))
    writer.copy(Params(seq=1, time=1, params={"long": "x" * 3_000_000}))
    writer.copy(point(2))
    records, damages, _ = read_all(root, writer.writer, max_bytes=1000)
    assert [record.seq for record in records] == [0, 1, 2]
    assert len(records[1].params["long"]) == 3_000_000
    assert not damages


@pytest.mark.parametrize("begin", [b"", b'01234567 {"kind":"metrics","seq":0,"x":"'])
def test_a_sparse_file_is_passed_over(root: Path, begin: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of 2 GB that is no journal costs a bounded number of bytes read, and one message."""
    path = segment_path(root, "a", 0)
    path.write_bytes(begin)
    os.truncate(path, 2 * 1024 * MIB)
    read_bytes, pread = 0, os.pread

    def counting(descriptor: int, size: int, offset: int) -> bytes:
        nonlocal read_bytes
        read_bytes += size
        return pread(descriptor, size, offset)

    monkeypatch.setattr(os, "pread", counting)
    reader = JournalReader(root, "a")
    chunk = reader.read()
    assert (chunk.records, chunk.end) == ([], Position(0, 2 * 1024 * MIB))
    [damage] = chunk.damages
    assert damage.reason == "2147483648 bytes are no record: the file is damaged, or it is not a journal"
    assert read_bytes < 2 * FOREIGN_BYTES
    assert count_lines(root, "a", [0], Position()) == 0
    assert reader.read(is_over=True) == Chunk([], [], chunk.end, [])


def test_records_after_a_long_damage_are_read(root: Path) -> None:
    """Zeros longer than a read, as a loss of power leaves them, hide no record that comes after them."""
    record = Metrics(seq=7, time=1, step=0, metrics={"loss": 0.5})
    segment_path(root, "a", 0).write_bytes(bytes(3 * MIB + 5) + encode_line(record) + encode_line(record))
    reader = JournalReader(root, "a")
    chunk = reader.read()
    assert chunk.records == [record, record]
    assert [damage.offset for damage in chunk.damages] == [0]


def test_threads_share_a_writer(root: Path) -> None:
    """Four threads that append at once leave whole lines, each number once."""
    writer = JournalWriter(root, segment_bytes=5000)

    def work() -> None:
        for _ in range(300):
            writer.copy(point(0))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    records, damages, _ = read_all(root, writer.writer)
    assert [record.seq for record in records] == list(range(1200))
    assert not damages


def test_an_unknown_kind_of_record_is_damage_not_the_end(root: Path) -> None:
    """A record of a newer version is counted and skipped, with a reason that names it."""
    writer = write(root, 1)
    body = b'{"kind":"hologram","seq":1,"time":2}'
    with segment_path(root, writer.writer, 0).open("ab") as file:
        file.write(b"%08x %b\n" % (crc32(body), body) + encode_line(point(2)))
    records, damages, _ = read_all(root, writer.writer)
    assert [record.seq for record in records] == [0, 2]
    assert "hologram" in damages[0].reason


def test_an_unknown_field_is_ignored(root: Path) -> None:
    """Newer versions only add fields, and what they add doesn't make a line unreadable."""
    body = msgspec.json.encode({**msgspec.to_builtins(point(0)), "colour": "blue"})
    assert decode_line(b"%08x %b" % (crc32(body), body)) == point(0)


@pytest.mark.parametrize("line", [b"x", b"zzzzzzzz {}", b"00000000 {}", b"\xff" * 40, b"-1234567 {}", b" " * 20])
def test_garbage_is_damage(line: bytes) -> None:
    """No line makes the reader raise."""
    assert isinstance(decode_line(line), str)


def test_deeply_nested_garbage_is_damage() -> None:
    """A line that would overflow the decoder's stack is damage as well."""
    body = b"[" * 100_000
    assert isinstance(decode_line(b"%08x %b" % (crc32(body), body)), str)


def test_the_first_journal_format_is_readable_for_ever() -> None:
    """A run of version 1 is checked in: every version from then on reads it."""
    writer = "0000018bcfe56800-1234-abc123"
    records, damages, _ = read_all(OLD_JOURNAL, writer)
    kinds = [type(record) for record in records]
    assert kinds == [RunStart, Params, Metrics, Metrics, Tags, Artifact, RunEnd]
    start = records[0]
    assert isinstance(start, RunStart)
    assert (start.run_id, start.name, start.project, start.schema) == ("0123456789ab", "first run", "digits", 1)
    assert [str(record.values()) for record in records if isinstance(record, Metrics)] == [
        "{'loss': 0.25, 'acc': 0.5}",
        "{'loss': 0.125, 'acc': nan}",
    ]
    assert not damages


def test_a_writer_without_its_folder_says_so(root: Path) -> None:
    """The error names the file and derives from OSError."""
    with pytest.raises(JournalError, match="can't open the journal") as caught:
        JournalWriter(root / "missing")
    assert isinstance(caught.value, OSError)


def test_appending_to_a_closed_writer_raises(root: Path) -> None:
    """It never writes into whatever file got the descriptor next."""
    writer = write(root, 1)
    writer.close()
    with (root / "innocent").open("wb"), pytest.raises(RunFinishedError):
        writer.copy(point(1))
    assert (root / "innocent").read_bytes() == b""


def test_a_rotation_that_fails_goes_on_in_the_full_segment(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Out of file descriptors is no reason to lose a line."""
    writer = JournalWriter(root, segment_bytes=200)
    real = os.open

    def refuse(path: object, *args: object, **kwargs: object) -> int:
        if str(path).endswith("000001.journal") and refusing:
            raise OSError(24, "Too many open files")
        return real(path, *args, **kwargs)  # type: ignore[arg-type]

    refusing = True
    monkeypatch.setattr(journal_module.os, "open", refuse)
    for seq in range(10):
        writer.copy(point(seq))
    refusing = False
    for seq in range(10, 20):
        writer.copy(point(seq))
    assert len(find_writers(root)[writer.writer]) > 1
    records, damages, _ = read_all(root, writer.writer)
    assert [record.seq for record in records] == list(range(20))
    assert not damages


def test_sync_does_not_disturb(root: Path) -> None:
    """Syncing between appends, twice and after a rotation, changes nothing that is read."""
    writer = JournalWriter(root, segment_bytes=150)
    for seq in range(5):
        writer.copy(point(seq))
        writer.sync()
        writer.sync()
    assert [record.seq for record in read_all(root, writer.writer)[0]] == list(range(5))


def test_other_files_in_the_spool_are_no_journals(root: Path) -> None:
    """Only `<writer>.<segment>.journal` is read."""
    for name in ("x.journal", ".000000.journal", "a.b.journal", "ended", "a.000000.journal.tmp"):
        (root / name).write_text("x")
    assert find_writers(root) == {}
    assert find_writers(root / "missing") == {}


def test_encoding_is_deterministic() -> None:
    """Equal records give equal lines, so a redelivered record is recognisably the same."""
    assert encode_record(point(1)) == encode_record(point(1))


def test_the_writer_numbers_and_stamps(root: Path) -> None:
    """Whatever number a record that is copied has had; a copy keeps its time."""
    writer = JournalWriter(root)
    before = time.time_ns() // 1_000_000
    writer.write(Params, params={"a": 1})
    writer.write_metrics(7, {"loss": 0.5})
    writer.copy(msgspec.structs.replace(point(40), time=5))
    assert writer.next_seq == 3
    writer.close()
    records = read_all(root, writer.writer)[0]
    assert [record.seq for record in records] == [0, 1, 2]
    assert before <= records[0].time <= records[1].time <= time.time_ns() // 1_000_000
    assert records[2].time == 5
