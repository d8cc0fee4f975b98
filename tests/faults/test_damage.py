"""A damaged journal: only the records that were hit are lost, they are counted and named, all others are delivered."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import get_args
from zlib import crc32

import msgspec
import pytest
from typer.testing import CliRunner
from unitrack_tests.bench import Bench, dead_owner, settle
from unitrack_tests.faults import FULL, figure, rounds

from unitrack.cli import app
from unitrack.delivery.lane.progress import Progress
from unitrack.delivery.report import SinkReport
from unitrack.journal import JournalReader, JournalWriter, Position, segment_path
from unitrack.journal import lines as journal_lines
from unitrack.journal.lines import Damage, encode_line, salvage
from unitrack.local.source import LocalSource
from unitrack.plugins.options import make_lane
from unitrack.plugins.registry import installed
from unitrack.records import DIMENSIONS, AnyRecord, Artifact, ArtifactType, Metrics, Params, RunEnd, RunStart, Tags

pytestmark = pytest.mark.faults

TABLE = "Damaged journal"
SAMPLES = Path(__file__).parent.parent / "journal" / "data"
TIME = 1_700_000_000_000


def all_kinds() -> list[AnyRecord]:
    """A short run with each kind of record, its numbers without a gap."""
    records: list[AnyRecord] = [
        RunStart(seq=0, time=0, run_id="0123456789ab", name="läuft", project="digits", tags={"team": "vision"}),
        Params(seq=0, time=0, params={"lr": 0.001, "note": 'deadbeef {"kind":"metrics"}\n', "deep": {"kind": "x"}}),
        Metrics(seq=0, time=0, step=0, metrics={"loss": 0.25, "acc": 0.5}),
        Metrics(seq=0, time=0, step=1, metrics={"loss": 0.125}, special={"acc": "nan"}),
        Tags(seq=0, time=0, tags={"stage": "done"}),
        Artifact(seq=0, time=0, name="plots/roc.png", file=".spool/files/x-0/roc.png", type="figure", size=3, step=3),
        Artifact(seq=0, time=0, name="a.txt", file=".spool/files/x-1/a.txt"),
        Metrics(seq=0, time=0, step=2, metrics={"loss": 0.0625}),
        RunEnd(seq=0, time=0, status="finished"),
    ]
    return [msgspec.structs.replace(record, seq=seq, time=TIME + seq) for seq, record in enumerate(records)]


class Written:
    """A journal on disk: its records, its lines, and where they begin."""

    def __init__(self, spool: Path, records: list[AnyRecord] | None = None) -> None:
        self.spool = spool
        self.records = all_kinds() if records is None else records
        self.writer = "0000018bcfe56800-1-abc123"
        self.lines = [encode_line(record) for record in self.records]
        self.data = b"".join(self.lines)
        self.starts = [sum(map(len, self.lines[:number])) for number in range(len(self.lines))]
        self.path = segment_path(spool, self.writer, 0)

    def read(self, data: bytes) -> tuple[list[AnyRecord], list[Damage]]:
        """What a reader takes from the file with this content, nobody writing to it any more."""
        self.path.write_bytes(data)
        return read_over(self.spool, self.writer)

    def hit(self, begin: int, end: int) -> set[int]:
        """The numbers of the records whose lines, newline included, overlap a place."""
        return {
            number
            for number, start in enumerate(self.starts)
            if start < end and begin < start + len(self.lines[number])
        }


def read_over(spool: Path, writer: str, start: Position | None = None) -> tuple[list[AnyRecord], list[Damage]]:
    """All of a journal that nobody writes to any more."""
    reader = JournalReader(spool, writer, start)
    records: list[AnyRecord] = []
    damages: list[Damage] = []
    while True:
        before = reader.position
        chunk = reader.read(is_over=True)
        records += chunk.records
        damages += chunk.damages
        if chunk.end == before:
            reader.close()
            return records, damages


def numbers(records: list[AnyRecord]) -> list[int]:
    return [record.seq for record in records]


def lost_in(damages: list[Damage]) -> int:
    return sum(damage.lines for damage in damages)


class Tally:
    """What the damages of one kind came to."""

    def __init__(self) -> None:
        self.cases = self.lost = self.beyond = self.uncounted = 0

    def add(self, lost: set[int], hit: set[int], counted: int) -> None:
        """One case: the numbers of the records that are lost, of those that were hit, and how many were reported."""
        self.cases += 1
        self.lost += len(lost)
        self.beyond += len(lost - hit)
        self.uncounted += max(0, len(lost) - counted)

    def note(self, row: str) -> None:
        """Into the table of the page."""
        assert self.cases
        columns = {"records_lost": self.lost, "of_those_not_hit": self.beyond, "of_those_not_counted": self.uncounted}
        figure(TABLE, row, cases=self.cases, **columns)


# -- one byte after the other ------------------------------------------------------------------------------------------


def test_cut_at_every_byte(root: Path) -> None:
    """What is whole is read, though its newline be gone; the record that was cut is counted, at its place."""
    journal = Written(root)
    tally = Tally()
    for cut in range(len(journal.data) + 1):
        records, damages = journal.read(journal.data[:cut])
        whole = sum(start + len(line) - 1 <= cut for start, line in zip(journal.starts, journal.lines, strict=True))
        assert records == journal.records[:whole], cut
        is_torn = whole < len(journal.starts) and cut > journal.starts[whole]
        assert lost_in(damages) == is_torn, cut
        assert [damage.offset for damage in damages] == ([journal.starts[whole]] if is_torn else []), cut
        tally.add({whole} if is_torn else set(), {whole}, lost_in(damages))  # what came after it may never have been
    tally.note("the last file cut at each byte")


def test_cut_at_every_byte_with_a_file_after_it(root: Path) -> None:
    """The next file tells exactly how many are gone, cut between two lines or in one; it is read as it is."""
    journal = Written(root)
    after = msgspec.structs.replace(journal.records[-1], seq=len(journal.records))
    segment_path(root, journal.writer, 1).write_bytes(encode_line(after))
    tally = Tally()
    for cut in range(len(journal.data) + 1):
        records, damages = journal.read(journal.data[:cut])
        whole = sum(start + len(line) - 1 <= cut for start, line in zip(journal.starts, journal.lines, strict=True))
        assert records == [*journal.records[:whole], after], cut
        lost = set(range(whole, len(journal.records)))
        assert lost_in(damages) == len(lost), cut
        tally.add(lost, journal.hit(cut, len(journal.data)), lost_in(damages))
    tally.note("a file before the last cut at each byte")


PATTERNS = {
    "each byte, one bit flipped": range(8) if FULL else (0, 5),
    "each byte, all bits flipped": (8,),
    "each byte made a newline": (9,),
    "each byte made zero": (10,),
}


def changed(byte: int, pattern: int) -> int:
    return (byte ^ (1 << pattern)) if pattern < 8 else {8: byte ^ 0xFF, 9: 10, 10: 0}[pattern]


@pytest.mark.parametrize("name", PATTERNS)
def test_each_byte_changed(root: Path, name: str) -> None:
    """At most the record that it is in is lost, and none where it was only a newline; a lost one is counted, once."""
    journal = Written(root)
    tally = Tally()
    for pattern in PATTERNS[name]:
        for place, byte in enumerate(journal.data):
            after = bytearray(journal.data)
            after[place] = changed(byte, pattern)
            if after[place] == byte:
                continue
            records, damages = journal.read(bytes(after))
            [hit] = journal.hit(place, place + 1)
            lost = [record for record in journal.records if record not in records]
            assert numbers(lost) in ([], [hit]), (place, pattern)
            assert records == [record for record in journal.records if record not in lost], (place, pattern)
            assert not (lost and byte == 10), (place, pattern)
            is_last = hit == len(journal.records) - 1  # made two lines by a newline, with nothing after them to tell
            assert lost_in(damages) == len(lost) or (is_last and lost_in(damages) == 2), (place, pattern)
            within = range(journal.starts[hit], journal.starts[hit] + len(journal.lines[hit]))
            assert all(damage.file == journal.path.name and damage.offset in within for damage in damages)
            assert all(damage.reason for damage in damages)
            tally.add(set(numbers(lost)), {hit}, lost_in(damages))
    tally.note(name)


@pytest.mark.parametrize("seed", range(rounds(short=2, full=40)))
@pytest.mark.parametrize("kind", ["overwritten by garbage", "overwritten by zeros", "garbage put in between"])
def test_a_block_of_garbage(root: Path, kind: str, seed: int) -> None:
    """Blocks of up to 4 KiB, as a failing disk leaves them: what lies beside them is read."""
    dice = random.Random(seed)
    points = [Metrics(seq=0, time=0, step=step, metrics={"loss": step / 7}) for step in range(50)]
    records = [*all_kinds()[:-1], *points, *all_kinds()[-1:]]
    journal = Written(root, [msgspec.structs.replace(one, seq=seq) for seq, one in enumerate(records)])
    last = len(records) - 1
    tally = Tally()
    for _ in range(100):
        length = dice.choice((1, 2, 16, 64, 512, 4096))
        begin = dice.randrange(len(journal.data))
        block = bytes(length) if "zeros" in kind else dice.randbytes(length)
        if kind.startswith("overwritten"):
            block = block[: len(journal.data) - begin]
            end = begin + len(block)
        else:
            end = begin
        after = journal.data[:begin] + block + journal.data[end:]
        hit = journal.hit(begin, max(end, begin + 1)) | journal.hit(begin - 1, begin)
        found, damages = journal.read(after)
        lost = set(range(len(records))) - set(numbers(found))
        assert lost <= hit, (seed, begin, length)
        assert found == [record for record in journal.records if record.seq not in lost], (seed, begin, length)
        if last in lost:  # nothing comes after the damage to tell how much is lost in it
            assert damages, (seed, begin, length)
        elif kind.startswith("overwritten") and lost:
            assert lost_in(damages) == len(lost), (seed, begin, length, damages)
        else:  # what is put in between is damage, whether it hits a record or none
            assert lost_in(damages) in (len(lost), len(lost) + 1), (seed, begin, length, damages)
        if last not in lost:
            tally.add(lost, hit, lost_in(damages))
    tally.note(f"blocks {kind}")


@pytest.mark.parametrize("length", [1, 511, 4096, 3_000_000])
def test_a_tail_of_zeros(root: Path, length: int) -> None:
    """As a power loss leaves it, with or without half a line before: all before it is read, and it is said once."""
    journal = Written(root)
    for keep, whole, damaged in (
        (len(journal.data), 9, True),
        (len(journal.data) - 1, 9, length > 1),  # one stands where a newline was
        (len(journal.data) - 20, 8, True),
        (journal.starts[-1], 8, True),
        (journal.starts[-1] - 1, 8, length > 1),
    ):
        records, damages = journal.read(journal.data[:keep] + bytes(length))
        assert records == journal.records[:whole], keep
        assert [damage.lines for damage in damages] == [1] * damaged, keep


# -- files that are gone, and writers of the future --------------------------------------------------------------------


def segmented(root: Path, count: int = 60) -> tuple[JournalWriter, list[int]]:
    """A journal of many files; returns the numbers of the records that each of them begins with, too."""
    writer = JournalWriter(root, segment_bytes=500)
    firsts: list[int] = [0]
    for seq in range(count):
        before = writer.position.segment
        writer.copy(Metrics(seq=seq, time=TIME, step=seq, metrics={"loss": 0.5}))
        if writer.position.segment != before:
            firsts.append(seq + 1)
    writer.close()
    return writer, firsts


@pytest.mark.parametrize("gone", [(0,), (2,), (2, 3), (1, 4)])
def test_files_in_the_middle_are_gone(root: Path, gone: tuple[int, ...]) -> None:
    """The rest is read, and the report names the first that is missing and counts exactly what was in it."""
    writer, firsts = segmented(root)
    for segment in gone:
        segment_path(root, writer.writer, segment).unlink()
    lost = {seq for segment in gone for seq in range(firsts[segment], firsts[segment + 1])}
    records, damages = read_over(root, writer.writer)
    assert numbers(records) == [seq for seq in range(60) if seq not in lost]
    assert lost_in(damages) == len(lost)
    assert damages[0].file == segment_path(root, writer.writer, gone[0]).name
    assert damages[0].reason == "the file is missing"
    tally = Tally()
    tally.add(set(range(60)) - set(numbers(records)), lost, lost_in(damages))
    tally.note("files deleted")


def test_a_file_is_deleted_before_the_reader_comes_to_it(root: Path) -> None:
    """It doesn't wait for it for ever, though it has the one before open."""
    writer, firsts = segmented(root)
    reader = JournalReader(root, writer.writer)
    reader.read(100)
    segment_path(root, writer.writer, 1).unlink()
    found = []
    for _ in range(30):
        found += reader.read().records
    reader.close()
    assert numbers(found)[-1] == 59
    assert not set(range(firsts[1], firsts[2])) & set(numbers(found))


