"""Links between the pages lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

_LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(#[^)\s]*)?\)")


def test_relative_links_resolve(document: Path) -> None:
    """To a file of the repository and, where they name one, a heading in it."""
    text = _without_code(document.read_text())
    broken = []
    for target, anchor in _LINK.findall(text):
        path = (document.parent / target).resolve() if target else document
        if not path.exists() or (anchor and anchor[1:] not in _anchors(path)):
            broken.append(f"{target}{anchor}")
    assert not broken


def _without_code(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def _anchors(path: Path) -> set[str]:
    """What GitHub calls the headings of a document."""
    headings = re.findall(r"^#+ (.+)$", _without_code(path.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
