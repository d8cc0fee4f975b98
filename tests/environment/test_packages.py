"""The installed distributions, with where they came from."""

from __future__ import annotations

import json
from pathlib import Path

from unitrack_tests.repositories import Repository

from unitrack.environment.packages import installed_packages, requirements_of


def install(site: Path, name: str, version: str, origin: object = None) -> None:
    """Make the metadata of a distribution, as an installer does."""
    info = site / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    if origin is not None:
        (info / "direct_url.json").write_text(origin if isinstance(origin, str) else json.dumps(origin))


def test_each_kind_of_origin(tmp_path: Path, repository: Repository) -> None:
    """PEP 610: from an index, a repository, an archive, and a checkout that is edited, with its commit."""
    site = tmp_path / "site"
    commit = "0" * 40
    install(site, "Plain_One", "1.0")
    install(
        site,
        "from_git",
        "2.0",
        {"url": "https://me:s3cret@host/a.git", "vcs_info": {"vcs": "git", "commit_id": commit}, "subdirectory": "py"},
    )
    install(site, "archived", "3.0", {"url": "https://host/a-3.0.whl", "archive_info": {}})
    editable = {"url": f"file://{repository.folder}", "dir_info": {"editable": True}}
    install(site, "edited", "4.0", editable)
    install(site, "damaged", "5.0", "no JSON")
    (site / "broken-1.dist-info").mkdir()
    other = tmp_path / "later"
    install(other, "plain-one", "0.1")
    repository.write("train.py", "changed")
    packages = {one.name: one for one in installed_packages([str(site), str(other)], seconds=10)}
    assert packages.keys() == {"plain-one", "from-git", "archived", "edited", "damaged"}
    assert packages["plain-one"].version == "1.0"  # the one that is imported
    assert (packages["from-git"].url, packages["from-git"].commit) == ("https://host/a.git", commit)
    edited = packages["edited"]
    assert (edited.editable, edited.commit, edited.dirty) == (True, repository.git("rev-parse", "HEAD"), True)
    lines = requirements_of(packages.values(), "3.11.1").splitlines()
    assert lines[0] == "# Python 3.11.1"
    assert f"from-git @ git+https://host/a.git@{commit}#subdirectory=py" in lines
    assert "archived @ https://host/a-3.0.whl" in lines and "plain-one==1.0" in lines
    assert f"-e {repository.folder}  # edited 4.0 at commit {edited.commit}" in lines
