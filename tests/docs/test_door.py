"""What a contributor meets first: forms, settings and pages that say the same as the project does."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

import unitrack

ROOT = Path(__file__).parents[2]
FILES = [*(ROOT / ".github").rglob("*.yml"), ROOT / ".pre-commit-config.yaml", ROOT / "CITATION.cff"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_yaml_is_well_formed(file: Path) -> None:
    assert isinstance(yaml.safe_load(file.read_text(encoding="utf-8")), dict)


def test_the_citation_is_of_this_version() -> None:
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))["version"] == unitrack.__version__


def test_a_bug_report_asks_for_what_doctor_says() -> None:
    form = yaml.safe_load((ROOT / ".github" / "ISSUE_TEMPLATE" / "bug.yml").read_text(encoding="utf-8"))
    [asked] = [field for field in form["body"] if "doctor --json" in field["attributes"]["label"]]
    assert asked["validations"]["required"]


def test_each_environment_that_is_named_exists() -> None:
    known = set(re.findall(r"^\[testenv:([\w-]+)", (ROOT / "tox.ini").read_text(encoding="utf-8"), re.MULTILINE))
    pages = [ROOT / "CONTRIBUTING.md", ROOT / ".github" / "pull_request_template.md", ROOT / "README.md"]
    named = {name for page in pages for name in re.findall(r"tox -e ([\w-]+)", page.read_text(encoding="utf-8"))}
    assert named
    assert {name for name in named if not name.startswith("unitrack-")} <= known


def test_the_picture_shows_each_floor_from_the_top_down() -> None:
    """As `lint-imports` knows them."""
    with open(ROOT / "pyproject.toml", "rb") as file:
        contracts = tomllib.load(file)["tool"]["importlinter"]["contracts"]
    [layers] = [one["layers"] for one in contracts if one["type"] == "layers"]
    page = (ROOT / "docs" / "development.md").read_text(encoding="utf-8")
    picture = page.partition("```text\n")[2].partition("```")[0].splitlines()
    lines = {name.strip(): _line_of(name.strip(), picture) for layer in layers for name in layer.split("|")}
    assert list(lines.values()) == sorted(lines.values())
    assert set(lines) == {re.sub(r"\.py$", "", path.name) for path in _members(ROOT / "src" / "unitrack")}


def _line_of(name: str, picture: list[str]) -> int:
    [line] = [number for number, line in enumerate(picture) if re.search(rf"(^|\s){name}(/|\.py)(\s|$)", line)]
    return line


def _members(package: Path) -> list[Path]:
    """The packages and modules in a package, without `__init__` and `__main__`."""
    return [
        path
        for path in package.iterdir()
        if not path.name.startswith("__") and (path.suffix == ".py" or (path / "__init__.py").exists())
    ]