def test_a_reader_that_resumed_counts_as_exactly(root: Path) -> None:
    """The line before the place where it goes on tells the number that has to come."""
    writer, firsts = segmented(root)
    reader = JournalReader(root, writer.writer)
    reader.read(250)
    position = reader.position
    reader.close()
    assert position.segment == 0 and position.offset
    path = segment_path(root, writer.writer, 0)
    path.write_bytes(path.read_bytes()[: position.offset])  # the rest of the file is cut off between two lines
    records, damages = read_over(root, writer.writer, position)
    assert numbers(records) == list(range(firsts[1], 60))
    read_before = path.read_bytes().count(b"\n")
    assert lost_in(damages) == firsts[1] - read_before > 0


def test_a_journal_of_a_newer_version(root: Path) -> None:
    """Unknown fields are ignored, unknown kinds counted and named; its own word for the schema stays."""
    known = msgspec.to_builtins(all_kinds()[0])
    bodies = [
        {**known, "schema": 2, "cluster": {"nodes": 3}},
        {"kind": "hologram", "seq": 1, "time": 2, "rays": [1, 2]},
        {**msgspec.to_builtins(all_kinds()[2]), "seq": 2, "unit": "nat"},
        {"kind": "hologram", "seq": 3, "time": 2},
        {"kind": "hologram", "seq": 4, "time": 2},
        {**msgspec.to_builtins(all_kinds()[-1]), "seq": 5},
    ]
    encoded = [msgspec.json.encode(body) for body in bodies]
    writer = "0000018bcfe56800-1-abc123"
    segment_path(root, writer, 0).write_bytes(b"".join(b"%08x %b\n" % (crc32(body), body) for body in encoded))
    records, damages = read_over(root, writer)
    assert numbers(records) == [0, 2, 5]
    assert isinstance(records[0], RunStart) and records[0].schema == 2
    assert [damage.lines for damage in damages] == [1, 2]
    assert all("hologram" in damage.reason for damage in damages)


