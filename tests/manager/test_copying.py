"""Copying runs: what arrives, what is left alone, what is taken up, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from unitrack_probe import ProbeOptions

import unitrack
from unitrack import ConfigError, DeliveryWarning, start_run
from unitrack.errors import ArtifactStoreError
from unitrack.hookspecs import Backend, Source
from unitrack.manager.copying import _LOCK
from unitrack.manager.destination import Destination
from unitrack.manager.editing import edit_run
from unitrack.manager.record_edits import Editor, Edits
from unitrack.plugins.registry import with_backend
from unitrack.reading import StoredRun
from unitrack.records import COPIED_FROM, AnyRecord, Artifact, Metrics, Params, RunEnd, RunStart
from unitrack.runfolder.run_folder import RunFolder
from unitrack.system.locks import FileLock


@pytest.fixture
def source(root: Path) -> Path:
    """Two runs, the second a child of the first."""
    for name, parent in (("first", None), ("second", "run-first")):
        tags = {"team": "nlp"} | ({"unitrack.parent": parent} if parent else {})
        run = start_run(
            name,
            run_id=f"run-{name}",
            root="source",
            project="digits",
            description="a note",
            tags=tags,
            sinks=["local"],
            delivery="inline",
        )
        run.log_params({"lr": 0.1, "model": {"depth": 4}, "flag": True, "none": None, "names": ["a", "b"]})
        for step in (0, 5, 3):
            run.log_metrics({"loss": 1 / (step + 3), "val/acc": step}, step=step)
        run.log_text("hello", "notes/a.txt")
        run.log_histogram([1, 2, 3], "weights.json", step=5)
        run.set_tags({"later": "yes"})
        run.finish("failed" if parent else "finished")
    return root / "source"


def stored(location: Path, name: str) -> StoredRun:
    return unitrack.runs(location).find(name)


def contents(run: StoredRun) -> list[Any]:
    """All records but for what belongs to the place: paths, and the tag that names the source."""
    found = []
    for record in run.records():
        given = {field: getattr(record, field) for field in record.__struct_fields__ if field not in ("seq", "file")}
        if isinstance(record, RunStart):
            given["tags"] = {name: value for name, value in record.tags.items() if name != COPIED_FROM}
        if isinstance(record, Artifact):
            given["content"] = Path(record.file).read_bytes()
        found.append((type(record).__name__, given))
    return found


def files_of(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in folder.rglob("*")}


def test_everything_of_a_run_arrives(source: Path, root: Path) -> None:
    report = unitrack.copy(source, "local:copies")
    assert report.ok
    assert [run.state for run in report.runs] == ["copied", "copied"]
    for name in ("first", "second"):
        copy, original = stored(root / "copies", name), stored(source, name)
        assert contents(copy) == contents(original)
        assert (copy.id, copy.status, copy.ended) == (original.id, original.status, original.ended)
        assert copy.tags[COPIED_FROM] == f"local:{source} run-{name}"
    assert stored(root / "copies", "second").parent == "run-first"
    one = report.runs[0]
    assert (one.metrics, one.points, one.params, one.artifacts) == (2, 6, 5, 2)


def test_a_copy_shares_no_file_with_its_source(source: Path, root: Path) -> None:
    """The source's program may write to its own files in place."""
    unitrack.copy(source, "local:copies")
    text = source / "first" / "artifacts" / "notes" / "a.txt"
    text.write_text("changed")
    assert (root / "copies" / "first" / "artifacts" / "notes" / "a.txt").read_text() == "hello"


def test_what_is_there_already_is_left_alone(source: Path, root: Path) -> None:
    unitrack.copy(source, "local:copies")
    before = files_of(root / "copies")
    report = unitrack.copy(source, "local:copies")
    assert [run.state for run in report.runs] == ["already there", "already there"]
    changed = {path for path, stat in files_of(root / "copies").items() if before.get(path) != stat}
    assert {Path(path).name for path in changed} <= {_LOCK, "spool.lock"}


