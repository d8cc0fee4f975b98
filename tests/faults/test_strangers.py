"""A run folder from a stranger is delivered without leaving it: nothing from elsewhere, nothing to elsewhere."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner
from unitrack_tests.bench import settle
from unitrack_tests.faults import rounds
from unitrack_tests.hostile import CANARY, Stranger, counted, fingerprint, now, untouched
from unitrack_tests.local_files import holding

import unitrack
from unitrack.cli import app
from unitrack.delivery.lane.lane import Lane
from unitrack.errors import ConfigError, JournalError
from unitrack.records import Artifact
from unitrack.runfolder.find import find_run_folders
from unitrack.runfolder.run_folder import RunFolder

pytestmark = pytest.mark.faults


def artifact(name: str, file: str) -> Artifact:
    return Artifact(seq=0, time=now(), name=name, file=file)


@pytest.mark.parametrize(
    "file",
    [
        "../../home/secret.txt",
        ".spool/../../../home/secret.txt",
        "{outside}/secret.txt",
        "{outside}",
        "../..",
        ".",
        "",
        "/proc/self/environ",
        "/dev/zero",
        ".spool/files/../../../../home/secret.txt",
        "a\0b",
        "x" * 5000,
    ],
)
def test_no_file_outside_is_delivered(root: Path, file: str) -> None:
    """An artifact whose file lies elsewhere is a dead letter with the reason; what is good beside it arrives."""
    run = Stranger(root)
    (run.folder.files / "0").mkdir(parents=True)
    (run.folder.files / "0" / "good.txt").write_text("good")
    run.end(artifact("taken.txt", file.format(outside=run.outside)), artifact("good.txt", ".spool/files/0/good.txt"))
    with untouched(run.outside):
        report = run.sync()
    assert (report.state, report.dead_lettered, report.damaged) == ("complete", 1, 0)
    assert "taken.txt" in run.dead_letters()
    assert (run.folder.path / "artifacts" / "good.txt").read_text() == "good"
    assert [path.name for path in (run.folder.path / "artifacts").iterdir()] == ["good.txt"]
    assert not holding(run.folder.path, CANARY)
    counted("files of artifacts")


@pytest.mark.parametrize(
    "name", ["../taken", "../../../home/taken", "{outside}/taken", "a/../../../taken", "..", "", "/"]
)
def test_no_artifact_is_written_outside(root: Path, name: str) -> None:
    """Nor does an artifact's name lead out of the run's artifacts."""
    run = Stranger(root)
    (run.folder.files / "0").mkdir(parents=True)
    (run.folder.files / "0" / "x").write_text("x")
    run.end(artifact(name.format(outside=run.outside), ".spool/files/0/x"))
    before = fingerprint([root])
    report = run.sync()
    assert (report.state, report.dead_lettered) == ("complete", 1)
    assert "leads out" in run.dead_letters()
    inside = str(run.folder.path)
    new = [path for path in fingerprint([root]).keys() - before.keys() if not path.startswith(inside)]
    assert not new
    assert not list(run.folder.path.glob("artifacts/*"))
    counted("names of artifacts")


@pytest.mark.parametrize("kind", ["link", "link to a folder", "member", "pipe", "folder with a pipe", "link inside"])
def test_no_link_in_the_spool_is_followed(root: Path, kind: str) -> None:
    """A lane that is already at work refuses links and pipes among the copies, whatever folder they lie in."""
    run = Stranger(root)
    copy = run.folder.files / "0" / "x"
    copy.parent.mkdir(parents=True)
    match kind:
        case "link":
            copy.symlink_to(run.outside / "secret.txt")
        case "link to a folder":
            copy.symlink_to(run.outside)
        case "member":
            (copy / "deep").mkdir(parents=True)
            (copy / "deep" / "y").symlink_to(run.outside)
        case "pipe":
            os.mkfifo(copy)
        case "folder with a pipe":
            copy.mkdir()
            os.mkfifo(copy / "y")
        case "link inside":
            copy.symlink_to(run.folder.manifest_file)
    run.end(artifact("taken", ".spool/files/0/x"))
    lane = Lane(run.folder, run.spec)
    assert lane.acquire()
    with untouched(run.outside):
        settle(lane)
    lane.release()
    assert lane.ledger.dead_lettered == 1
    assert not os.path.lexists(run.folder.path / "artifacts" / "taken")
    assert not holding(run.folder.path, CANARY)
    counted("links and pipes in the spool")


PARTS = (
    ".spool",
    ".spool/files",
    ".unitrack",
    ".unitrack/local.ledger.json",
    ".unitrack/local.ledger.lock",
    ".unitrack/local.dead.jsonl",
    ".unitrack/spool.lock",
    "artifacts",
    "metrics.jsonl",
    "metadata.json",
    "params.json",
    ".spool/000000000001-1-bbbbbb.000000.journal",
)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("target", ["file", "folder", "nothing"])
def test_no_part_of_a_run_folder_may_be_a_link_out_of_it(root: Path, part: str, target: str) -> None:
    """`unitrack sync` says which one it is, delivers nothing from there, and changes nothing elsewhere."""
    run = Stranger(root)
    run.end()
    place = run.folder.path / part
    if place.exists():
        place.rename(run.outside / place.name)
    leads_to = {"file": "secret.txt", "folder": place.name, "nothing": "none"}[target]
    if target == "folder":
        (run.outside / place.name).mkdir(exist_ok=True)
    place.parent.mkdir(exist_ok=True)
    place.symlink_to(run.outside / leads_to)
    with untouched(run.outside), pytest.raises((ConfigError, JournalError), match=r"symbolic link|not a run folder"):
        run.sync()
    counted("links out of a run folder")


@pytest.mark.parametrize(
    "part", ["metrics.jsonl", "artifacts", "artifacts/plots", "artifacts/plots/roc.txt", "params.json"]
)
def test_what_becomes_a_link_under_a_running_run_is_not_written_through(root: Path, part: str) -> None:
    """The local sink replaces a link or refuses it, and never writes where it leads."""
    outside = root / "home"
    outside.mkdir()
    (outside / "roc.txt").write_bytes(CANARY)
    run = unitrack.start_run("a", sinks=["local"], delivery="inline")
    place = run.path / part
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.exists():
        place.unlink()
    place.symlink_to(outside / "roc.txt" if place.suffix else outside)
    with untouched(outside):
        run.log_text("new", "plots/roc.txt")
        run.log_params({"a": 1})
        if part in ("artifacts", "artifacts/plots"):
            with pytest.warns(unitrack.DeliveryWarning, match="symbolic link"):
                run.finish(timeout=5)
        else:
            run.finish(timeout=5)
    if part in ("artifacts", "artifacts/plots"):
        assert "symbolic link" in (run.path / ".unitrack" / "local.dead.jsonl").read_text()
    counted("links out of a run folder")


@pytest.mark.parametrize("part", [".unitrack/run.json", *PARTS])
def test_a_pipe_in_place_of_a_file_is_not_waited_for(root: Path, part: str) -> None:
    """Reading a run folder with pipes in it ends, whichever part they stand for."""
    run = Stranger(root)
    run.end()
    place = run.folder.path / part
    if place.is_dir():
        place.rename(run.outside / "aside")
    place.unlink(missing_ok=True)
    os.mkfifo(place)
    for command in (["status", str(run.folder.path)], ["show", str(run.folder.path)], ["sync", "--timeout", "2"]):
        result = CliRunner().invoke(app, command)
        assert result.exception is None or isinstance(result.exception, SystemExit | unitrack.UnitrackError), result
    counted("pipes in a run folder")


EVIL = "unitrack_evil_module"


@pytest.mark.parametrize("field", ["sink", "options_type", "wrapper", "backend", "name of a wrapper"])
def test_no_class_that_a_manifest_names_is_imported(root: Path, monkeypatch: pytest.MonkeyPatch, field: str) -> None:
    """`sync`, `status` and `show` import what the installed plugins declare, whatever `run.json` says."""
    modules = root / "modules"
    modules.mkdir()
    (modules / f"{EVIL}.py").write_text(
        f"open({str(root / 'executed')!r}, 'w')\nclass X:\n    def __init__(s, *a): ...\n"
    )
    monkeypatch.syspath_prepend(str(modules))
    run = Stranger(root)
    run.end()
    spec = {"name": "local", "backend": "local", "options": {}}  # what is beside these is of versions before this one
    wrapping = {"name": "prefix", "wrapper": f"{EVIL}:X", "value": "x/"}
    run.claim_sinks(
        {
            "sink": spec | {"sink": f"{EVIL}:X"},
            "options_type": spec | {"options_type": f"{EVIL}:X"},
            "wrapper": spec | {"middleware": [wrapping]},
            "backend": spec | {"backend": EVIL, "sink": "os:system", "options_type": "builtins:str"},
            "name of a wrapper": spec | {"middleware": [wrapping | {"name": EVIL}]},
        }[field]
    )
    for command in ("status", "show", "sync"):
        CliRunner().invoke(app, [command, str(run.folder.path)])
    assert EVIL not in sys.modules
    assert not (root / "executed").exists()
    if field in ("sink", "options_type", "wrapper"):
        written = (run.folder.path / "metrics.jsonl").read_text()
        assert ('"x/loss"' if field == "wrapper" else '"loss"') in written, "the declared classes did the work"
    else:
        assert not (run.folder.path / "metrics.jsonl").exists()
    counted("classes that a manifest names")


NAMES = st.one_of(
    st.sampled_from(
        ["..", ".", "", "/", "../x", "../../home/x", "a/b", "/tmp/x", "a\0", "\n", "a\n", "x" * 300, "‮x", "é"]
    ),
    st.text(min_size=0, max_size=300).filter(lambda text: not text.isascii() or not text.isprintable() or "/" in text),
)


@given(name=NAMES, place=st.sampled_from(["sinks__0__name", "owner__writer", "run__run_id"]))
@settings(derandomize=True, deadline=None, max_examples=rounds(short=40, full=1000))
def test_no_name_in_a_manifest_leads_out(tmp_path_factory: pytest.TempPathFactory, name: str, place: str) -> None:
    """What file names are made of is refused unless it looks as we write it; `status` names the folder and goes on."""
    run = Stranger(tmp_path_factory.mktemp("stranger"))
    run.end()
    try:
        run.edit_manifest(**{place: name})
    except (UnicodeEncodeError, msgspec.EncodeError):
        return  # broken Unicode: no JSON of ours holds it
    with untouched(run.folder.path.parent.parent):
        with pytest.raises(JournalError, match="not a run folder of unitrack"):
            run.folder.read_manifest()
        with pytest.raises(JournalError):
            run.sync()
    counted("names in a manifest")


def test_what_is_no_run_folder_hides_none(root: Path) -> None:
    """A link in a circle, a file and an empty folder in the root are passed over."""
    run = Stranger(root)
    around = root / "experiments" / "around"
    around.symlink_to(around)
    (root / "experiments" / "file").touch()
    (root / "experiments" / "empty").mkdir()
    assert [folder.path for folder in find_run_folders(root / "experiments")] == [run.folder.path]


def test_a_sink_of_ours_is_still_delivered(root: Path) -> None:
    """All these refusals leave a good folder alone, one that lies behind a link included."""
    run = Stranger(root)
    (run.folder.files / "0" / "plots").mkdir(parents=True)
    (run.folder.files / "0" / "plots" / "roc.txt").write_text("roc")
    run.end(artifact("plots", ".spool/files/0/plots"))
    (root / "shortcut").symlink_to(run.folder.path)
    run.folder = RunFolder(root / "shortcut")
    report = run.sync()
    assert report.ok and report.state == "complete"
    assert (run.folder.path / "artifacts" / "plots" / "roc.txt").read_text() == "roc"