# -- what was written once is readable for ever ------------------------------------------------------------------------


def test_every_kind_and_field_of_a_record_is_checked_in() -> None:
    """A field that is added belongs into a new sample, beside the old ones, which never change."""
    seen: set[tuple[str, str]] = set()
    types: set[str] = set()
    for sample in sorted(SAMPLES.glob("*/*.journal")):
        for line in sample.read_bytes().splitlines():
            body = msgspec.json.decode(line[9:])
            seen |= {(body["kind"], field) for field in body}
            types.add(body.get("type", "file") if body["kind"] == "artifact" else "")
    for kind in get_args(AnyRecord):
        for field in set(kind.__struct_fields__) - {"schema", "unitrack_id"}:  # 1 so far; of sources alone
            assert (kind.__struct_config__.tag, field) in seen
    assert types >= set(get_args(ArtifactType))


def test_what_was_added_since_is_readable_for_ever() -> None:
    """Annotations of a picture, and a run that ended as pruned."""
    records, damages = read_over(SAMPLES / "v1-annotations", "0000018bcfe56800-1234-abc123")
    assert not damages
    start, artifact, _, end = records
    assert isinstance(start, RunStart) and (start.parent, start.group, start.job_type) == ("p1", "g", "train")
    assert isinstance(artifact, Artifact) and artifact.annotations["caption"] == "läuft"
    assert artifact.annotations["boxes"]["p"]["box_data"][0]["class_id"] == 1
    assert isinstance(end, RunEnd) and end.status == "pruned"


