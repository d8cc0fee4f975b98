"""Finding the content of what a run has used, for sinks that keep it themselves."""

import unitrack
from unitrack.artifacts.used_content import find_used
from unitrack.records import USED, later_alias


def test_it_is_found_by_the_tag_of_the_run_that_used_it(tmp_path):
    (tmp_path / "model.pt").write_text("1")
    with unitrack.start_run("r", project="p", sinks="local", root=tmp_path / "runs", delivery="inline") as run:
        run.log_artifact(tmp_path / "model.pt", name="model", overwrite=True)
        found = run.use_artifact("model")
    [stored] = unitrack.runs(tmp_path / "runs")
    tag, text = f"{USED}model.v0", stored.tags[f"{USED}model.v0"]
    used = find_used(tmp_path / "runs", "p", tag, text)
    assert (used.path, used.version.digest, used.version.label) == (found.path, found.digest, "v0")
    assert used.made_by == run.id
    assert find_used(tmp_path / "runs", "other", tag, text) is None
    assert find_used(tmp_path / "runs", "p", "team", "vision") is None
    (tmp_path / "model.pt").write_text("2")
    with unitrack.start_run(
        "r", project="p", sinks="local", root=tmp_path / "runs", delivery="inline", run_id=run.id, resume="must"
    ) as again:
        again.log_artifact(tmp_path / "model.pt", name="model", overwrite=True)
    assert find_used(tmp_path / "runs", "p", tag, text) is None  # another content by now


def test_what_a_tag_says_of_an_alias():
    assert later_alias("unitrack.alias.model:best", "v3") == ("model", "best", "v3", True)
    assert later_alias("unitrack.alias.model:best", "-v3") == ("model", "best", "v3", False)
    assert later_alias("team", "v3") is None