def test_a_dry_run_writes_nothing(source: Path, root: Path) -> None:
    before = files_of(root)
    report = unitrack.copy(source, "local:copies", dry_run=True)
    assert [(run.state, run.metrics, run.params) for run in report.runs] == [("would be copied", 2, 5)] * 2
    assert files_of(root) == before
    unitrack.copy(source, "local:copies")
    assert [run.state for run in unitrack.copy(source, "local:copies", dry_run=True).runs] == ["already there"] * 2


def test_a_run_that_has_grown_gets_what_is_new(source: Path, root: Path) -> None:
    """Points below steps that are copied are new as well: they supersede nothing."""
    unitrack.copy(source, "local:copies")
    with (source / "first" / "metrics.jsonl").open("a") as file:
        for step, loss in ((1, 7.0), (6, 8.0)):
            file.write(
                json.dumps({"step": step, "metrics": {"loss": loss}, "seq": 90, "time": 1_800_000_000_000}) + "\n"
            )
    params = source / "first" / "params.json"
    params.write_text(json.dumps(json.loads(params.read_text()) | {"lr": 0.2, "added": 1}))
    report = unitrack.copy(source, "local:copies")
    assert [run.state for run in report.runs] == ["went on", "already there"]
    copy, original = stored(root / "copies", "first"), stored(source, "first")
    assert list(copy.history("loss")) == list(original.history("loss"))
    assert len(copy.history("loss")) == 5
    assert copy.params == original.params
    assert (copy.status, copy.ended) == (original.status, original.ended)
    assert [run.state for run in unitrack.copy(source, "local:copies").runs] == ["already there"] * 2


def test_a_run_that_changed_in_what_was_copied_is_named(source: Path, root: Path) -> None:
    unitrack.copy(source, "local:copies")
    lines = (source / "first" / "metrics.jsonl").read_text().splitlines(keepends=True)
    (source / "first" / "metrics.jsonl").write_text("".join(lines[1:]))
    before = stored(root / "copies", "first").history("loss")
    report = unitrack.copy(source, "local:copies")
    assert not report.ok
    assert report.runs[0].state == "failed"
    assert "has changed since it was copied" in str(report.runs[0].error)
    assert report.runs[1].state == "already there"
    assert stored(root / "copies", "first").history("loss") == before


def test_a_run_that_the_destination_holds_without_a_note_is_compared(source: Path, root: Path) -> None:
    unitrack.copy(source, "local:copies")
    for name in ("first", "second"):
        (root / "copies" / name / ".unitrack" / "replay.json").unlink()
    with (root / "copies" / "second" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 9, "metrics": {"loss": 1.0}}\n')
    report = unitrack.copy(source, "local:copies")
    assert [(run.state, run.points, run.artifacts) for run in report.runs] == [
        ("already there", 6, 2),
        ("failed", 0, 0),
    ]
    assert "holds another run with the id 'run-second' (point 'loss' at step 9: extra" in str(report.runs[1].error)


def test_runs_of_two_places_with_one_id_are_both_copied(source: Path, root: Path) -> None:
    other = start_run("first", run_id="run-first", root="other", sinks=["local"], delivery="inline")
    other.log_metrics({"loss": 0.25}, step=0)
    other.finish()
    report = unitrack.copy([source, root / "other"], "local:copies")
    assert report.ok
    ids = [run.copy_id for run in report.runs]
    assert ids[:2] == ["run-first", "run-second"]
    assert ids[2].startswith("run-first-")
    assert unitrack.runs(root / "copies").find(ids[2]).history("loss")[0].value == 0.25
    assert {run.state for run in unitrack.copy([source, root / "other"], "local:copies").runs} == {"already there"}


def test_an_id_that_unitrack_would_not_give_becomes_one_with_a_hash(root: Path) -> None:
    folder = root / "foreign" / "exp 1"
    folder.mkdir(parents=True)
    (folder / "metadata.json").write_text('{"run_id": "exp 1/über", "run_name": "x", "status": "completed"}')
    (folder / "metrics.jsonl").write_text('{"step": 0, "metrics": {"loss": NaN}}\n')
    report = unitrack.copy(root / "foreign", "local:copies")
    assert report.ok
    [copy] = unitrack.runs(root / "copies")
    assert copy.id == report.runs[0].copy_id
    assert copy.id.startswith("exp-1-ber-")
    assert copy.tags[COPIED_FROM].endswith(" exp 1/über")


