"""Run folders: how they are named, found, and told from others."""

from __future__ import annotations

from pathlib import Path

import pytest

import unitrack
from unitrack.errors import ConfigError, JournalError
from unitrack.runfolder.find import find_by_id, find_run, find_run_folders, ids_of
from unitrack.runfolder.rank_files import RankFiles
from unitrack.runfolder.run_folder import RunFolder


@pytest.fixture
def runs(root: Path) -> Path:
    """Two runs, and a folder that is none."""
    for name, run_id in (("a", "id-a"), ("b", "id-b")):
        unitrack.start_run(name, run_id=run_id, sinks=["local"], root=root / "runs", delivery="inline").finish()
    (root / "runs" / "notes").mkdir()
    return root / "runs"


def test_folders_are_found_below_a_root_or_are_it(runs: Path) -> None:
    assert [folder.path.name for folder in find_run_folders(runs)] == ["a", "b"]
    assert [folder.path.name for folder in find_run_folders(runs / "a")] == ["a"]
    assert list(find_run_folders(runs / "nowhere")) == []


def test_one_damaged_run_hides_no_other(runs: Path) -> None:
    (runs / "a" / ".unitrack" / "run.json").write_text("{")
    found = find_run(runs, "id-b")
    assert found is not None
    assert found.path.name == "b"
    assert [id_ for _, id_ in ids_of(find_run_folders(runs))] == ["id-b"]
    assert find_run(runs, "id-a") is None


def test_an_id_that_is_not_there_names_the_nearest(runs: Path) -> None:
    assert find_by_id("id-a", runs).path.name == "a"
    with pytest.raises(ConfigError, match="did you mean 'id-a'"):
        find_by_id("id-aa", runs)


def test_a_name_leads_nowhere_else(root: Path) -> None:
    """It may hold separators and dots; a second run of the name gets a number."""
    first, second = RunFolder.claim(root, "../x/y"), RunFolder.claim(root, "../x/y")
    assert first.path.parent == second.path.parent == root
    assert second.path.name == f"{first.path.name}-2"


def test_a_manifest_of_a_stranger_names_nothing_outside(runs: Path) -> None:
    folder = RunFolder(runs / "a")
    manifest = folder.manifest_file.read_text()
    folder.manifest_file.write_text(manifest.replace('"name":"local"', '"name":"../../x"'))
    with pytest.raises(JournalError, match="can't be a part of file names"):
        folder.read_manifest()


def test_rank_0_waits_for_ranks_that_are_slow_to_start(root: Path) -> None:
    """And for none that has ended its part."""
    ranks = RankFiles(RunFolder.claim(root, "a"))
    assert not ranks.may_others_log(1)
    assert ranks.may_others_log(2)
    ranks.ended_file(1).touch()
    assert not ranks.may_others_log(2)
    ranks.forget()
    assert ranks.may_others_log(2)