def test_datasets_and_versions_are_readable_for_ever() -> None:
    """A version that is not counted yet, and a reference to data that lies elsewhere."""
    records, damages = read_over(SAMPLES / "v1-datasets", "0000018bcfe56800-1234-abc123")
    assert not damages
    _, dataset, model, raw, _ = records
    assert isinstance(dataset, Artifact) and isinstance(model, Artifact) and isinstance(raw, Artifact)
    assert dataset.type == "dataset"
    assert model.version is not None and (model.version.name, model.version.aliases) == ("model", ("best",))
    assert (model.version.number, model.version.is_checkpoint, model.version.metric) == (None, True, 0.5)
    assert raw.version is not None and raw.version.overwrites and raw.version.keeps_path
    assert raw.version.reference is not None and raw.version.reference.uri == "s3://b/raw.csv"


def test_curves_embeddings_graphs_and_code_are_readable_for_ever() -> None:
    """What is logged of models."""
    records, damages = read_over(SAMPLES / "v1-models", "0000018bcfe56800-1234-abc123")
    assert not damages
    files = [record for record in records if isinstance(record, Artifact)]
    assert [(file.type, file.step) for file in files] == [
        ("pr_curve", 3),
        ("embedding", 3),
        ("graph", None),
        ("code", None),
    ]
    assert files[1].annotations == {DIMENSIONS: 2}


