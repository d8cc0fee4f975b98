"""Removing versions, and checking that what is kept is whole."""

import pytest

import unitrack
from unitrack.artifacts.integrity import check_versions
from unitrack.artifacts.registry import Registry
from unitrack.artifacts.retention import Rules, choose, remove_versions
from unitrack.errors import ConfigError, NotFoundError


@pytest.fixture
def registry(tmp_path):
    with unitrack.start_run("train", project="p", sinks="local", root=tmp_path / "runs", delivery="inline") as run:
        for number in range(4):
            (tmp_path / "m.pt").write_text("x" * (number + 1))
            run.log_artifact(tmp_path / "m.pt", name="model", aliases=["first"] if number == 0 else [])
        run.use_artifact("model:v1")
    return Registry(tmp_path / "runs")


def labels(candidates):
    return [one.version for one in candidates]


def test_what_has_an_alias_stays(registry):
    assert labels(choose(registry.artifacts(), Rules(keep=0))) == ["v1", "v2"]
    assert labels(choose(registry.artifacts(), Rules(keep=2))) == ["v1"]
    assert labels(choose(registry.artifacts(), Rules(keep=0, unused=True))) == ["v2"]
    assert labels(choose(registry.artifacts(), Rules(older_than=3600))) == []


def test_removed_versions_are_gone_and_their_numbers_stay(registry):
    [artifact] = registry.artifacts()
    removed, freed = remove_versions(registry, choose([artifact], Rules(keep=2)))
    assert (labels(removed), freed) == (["v1"], 2)
    assert not artifact.path_of(1).exists()
    with pytest.raises(NotFoundError, match="was removed"):
        unitrack.use_artifact("model:v1", project="p", root=registry.root)
    assert artifact.read().next_number == 4
    assert unitrack.use_artifact("model:v2", project="p", root=registry.root).path.read_text() == "xxx"


def test_content_that_another_version_needs_stays(registry, tmp_path):
    with unitrack.start_run("other", project="q", sinks="local", root=registry.root, delivery="inline") as run:
        (tmp_path / "m.pt").write_text("xx")
        run.log_artifact(tmp_path / "m.pt", name="copy")
    removed, freed = remove_versions(registry, choose(registry.artifacts("p"), Rules(keep=0)))
    assert (labels(removed), freed) == (["v1", "v2"], 3)
    assert unitrack.use_artifact("copy", project="q", root=registry.root).path.read_text() == "xx"


def test_no_rule_is_an_error():
    with pytest.raises(ConfigError, match="--keep"):
        Rules().check()


def test_a_version_that_was_changed_on_disk_is_found(registry):
    [artifact] = registry.artifacts()
    assert all(check.ok for check in check_versions([artifact]))
    path = artifact.path_of(2) / "m.pt"
    path.chmod(0o644)
    path.write_text("yyy")
    (artifact.path_of(3) / "m.pt").unlink()
    found = {check.version: check.problems for check in check_versions([artifact])}
    assert found["v2"] == ("m.pt has another content",)
    assert "gone" in found["v3"][0]
    assert found["v0"] == found["v1"] == ()


def test_a_reference_whose_data_changed_is_found(tmp_path):
    data = tmp_path / "data.csv"
    data.write_text("a")
    with unitrack.start_run("r", project="p", sinks="local", root=tmp_path / "runs", delivery="inline") as run:
        run.log_artifact(name="data", reference=data)
        run.log_artifact(name="far", reference="s3://bucket/x", checksum="md5:11", size=1)
    checks = {check.name: check for check in check_versions(Registry(tmp_path / "runs").artifacts())}
    assert checks["data"].ok
    assert "not on this machine" in checks["far"].note
    data.write_text("b")
    [check] = check_versions([Registry(tmp_path / "runs").artifact("p", "data")])
    assert check.problems == (f"{data} has another content",)
