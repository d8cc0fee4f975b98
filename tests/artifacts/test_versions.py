"""Versions of named artifacts: numbers, aliases, content, and what happens in the middle of things."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import unitrack
from unitrack.artifacts.registry import Registry
from unitrack.errors import InvalidTypeError, InvalidValueError, NotFoundError
from unitrack.records import USED


def start(root: Path, name: str = "train", **settings):
    return unitrack.start_run(name, project="digits", sinks="local", root=root, delivery="inline", **settings)


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_versions_are_counted_and_latest_moves(tmp_path):
    with start(tmp_path / "runs") as run:
        for text in ("first", "second"):
            run.log_artifact(write(tmp_path / "model.pt", text), name="model")
        found = run.use_artifact("model")
        assert (found.version, found.path.read_text(), found.aliases) == ("v1", "second", ("latest",))
        assert run.use_artifact("model:v0").path.read_text() == "first"
        assert [member.path for member in found.files] == ["model.pt"]


def test_the_same_content_is_the_same_version_and_stored_once(tmp_path):
    with start(tmp_path / "runs") as run:
        for text in ("one", "two", "one"):
            run.log_artifact(write(tmp_path / "model.pt", text), name="model")
        assert run.use_artifact("model:latest").version == "v0"
    kept = run.path / "artifacts" / "model" / "v0" / "model.pt"
    registry = Registry(tmp_path / "runs")
    assert len(list(registry.content.digests())) == 2
    assert kept.stat().st_ino == registry.artifact("digits", "model").path_of(0).joinpath("model.pt").stat().st_ino


def test_aliases_move_to_the_version_that_gets_them(tmp_path):
    with start(tmp_path / "runs") as run:
        run.log_artifact(write(tmp_path / "model.pt", "1"), name="model", aliases=["latest", "best"])
        run.log_artifact(write(tmp_path / "model.pt", "2"), name="model")
        assert run.use_artifact("model:best").version == "v0"
        run.log_artifact(write(tmp_path / "model.pt", "3"), name="model", aliases=["best"])
        assert run.use_artifact("model:best").version == "v2"


def test_a_folder_is_one_version(tmp_path):
    write(tmp_path / "data" / "train.csv", "a")
    write(tmp_path / "data" / "deep" / "test.csv", "b")
    with start(tmp_path / "runs") as run:
        run.log_artifact(tmp_path / "data", name="data")
        found = run.use_artifact("data")
        assert found.path.name == "data"
        assert {member.path: (found.path.parent / member.path).read_text() for member in found.files} == {
            "data/deep/test.csv": "b",
            "data/train.csv": "a",
        }


def test_overwrite_keeps_one_version_of_a_run(tmp_path):
    with start(tmp_path / "runs") as run:
        for text in ("1", "2", "3"):
            run.log_artifact(write(tmp_path / "c.pt", text), name="checkpoint", overwrite=True)
        assert run.use_artifact("checkpoint").path.read_text() == "3"
    state = Registry(tmp_path / "runs").artifact("digits", "checkpoint").read()
    assert list(state.versions) == [0]
    assert state.versions[0].replaced == 2
    with start(tmp_path / "runs") as other:
        other.log_artifact(write(tmp_path / "c.pt", "3"), name="checkpoint", overwrite=True)
        assert other.use_artifact("checkpoint").version == "v1"


def test_runs_see_each_others_versions_and_lineage_is_kept(tmp_path):
    with start(tmp_path / "runs", "make") as maker:
        maker.log_artifact(write(tmp_path / "d.csv", "d"), name="data")
    with start(tmp_path / "runs", "use") as user:
        found = user.use_artifact("data")
        assert found.made_by.id == maker.id
    version = Registry(tmp_path / "runs").artifact("digits", "data").read().versions[0]
    assert [run.name for run in version.used_by] == ["use"]
    [stored] = [run for run in unitrack.runs(tmp_path / "runs") if run.name == "use"]
    assert found.digest in stored.tags[f"{USED}data.v0"]


def test_a_record_that_is_read_back_has_its_version(tmp_path):
    with start(tmp_path / "runs") as run:
        run.log_artifact(write(tmp_path / "m.pt", "m"), name="model", aliases=["best"])
        run.log_artifact(write(tmp_path / "m.pt", "m"), "weights/here.pt", name="same")
    [stored] = unitrack.runs(tmp_path / "runs")
    versions = {artifact.name: artifact.version for artifact in stored.artifacts}
    assert set(versions) == {"model/v0/m.pt", "weights/here.pt"}
    model = versions["model/v0/m.pt"]
    assert (model.name, model.number, model.aliases, model.label) == ("model", 0, ("best",), "v0")
    assert model.digest == versions["weights/here.pt"].digest != ""


def test_numbers_never_shift_though_runs_are_deleted(tmp_path):
    with start(tmp_path / "runs") as first:
        first.log_artifact(write(tmp_path / "m.pt", "1"), name="model")
    shutil.rmtree(first.path)
    with start(tmp_path / "runs") as second:
        second.log_artifact(write(tmp_path / "m.pt", "2"), name="model")
        assert second.use_artifact("model").version == "v1"
        assert second.use_artifact("model:v0").path.read_text() == "1"


def test_a_copied_root_keeps_its_versions(tmp_path):
    with start(tmp_path / "runs") as run:
        run.log_artifact(write(tmp_path / "m.pt", "1"), name="model")
    shutil.copytree(tmp_path / "runs", tmp_path / "elsewhere")
    found = unitrack.use_artifact("model:v0", project="digits", root=tmp_path / "elsewhere")
    assert found.path.read_text() == "1"
    assert found.path.is_relative_to(tmp_path / "elsewhere")


def test_projects_have_numbers_of_their_own(tmp_path):
    for project in ("a", "b"):
        with unitrack.start_run(project=project, sinks="local", root=tmp_path / "runs", delivery="inline") as run:
            run.log_artifact(write(tmp_path / "m.pt", project), name="model")
            assert run.use_artifact("model").version == "v0"
            if project == "b":
                assert run.use_artifact("model", project="a").path.read_text() == "a"


def test_runs_at_once_get_different_numbers(tmp_path):
    program = """