def test_a_journal_with_every_kind_of_file_and_value_is_readable_for_ever() -> None:
    """Written by version 0.1.0, byte by byte as it is checked in."""
    records, damages = read_over(SAMPLES / "v1-all", "0000018bcfe56800-1234-abc123")
    assert not damages
    assert numbers(records) == list(range(18))
    start, params, finite, special = records[:4]
    assert isinstance(start, RunStart) and (start.name, start.tags["päth"]) == ("läuft 中文", "a/b\\c")
    assert isinstance(params, Params) and params.params["deep"] == {"a": {"b": ["x", 1, 2.5, {"c": "\n"}]}}
    assert isinstance(finite, Metrics) and isinstance(special, Metrics)
    assert repr(finite.metrics) == "{'loss': 0.1, 'tiny': 5e-324, 'huge': 1.7976931348623157e+308, 'zero': -0.0}"
    assert special.step == 2**63 - 1
    assert repr(special.values()) == "{'a': nan, 'b': inf, 'c': -inf}"
    files = [record for record in records if isinstance(record, Artifact)]
    later = {"dataset", "code", "pr_curve", "embedding", "graph"}
    assert [file.type for file in files] == [kind for kind in get_args(ArtifactType) if kind not in later]
    assert records[-1] == RunEnd(seq=17, time=TIME + 17, status="killed")