def test_a_destination_that_is_down_in_the_middle_gets_the_rest_later(source: Path, root: Path) -> None:
    away = root / "away"
    troubles = [{"hook": "log_artifacts", "kind": "misconfigured", "until": str(away)}]
    sink: dict[str, Any] = {"probe": {"out": str(root / "backend"), "troubles": troubles}}
    report = unitrack.copy(source, sink)
    assert not report.ok
    assert [run.state for run in report.runs] == ["incomplete", "incomplete"]
    assert all(run.error for run in report.runs)
    assert [run.state for run in unitrack.copy(source, sink, dry_run=True).runs] == ["would go on", "would go on"]
    away.touch()
    report = unitrack.copy(source, sink)
    assert [run.state for run in report.runs] == ["went on", "went on"]
    kept = [
        json.loads(line) for path in (root / "backend").rglob("stored.jsonl") for line in path.read_text().splitlines()
    ]
    points = [line for line in kept if "metrics" in json.dumps(line)]
    assert len(kept) == len({json.dumps(line) for line in kept})
    assert points


def test_a_destination_that_can_not_be_opened_is_tried_once(source: Path, root: Path) -> None:
    troubles = [{"hook": "open_run", "kind": "misconfigured"}]
    report = unitrack.copy(source, {"probe": {"out": str(root / "backend"), "troubles": troubles}})
    assert [run.state for run in report.runs] == ["incomplete", "failed"]
    assert report.runs[1].error == f"not tried: {report.runs[0].error}"


def test_what_the_destination_refuses_is_named(source: Path, root: Path) -> None:
    troubles = [{"hook": "log_metrics", "kind": "rejected", "value": 5.0}]
    report = unitrack.copy(source, {"probe": {"out": str(root / "backend"), "troubles": troubles}})
    assert not report.ok
    [refused] = report.runs[0].refused
    assert refused.startswith("points of loss, val/acc at step 5: ")


def test_a_link_that_leads_out_of_the_run_is_not_followed(source: Path, root: Path) -> None:
    text = source / "first" / "artifacts" / "notes"
    text.rename(root / "notes")
    (text).mkdir()
    (text / "a.txt").symlink_to(root / "notes" / "a.txt")
    # a link that leads out of the run is no artifact of the local source, so nothing of it is copied
    report = unitrack.copy(source, "local:copies")
    assert report.ok
    assert [one.name for one in stored(root / "copies", "first").artifacts] == ["weights-5.json"]


def test_edits_on_the_way(source: Path, root: Path) -> None:
    report = unitrack.copy(
        source,
        "local:copies",
        rename={"val/*": "validation/*", "model.depth": "layers", "notes/*": "{run}/*"},
        drop=["names", "weights*"],
        until_step=3,
        tags={"team": "cv"},
    )
    assert report.ok
    copy = stored(root / "copies", "first")
    assert {name: len(copy.history(name)) for name in copy.metrics} == {"loss": 2, "validation/acc": 2}
    assert copy.params == {"lr": 0.1, "layers": 4, "flag": True, "none": None}
    assert [one.name for one in copy.artifacts] == ["first/a.txt"]
    assert copy.tags["team"] == "cv"
    one = report.runs[0]
    assert one.renamed == {"val/acc": "validation/acc", "model.depth": "layers", "notes/a.txt": "first/a.txt"}
    assert one.dropped == ("names",)
    assert "weights" not in str(copy.artifacts)
    assert one.cut == 3
    again = unitrack.copy(source, "local:copies")
    assert "with other edits" in str(again.runs[0].error)


def test_names_that_would_meet_are_refused_before_anything_is_written(source: Path, root: Path) -> None:
    with pytest.raises(ConfigError, match=r"metrics would get the same name: 'x' from 'loss' of 'first', 'val/acc'"):
        unitrack.copy(source, "local:copies", rename={"loss": "x", "val/acc": "x"})
    with pytest.raises(ConfigError, match=r"metrics would get the same name: 'loss' from .*rename them apart"):
        unitrack.copy(source, "local:copies", merge="both")
    assert not (root / "copies").exists()


