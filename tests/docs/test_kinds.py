"""The table of kinds and backends says what the plugins declare."""

from pathlib import Path

import pytest

from unitrack.plugins.registry import installed
from unitrack.records import KINDS
from unitrack.testing.kinds import kinds_table, with_table

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "kinds.md"


def test_the_table_is_current() -> None:
    """Renew it with `python -m unitrack.testing.kinds docs/reference/kinds.md`."""
    page = PAGE.read_text(encoding="utf-8")
    shown = {name.strip() for name in page.partition("<!-- kinds -->\n| |")[2].partition("\n")[0].split("|")} - {""}
    missing = shown - set(installed().backends)
    if missing:
        pytest.skip(f"not installed: {', '.join(sorted(missing))}")
    assert page == with_table(page, {name: installed().backends[name] for name in sorted(shown, key=_order)})


def test_only_known_kinds_are_declared() -> None:
    """A typo in a plugin's declaration would show as a file."""
    for backend in installed().backends.values():
        assert set(backend.native) <= set(KINDS), backend.name


def test_every_kind_has_a_row() -> None:
    """Of every backend."""
    lines = kinds_table(installed().backends).splitlines()
    assert [line.split(" | ")[0].strip("| ") for line in lines[2:-4]] == list(KINDS)


def _order(name: str) -> tuple[bool, str]:
    return name != "local", name
