"""`unitrack artifacts`."""

import json
import shutil

import pytest

import unitrack
from unitrack.errors import NotFoundError, UnitrackError


@pytest.fixture(autouse=True)
def two_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with unitrack.start_run("make", project="p", sinks="local", root="experiments", delivery="inline") as run:
        for text in ("one", "two!"):
            (tmp_path / "m.pt").write_text(text)
            run.log_artifact("m.pt", name="model", aliases=["best"] if text == "one" else [])
    with unitrack.start_run("use", project="p", sinks="local", root="experiments", delivery="inline") as run:
        run.use_artifact("model:best")
        (tmp_path / "scores.json").write_text("{}")
        run.log_artifact("scores.json", name="scores")
    return tmp_path / "experiments"


def answer(invoke, *arguments, code=0):
    result = invoke("artifacts", *arguments)
    assert result.exit_code == code, result.output
    return result.output


def test_list_and_versions(invoke):
    assert "model" in answer(invoke)
    model, scores = json.loads(answer(invoke, "list", "--json"))
    assert (model["name"], model["versions"], model["aliases"]) == ("model", 2, {"latest": "v1", "best": "v0"})
    assert scores["size"] == 2
    newest, oldest = answer(invoke, "versions", "model").splitlines()[1:]
    assert newest.split()[:2] == ["v1", "latest"]
    assert "use" in oldest
    assert [one["number"] for one in json.loads(answer(invoke, "versions", "model", "--json"))] == [0, 1]


def test_show_tells_the_lineage(invoke):
    shown = answer(invoke, "show", "model:best")
    assert "made by    make" in shown
    assert "used by    use" in shown
    assert "made from  model:v0" in answer(invoke, "show", "scores")
    details = json.loads(answer(invoke, "show", "model:v0", "--json"))
    assert details["artifact"]["version"] == "v0"
    assert [run["name"] for run in details["used_by"]] == ["use"]


def test_get_makes_a_copy_that_can_be_written(invoke, tmp_path):
    answer(invoke, "get", "model:best", "out")
    copy = tmp_path / "out" / "m.pt"
    assert copy.read_text() == "one"
    copy.write_text("mine")
    assert "all whole" in answer(invoke, "verify")


def test_an_alias_moves_and_goes(invoke):
    answer(invoke, "alias", "model:v1", "production")
    assert unitrack.use_artifact("model:production", project="p").version == "v1"
    [run] = [run for run in unitrack.runs("experiments") if run.name == "make"]
    assert run.tags["unitrack.alias.model:production"] == "v1"
    answer(invoke, "alias", "model:v1", "production", "--remove")
    [run] = [run for run in unitrack.runs("experiments") if run.name == "make"]
    assert run.tags["unitrack.alias.model:production"] == "-v1"
    with pytest.raises(NotFoundError, match="no alias"):
        answer(invoke, "alias", "model", "production", "--remove")


def test_an_alias_of_a_run_that_is_not_here_changes_under_the_root_only(invoke, two_runs):
    shutil.rmtree(two_runs / "make")
    moved = invoke("artifacts", "alias", "model:v1", "production")
    assert "under this root only: the run make, which logged v1, is not here" in moved.output


def test_verify_finds_damage(invoke, two_runs):
    [path] = two_runs.glob(".artifacts/projects/p/model/v0/m.pt")
    path.chmod(0o644)
    path.write_text("xxx")
    assert "model:v0: m.pt has another content" in answer(invoke, "verify", code=1)
    assert json.loads(answer(invoke, "verify", "model:v1", "--json"))[0]["version"] == "v1"


def test_clean_shows_what_would_go_and_then_does_it(invoke):
    answer(invoke, "alias", "model:v0", "best", "--remove")
    assert "add --yes" in answer(invoke, "clean", "model", "--keep", "1")
    assert unitrack.use_artifact("model:v0", project="p").path.exists()
    assert "1 version removed" in answer(invoke, "clean", "model", "--keep", "1", "--yes")
    assert "removed" in answer(invoke, "versions", "model")


def test_show_of_a_run_tells_what_it_used(invoke):
    result = invoke("show", "use")
    assert "model:v0" in result.output
    assert "scores:v0" in result.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["show", "modl"], "did you mean 'model'|has an artifact 'model'"),
        (["show", "model:bst"], "did you mean model:best"),
        (["show", "a/b"], "project="),
        (["alias", "model:v0", "v7"], "looks like a version"),
        (["alias", "model:v0", "latest"], "moves by itself"),
        (["clean"], "--keep"),
        (["clean", "model:v0", "--keep", "0"], "not one version"),
        (["clean", "--older-than", "soon"], "no duration"),
    ],
)
def test_mistakes(invoke, arguments, words):
    with pytest.raises(UnitrackError, match=words):
        invoke("artifacts", *arguments)