# -- the cost of salvaging ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        b"x" * 1_000_000,
        b'00000000 {"kind":"' * 50_000,
        b' {"kind":"' * 100_000,
        b"deadbeef " * 100_000,
        encode_line(all_kinds()[2]).replace(b"\n", b"?") * 10_000,
        b"\0" * 1_000_000,
    ],
    ids=["garbage", "beginnings", "half beginnings", "checksums", "lines without newlines", "zeros"],
)
def test_salvaging_looks_at_each_byte_three_times_at_most(line: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is in a damaged line, which may have the size of a whole file."""
    looked_at = 0
    real = journal_lines.decode_line

    def counted(piece: bytes) -> AnyRecord | str | None:
        nonlocal looked_at
        looked_at += len(piece)
        return real(piece)

    monkeypatch.setattr(journal_lines, "decode_line", counted)
    saved = [record for _, record in salvage(line) if record is not None]
    assert looked_at <= 3 * len(line)
    assert len(saved) == (10_000 if line.endswith(b"?") else 0)


# -- through a lane, to the end ----------------------------------------------------------------------------------------


def delivered_of(root: Path, data: bytes, journal: Written) -> tuple[list[AnyRecord], SinkReport, Bench]:
    """What the local files hold of a run whose process died and left this journal."""
    bench = Bench(root, {}, owner=dead_owner())
    local = make_lane("local", installed().backend("local"), {})
    start = all_kinds()[0]
    assert isinstance(start, RunStart)
    bench.manifest = msgspec.structs.replace(bench.manifest, run=start)
    bench.serve(local)
    bench.journal.close()
    segment_path(bench.folder.spool, bench.journal.writer, 0).write_bytes(data)
    for record in journal.records:
        if isinstance(record, Artifact):
            (bench.folder.path / record.file).parent.mkdir(parents=True)
            (bench.folder.path / record.file).write_bytes(b"png")
    lane = bench.lane("local")
    assert settle(lane) is Progress.DONE
    lane.release()
    found = list(LocalSource(str(bench.folder.path)).records(bench.folder.path.name))
    return found, bench.report("local"), bench


def values_of(records: list[AnyRecord]) -> set[str]:
    """What was logged, without what belongs to the record only."""
    found = set()
    for record in records:
        if isinstance(record, Metrics):
            found.add(f"metrics {record.step} {record.values()}")
        elif isinstance(record, Params):
            found |= {f"param {name} {value}" for name, value in record.params.items()}
        elif isinstance(record, Artifact):
            found.add(f"artifact {record.name}")
        elif isinstance(record, Tags | RunStart):
            found |= {f"tag {name} {value}" for name, value in record.tags.items()}
    return found


def sampled_places(length: int) -> Iterator[int]:
    return iter(range(3, length, 7 if FULL else 97))


def test_through_a_lane_into_local_files(root: Path) -> None:
    """All but the record that was hit arrive, and the report and `unitrack status` name the file and the byte."""
    journal = Written(root)
    tally = Tally()
    for place in sampled_places(len(journal.data)):
        after = bytearray(journal.data)
        after[place] ^= 0x80
        [hit] = journal.hit(place, place + 1)
        found, report, bench = delivered_of(root / str(place), bytes(after), journal)
        lost = [journal.records[hit]] if journal.data[place] != 10 else []
        kept = [record for record in journal.records if record not in lost]
        assert values_of(found) >= values_of(kept), place
        if lost:
            from_manifest = {"tag team vision"}
            assert not values_of(found) & (values_of(lost) - values_of(kept) - from_manifest), place
        assert (report.damaged, report.delivered) == (len(lost), len(kept)), place
        assert report.ok is not bool(lost)
        assert [damage.offset for damage in report.damages] == [journal.starts[hit]] * len(lost), place
        shown = CliRunner().invoke(app, ["status", str(bench.folder.path)]).output
        where = f"{bench.journal.writer}.000000.journal, byte {journal.starts[hit]}: the checksum"
        assert (where in shown) == bool(lost), shown
        assert (where in str(report)) == bool(lost)
        tally.add(set(numbers(lost)), {hit}, report.damaged)
    tally.note("one bit flipped, through a lane into local files")


def test_a_record_that_lacks_only_its_newline_is_delivered(root: Path) -> None:
    """The process died in the middle of its last write, or the newline was hit: what is whole counts."""
    journal = Written(root)
    found, report, _ = delivered_of(root, journal.data[:-1], journal)
    assert values_of(found) >= values_of(journal.records)
    assert (report.state, report.delivered, report.damaged) == ("complete", len(journal.records), 0)


def test_half_a_line_at_the_end_is_reported(root: Path) -> None:
    """A call that was under way when the process died, or the end of a longer journal: nobody knows, so it is said."""
    journal = Written(root)
    found, report, _ = delivered_of(root, journal.data[:-10], journal)
    assert values_of(found) >= values_of(journal.records)
    assert (report.delivered, report.damaged) == (len(journal.records) - 1, 1)
    assert report.damages[0].offset == journal.starts[-1]