def test_several_runs_become_one(source: Path, root: Path) -> None:
    report = unitrack.copy(source, "local:copies", merge="both", rename={"*": "{run}/*"})
    assert report.ok
    [copy] = unitrack.runs(root / "copies")
    assert copy.name == "both"
    assert copy.status == "failed"
    assert copy.ended == max(stored(source, name).ended or 0 for name in ("first", "second"))
    assert sorted(copy.metrics) == ["first/loss", "first/val/acc", "second/loss", "second/val/acc"]
    assert copy.params["second/lr"] == 0.1
    assert copy.tags["team"] == "nlp"
    assert copy.tags["second/unitrack.parent"] == "run-first"
    assert len(copy.artifacts) == 4
    assert unitrack.copy(source, "local:copies", merge="both", rename={"*": "{run}/*"}).runs[0].state == "already there"


def test_two_copies_to_one_place_at_once_are_refused(source: Path) -> None:
    destination = Destination.of("local:copies")
    destination.root.mkdir()
    lock = FileLock(destination.root / _LOCK)
    assert lock.acquire()
    try:
        with pytest.raises(ConfigError, match="another process copies to 'local:copies' now"):
            unitrack.copy(source, "local:copies")
    finally:
        lock.release()
    assert unitrack.copy(source, "local:copies").ok