import sys, unitrack
from pathlib import Path
with unitrack.start_run("many", project="digits", sinks="local", root="runs", delivery="inline") as run:
    for number in range(8):
        Path(sys.argv[1]).write_text(f"{sys.argv[1]}{number}")
        run.log_artifact(sys.argv[1], name="model")
"""
    both = [subprocess.Popen([sys.executable, "-c", program, text], cwd=tmp_path) for text in "ab"]
    assert [process.wait(60) for process in both] == [0, 0]
    versions = Registry(tmp_path / "runs").artifact("digits", "model").read().versions
    assert sorted(versions) == list(range(16))
    assert len({version.digest for version in versions.values()}) == 16


def test_what_was_logged_before_a_kill_is_counted_later(tmp_path):
    program = f"""
import os, signal, unitrack
from pathlib import Path
run = unitrack.start_run("killed", project="digits", sinks="local", root={str(tmp_path / "runs")!r}, delivery="thread")
for number in range(3):
    Path("m.pt").write_text(str(number))
    run.log_artifact("m.pt", name="model")
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=False)
    assert done.returncode == -signal.SIGKILL
    found = unitrack.use_artifact("model", project="digits", root=tmp_path / "runs")
    assert (found.version, found.path.read_text()) == ("v2", "2")


def test_versions_of_one_millisecond_are_counted_in_the_order_in_which_they_were_logged(tmp_path):
    program = f"""
import os, signal, time
from pathlib import Path
now = time.time_ns()
time.time_ns = lambda: now
import unitrack
run = unitrack.start_run("killed", project="digits", sinks="local", root={str(tmp_path / "runs")!r}, delivery="thread")
for number in range(9):
    Path("m.pt").write_text(str(number))
    run.log_artifact("m.pt", name="model")
os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=False)
    found = unitrack.use_artifact("model", project="digits", root=tmp_path / "runs")
    assert (found.version, found.path.read_text()) == ("v8", "8")


def test_no_note_is_left_of_what_is_counted(tmp_path):
    with unitrack.start_run(project="p", sinks="local", root=tmp_path / "runs", delivery="thread") as run:
        run.log_artifact(write(tmp_path / "m.pt", "1"), name="model")
        assert run.flush().ok
        assert run.use_artifact("model").version == "v0"
        assert not list(Registry(tmp_path / "runs").artifact("p", "model").pending.iterdir())


def test_a_log_that_was_cut_off_is_read_and_continued(tmp_path):
    with start(tmp_path / "runs") as run:
        run.log_artifact(write(tmp_path / "m.pt", "1"), name="model")
        log = Registry(tmp_path / "runs").artifact("digits", "model").folder / "log.jsonl"
        with log.open("ab") as file:
            file.write(b'{"event":"made","num')
        run.log_artifact(write(tmp_path / "m.pt", "2"), name="model")
        assert run.use_artifact("model").version == "v1"


def test_a_file_that_is_written_meanwhile_is_refused(tmp_path, monkeypatch):
    source = write(tmp_path / "m.pt", "before")
    from unitrack.run import staging

    copy = staging._copy_file

    def copy_and_write(source, destination):
        copy(source, destination)
        Path(source).write_text("after, and longer")

    monkeypatch.setattr(staging, "_copy_file", copy_and_write)
    with start(tmp_path / "runs") as run:
        with pytest.raises(InvalidValueError, match="was written while it was stored"):
            run.log_artifact(source, name="model")
        with pytest.raises(NotFoundError):
            run.use_artifact("model")


def test_what_is_kept_is_read_only(tmp_path):
    with start(tmp_path / "runs") as run:
        run.log_artifact(write(tmp_path / "m.pt", "1"), name="model")
        assert not os.stat(run.use_artifact("model").path).st_mode & 0o222
    assert os.access(tmp_path / "m.pt", os.W_OK)


@pytest.mark.parametrize("name", ["a:b", "a/b", "", "..", "-x", "ä", "x" * 200])
def test_bad_names(tmp_path, name):
    with start(tmp_path / "runs") as run, pytest.raises(InvalidValueError):
        run.log_artifact(write(tmp_path / "m.pt", "1"), name=name)


@pytest.mark.parametrize(
    ("aliases", "words"),
    [
        (["v3"], "'v3' looks like a version"),
        (["Latest"], "like 'latest'"),
        ("best", r"must be a list of strings, got str 'best': write \['best'\]"),
        ({"best": 1}, "must be a list of strings, got dict"),
        (["best", 1], "each of log_artifact: aliases must be a string, got int 1"),
    ],
)
def test_bad_aliases(tmp_path, aliases, words):
    with start(tmp_path / "runs") as run, pytest.raises((InvalidTypeError, InvalidValueError), match=words):
        run.log_artifact(write(tmp_path / "m.pt", "1"), name="model", aliases=aliases)


@pytest.mark.parametrize("kind", [tuple, set, iter, np.array])
def test_aliases_of_any_collection(tmp_path, kind):
    with start(tmp_path / "runs") as run:
        run.log_artifact(write(tmp_path / "m.pt", "1"), name="model", aliases=kind(["best", "prod"]))
        run.log_model(write(tmp_path / "n.pt", "2"), "net", aliases=kind(["best", "prod"]))
        run.log_checkpoint({"a": 1}, 1, aliases=kind(["best", "prod"]))
        for name in ("model", "net", "checkpoint"):
            assert set(run.use_artifact(name).aliases) == {"latest", "best", "prod"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"overwrite": 1}, "overwrite must be True or False, got int 1"),
        ({"checksum": None}, "checksum must be a string, got NoneType"),
        ({"artifact_path": 5}, "artifact_path must be a string"),
        ({"path": None, "reference": 5}, "reference must be a path, got int 5"),
        ({"path": None, "reference": "s3://[x"}, "reference 's3://.x': "),
        ({"path": None, "reference": "s3://x", "size": "1"}, "size must be a number of bytes, got '1'"),
    ],
)
def test_arguments_of_another_type_are_named(tmp_path, arguments, words):
    given = {"path": write(tmp_path / "m.pt", "1"), "name": "model"} | arguments
    with start(tmp_path / "runs") as run, pytest.raises((InvalidTypeError, InvalidValueError), match=words):
        run.log_artifact(**given)


def test_a_use_of_something_else_is_named(tmp_path):
    with start(tmp_path / "runs") as run:
        with pytest.raises(InvalidTypeError, match="'model:best' must be a string, got int 5"):
            run.use_artifact(5)
        with pytest.raises(InvalidTypeError, match="project must be a string"):
            run.use_artifact("model", project=5)
        with pytest.raises(InvalidTypeError, match="must be a string"):
            run.latest_checkpoint(5)


def test_a_file_that_is_no_note_is_left_alone(tmp_path):
    with unitrack.start_run(project="p", sinks="local", root=tmp_path / "runs", delivery="thread") as run:
        run.log_artifact(write(tmp_path / "m.pt", "1"), name="model")
        stranger = write(Registry(tmp_path / "runs").artifact("p", "model").pending / "Thumbs.db", "x")
        assert run.flush().ok
        assert run.use_artifact("model").version == "v0"
        assert stranger.exists()


def test_content_that_is_gone_is_explained(tmp_path):
    with start(tmp_path / "runs") as run:
        run.log_artifact(write(tmp_path / "m.pt", "1"), name="model")
        shutil.rmtree(Registry(tmp_path / "runs").artifact("digits", "model").path_of(0))
        with pytest.raises(unitrack.UnitrackError, match=f"is gone from .*the run {run.path.name}, which logged it"):
            run.use_artifact("model")


def test_aliases_without_a_name_are_an_error(tmp_path):
    with start(tmp_path / "runs") as run, pytest.raises(InvalidValueError, match="name="):
        run.log_artifact(write(tmp_path / "m.pt", "1"), aliases=["best"])


def test_an_empty_folder_is_refused(tmp_path):
    (tmp_path / "empty" / "inside").mkdir(parents=True)
    with start(tmp_path / "runs") as run, pytest.raises(InvalidValueError, match="holds no file"):
        run.log_artifact(tmp_path / "empty", name="data")


def test_what_is_not_there_is_explained(tmp_path):
    with start(tmp_path / "runs") as run:
        with pytest.raises(NotFoundError, match="it has none"):
            run.use_artifact("model")
        run.log_artifact(write(tmp_path / "m.pt", "1"), name="model", aliases=["best"])
        with pytest.raises(NotFoundError, match=r"did you mean model:best\?.*versions v0 and the aliases.*best \(v0\)"):
            run.use_artifact("model:bst")
        with pytest.raises(NotFoundError, match="did you mean 'model'"):
            run.use_artifact("modl:best")
        with pytest.raises(NotFoundError, match="no model:v7"):
            run.use_artifact("model:v7")
        with pytest.raises(NotFoundError, match="but project 'digits' has one"):
            run.use_artifact("model", project="other")


def test_a_quota_is_asked_before_a_checkpoint_or_a_model_is_made(tmp_path, monkeypatch):
    """By the size of arrays and tensors; where only the saved file tells, a quota that is used up."""

    def made(*arguments):
        raise AssertionError("it was written")

    monkeypatch.setattr("unitrack.media.states.save_state", made)
    monkeypatch.setattr("unitrack.media.models.save_model", made)
    with start(tmp_path / "runs", config={"artifacts": {"quota_bytes": "1kB"}}) as run:
        with pytest.raises(InvalidValueError, match=r"0\.0 MB.* nothing was written"):
            run.log_checkpoint({"weights": np.zeros(200)}, 0, keep="all")
        (tmp_path / "full.bin").write_bytes(b"x" * 1000)
        run.log_artifact(tmp_path / "full.bin", name="data")
        with pytest.raises(InvalidValueError, match="nothing was written"):
            run.log_model(object(), aliases=[])


def test_a_quota_is_kept_before_anything_is_written(tmp_path):
    config = {"artifacts": {"quota_bytes": "1kB"}}
    with start(tmp_path / "runs", config=config) as run:
        run.log_artifact(write(tmp_path / "m.pt", "1" * 700), name="model")
        with pytest.raises(InvalidValueError, match=r"use 0.0 MB \(model 0.0 MB in 1 version\).*nothing was written"):
            run.log_artifact(write(tmp_path / "m.pt", "2" * 700), name="model")
        assert run.use_artifact("model").version == "v0"


def test_a_reference_to_a_file_is_hashed_and_not_copied(tmp_path):
    data = write(tmp_path / "data.csv", "a,b")
    with start(tmp_path / "runs") as run:
        run.log_artifact(name="data", reference=data)
        found = run.use_artifact("data")
        assert (found.path, found.size, found.files) == (data, 3, ())
        assert found.reference.checksum.startswith("sha256:")
        run.log_artifact(name="data", reference=data)
        assert run.use_artifact("data").version == "v0"
        write(data, "a,b,c")
        run.log_artifact(name="data", reference=data.as_uri())
        assert run.use_artifact("data").version == "v1"


def test_a_reference_elsewhere(tmp_path):
    with start(tmp_path / "runs") as run:
        run.log_artifact(name="data", reference="s3://bucket/data.csv", checksum="md5:123", size=5)
        found = run.use_artifact("data")
        assert (found.path, found.reference.uri, found.size) == (None, "s3://bucket/data.csv", 5)
        with pytest.raises(unitrack.UnitrackError, match="s3://bucket"):
            os.fspath(found)
        with pytest.raises(InvalidValueError, match="names no place"):
            run.log_artifact(name="data", reference="s3://")


def test_without_a_run_the_configured_root_is_searched(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with start(tmp_path / "experiments") as run:
        run.log_artifact(write(tmp_path / "m.pt", "1"), name="model")
    assert unitrack.use_artifact("model", project="digits").version == "v0"
    with unitrack.start_run("off", project="digits", config={"tracking": {"mode": "disabled"}}) as off:
        assert off.use_artifact("model").version == "v0"
