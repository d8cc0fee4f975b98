"""A copied run's versions of artifacts are versions of the root that it is copied to."""

import pytest

import unitrack
from unitrack.artifacts.aliases import move_alias
from unitrack.artifacts.names import parse_wanted
from unitrack.artifacts.registry import Registry


def make(root, name, text=None, *, used=None, aliases=(), **more):
    root.mkdir(exist_ok=True)
    with unitrack.start_run(name, project="p", run_id=name, sinks="local", root=root, delivery="inline", **more) as run:
        if used:
            run.use_artifact(used)
        if text is not None:
            (root / "model.pt").write_text(text)
            run.log_artifact(root / "model.pt", name="model", aliases=list(aliases))
    return run


def copied(source, target, **more):
    report = unitrack.copy(f"local:{source}", f"local:{target}", **more)
    assert report.ok, report
    return report


def table(root, name="model"):
    state = Registry(root).artifact("p", name).read()
    return {
        one.label: (one.aliases, one.made_by.id, [run.id for run in one.used_by]) for one in state.versions.values()
    }


@pytest.fixture
def source(tmp_path):
    root = tmp_path / "source"
    make(root, "first", "one", aliases=["best", "first"])
    make(root, "second", "two", aliases=["best"])
    make(root, "eval", used="model:v0")
    return root


def test_versions_aliases_and_lineage_are_there(source, tmp_path):
    """As under the root they come from, whatever was moved by hand; and copying again changes nothing."""
    artifact = Registry(source).artifact("p", "model")
    move_alias(artifact, parse_wanted("model:v0"), "best")
    expected = {"v0": (["best", "first"], "first", ["eval"]), "v1": (["latest"], "second", [])}
    assert {label: (sorted(row[0]), *row[1:]) for label, row in table(source).items()} == expected
    for _ in range(2):
        copied(source, tmp_path / "target")
        assert {label: (sorted(row[0]), *row[1:]) for label, row in table(tmp_path / "target").items()} == expected
    log = (Registry(tmp_path / "target").artifact("p", "model").folder / "log.jsonl").read_bytes()
    assert len(log.splitlines()) == 3
    found = unitrack.use_artifact("model:best", project="p", root=tmp_path / "target")
    assert (found.path.read_text(), found.made_by.id) == ("one", "first")
    assert unitrack.verify(f"local:{source}", f"local:{tmp_path / 'target'}").ok


def test_what_is_there_keeps_its_number_and_its_aliases(source, tmp_path):
    """A version gets the next number where its own is taken, and the report says so; content is there once."""
    target = tmp_path / "target"
    make(target, "own", "own", aliases=["best"])
    make(target, "again", "two")
    report = copied(source, target)
    assert [run.notes for run in report.runs] == [("model:v0 is model:v2 there",), (), ()]
    assert table(target) == {
        "v0": (["best"], "own", []),
        "v1": (["latest"], "again", []),
        "v2": (["first"], "first", ["eval"]),
    }
    also = Registry(target).artifact("p", "model").read().versions[1].also_made_by
    assert [run.id for run in also] == ["second"]
    make(target, "next", "next")
    assert table(target)["v3"][0] == ["latest"]


def test_copies_from_a_backend_without_a_root_tell_by_their_runs(source, tmp_path):
    """The later of two copied versions has the alias, whichever is copied first."""
    for name in ("second", "first"):
        unitrack.copy(f"local:{source}", f"local:{tmp_path / name}", filter=f"name == '{name}'")
        (tmp_path / name / ".artifacts").rename(tmp_path / name / "gone")
    for name in ("second", "first"):
        copied(tmp_path / name, tmp_path / "target")
    assert table(tmp_path / "target")["v1"][0] == ["latest", "best"]
    assert table(tmp_path / "target")["v0"][0] == ["first"]


def test_references_and_overwritten_versions(tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    with unitrack.start_run("r", project="p", sinks="local", root=source, delivery="inline") as run:
        run.log_artifact(name="corpus", reference="s3://bucket/corpus.tar", checksum="md5:11", size=5)
        for text in ("one", "two"):
            (tmp_path / "state.pt").write_text(text)
            run.log_artifact(tmp_path / "state.pt", name="state", overwrite=True)
    copied(source, target)
    corpus = unitrack.use_artifact("corpus", project="p", root=target)
    assert (corpus.reference.uri, corpus.size, corpus.path) == ("s3://bucket/corpus.tar", 5, None)
    assert unitrack.use_artifact("state:v0", project="p", root=target).path.read_text() == "two"


def test_a_strangers_names_are_no_artifacts(tmp_path):
    """What a record calls an artifact may be anything."""
    source = tmp_path / "source"
    run = make(source, "r", "one", aliases=["best"])
    metadata = run.path / "metadata.json"
    text = metadata.read_text()
    metadata.write_text(text.replace('"name":"model"', '"name":"../x"').replace('"name": "model"', '"name": "../x"'))
    assert metadata.read_text() != text
    copied(source, tmp_path / "target")
    assert not (tmp_path / "target" / ".artifacts").exists()