@pytest.mark.parametrize(
    ("edits", "message"),
    [
        ({"rename": {"a": "b*"}}, r"'b\*' has more `\*` than 'a'"),
        ({"rename": {"a": ""}}, "empty name"),
        ({"until_step": -1}, "below 0"),
    ],
)
def test_an_edit_that_can_not_be_done_is_refused(source: Path, edits: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        unitrack.copy(source, "local:copies", **edits)


def test_a_backend_that_can_not_be_told_where_to_write_is_refused(source: Path) -> None:
    with pytest.raises(ConfigError, match="probe does not say how a location becomes its options"):
        unitrack.copy(source, "probe:somewhere")


def test_an_editor_keeps_the_form_of_params_that_it_does_not_rename() -> None:
    editor = Editor(Edits(rename={"a.b": "x.y"}, drop=("c.*",)), "run")
    params = {"a": {"b": 1, "k": {}}, "c": {"d": 2}, "dotted.name": 3}
    assert editor.apply(Params(seq=0, time=0, params=params)) == Params(
        seq=0, time=0, params={"x": {"y": 1}, "a": {"k": {}}, "dotted.name": 3}
    )
    assert editor.apply(RunEnd(seq=0, time=0, status="failed")) == RunEnd(seq=0, time=0, status="failed")
    metrics = Metrics(seq=0, time=0, step=0, metrics={"c.x": 1.0})
    assert editor.apply(metrics) is None


_COPY = "import sys, unitrack; sys.exit(not unitrack.copy('source', 'local:copies').ok)"


def _killed_while(is_time: Callable[[], bool]) -> None:
    """Copy in another process, and kill that at a moment."""
    process = subprocess.Popen([sys.executable, "-c", _COPY])
    while process.poll() is None and not is_time():
        time.sleep(0.001)
    process.kill()
    process.wait()


def test_a_copy_that_is_killed_goes_on_and_nothing_is_there_twice(root: Path) -> None:
    with start_run("long", run_id="long", root="source", sinks=["local"], delivery="inline") as run:
        run.log_params({"lr": 0.1})
        run.log_text("hello", "a.txt")
    lines = [
        f'{{"step": {step}, "metrics": {{"a": {step}.5, "b": 0.5}}, "seq": 9, "time": {step}}}'
        for step in range(30_000)
    ]
    (root / "source" / "long" / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    copies = root / "copies"
    points = copies / "long" / "metrics.jsonl"
    _killed_while(lambda: any(copies.glob(".replay-*/.spool/*.journal")))
    assert not (copies / "long").exists()
    _killed_while(lambda: points.exists() and points.stat().st_size > 0)
    if points.exists():
        size = points.stat().st_size
        _killed_while(lambda: points.stat().st_size > size)
    assert unitrack.copy("source", "local:copies").ok
    copy, original = stored(copies, "long"), stored(root / "source", "long")
    assert list(copy.history("a")) == list(original.history("a"))
    assert contents(copy) == contents(original)
    assert [path.name for path in copies.iterdir() if path.name != _LOCK] == ["long"]


def test_a_run_that_still_goes_on_is_copied_as_such_and_ended_later(root: Path) -> None:
    run = start_run("live", run_id="live", root="source", sinks=["local"], delivery="inline")
    run.log_metrics({"loss": 2.0}, step=0)
    run.flush()
    assert unitrack.copy("source", "local:copies").ok
    assert stored(root / "copies", "live").status == "running"
    run.log_metrics({"loss": 1.0}, step=1)
    run.finish("pruned")
    assert [one.state for one in unitrack.copy("source", "local:copies").runs] == ["went on"]
    copy, original = stored(root / "copies", "live"), stored(root / "source", "live")
    assert (copy.status, copy.ended) == ("pruned", original.ended)
    assert contents(copy) == contents(original)


def test_a_new_name_and_description_reach_the_copy(source: Path, root: Path) -> None:
    unitrack.copy(source, "local:copies")
    edit_run(RunFolder(source / "first"), name="renamed", description="better", tags={"new": "tag"})
    assert [run.state for run in unitrack.copy(source, "local:copies").runs] == ["went on", "already there"]
    copy = unitrack.runs(root / "copies").find("run-first")
    assert (copy.name, copy.description, copy.tags["new"]) == ("renamed", "better", "tag")
    assert len(copy.history("loss")) == 3


def test_a_run_of_the_destination_that_is_not_delivered_is_left_alone(source: Path, root: Path) -> None:
    troubles = [{"hook": "open_run", "kind": "misconfigured"}]
    sink: dict[str, Any] = {"probe": {"out": "x", "troubles": troubles}}
    run = start_run("mine", run_id="run-first", root="copies", sinks=[sink], delivery="inline")
    with pytest.warns(DeliveryWarning):
        run.finish(timeout=0)
    report = unitrack.copy(source, "local:copies")
    assert [one.state for one in report.runs] == ["failed", "copied"]
    assert "run with the id 'run-first' that is not delivered yet" in str(report.runs[0].error)


def test_what_the_destination_holds_in_another_form_is_told(source: Path, root: Path) -> None:
    with (source / "first" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 9, "metrics": {"loss": NaN}}\n')
    marked = Backend(
        name="marked",
        summary="as the probe, but for what it declares",
        sink="unitrack_probe:ProbeSink",
        options=ProbeOptions,
        non_finite="marked",
        exact_floats=False,
        native={"text": "text"},
    )
    with with_backend(marked):
        report = unitrack.copy(source, {"marked": {"out": str(root / "backend"), "every": 2}})
    assert report.ok
    assert report.runs[0].notes == (
        "the sink's option 'every' changes what it gets",
        "marked holds NaN and infinity in a marked form",
        "marked does not hold float64 values bit for bit",
        "marked shows artifacts of these kinds as plain files: histogram",
    )


class NoFiles(Source):
    """A source whose store of files can't be read, which it tells after everything else."""

    def __init__(self, location: str) -> None: ...

    def runs(self) -> Iterator[RunStart]:
        yield RunStart(seq=0, time=1_000, run_id="a", name="a", project="p")

    def records(self, run_id: str) -> Iterator[AnyRecord]:
        yield from self.runs()
        yield Metrics(seq=1, time=2_000, step=7, metrics={"loss": 0.5})
        yield RunEnd(seq=2, time=3_000, status="failed")
        raise ArtifactStoreError("the bucket is gone")


def test_artifacts_that_can_not_be_listed_are_named_and_all_else_arrives(root: Path) -> None:
    backend = Backend(name="nofiles", summary="", source=f"{__name__}:NoFiles")
    with with_backend(backend):
        report = unitrack.copy("nofiles:x", "local:copy")
    [run] = report.runs
    assert (report.ok, run.state, run.points) == (False, "copied", 1)
    assert "the bucket is gone" in str(run.missing)
    [copy] = unitrack.runs("local:copy")
    assert (copy.status, copy.ended, len(copy.history("loss"))) == ("failed", 3_000, 1)
