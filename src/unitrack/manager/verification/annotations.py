"""Comparing what the artifacts of two runs were logged with: captions, boxes, masks, signatures, versions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from unitrack.manager.verification.allowances import Allowances
from unitrack.manager.verification.difference import Difference
from unitrack.records import VERSION, Artifact

_SHOWN = 80
"""Characters of a value that a difference shows; boxes and masks are longer, and only named."""
_NOT_KEPT = "the backend keeps the files of artifacts alone"


def compare_annotations(
    reference: Iterable[Artifact], other: Iterable[Artifact], allowances: Allowances
) -> Iterator[Difference]:
    """Yield the differences in the annotations of the artifacts that both runs have, each by its name."""
    there = {one.name: one for one in other}
    allowed = "" if allowances.annotations else _NOT_KEPT
    for one in reference:
        if one.name in there:
            before, after = _parts(one), _parts(there[one.name])
            for part in dict.fromkeys([*before, *after]):
                expected, found = before.get(part), after.get(part)
                if expected != found:
                    yield Difference(
                        subject="artifact",
                        name=one.name,
                        problem=f"{part} {_problem(expected, found)}",
                        expected=_shown(expected),
                        found=_shown(found),
                        allowed=allowed,
                    )


def _parts(artifact: Artifact) -> dict[str, Any]:
    """Return annotations by name, as JSON has them; a version by its parts: "version.aliases"."""
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(artifact.annotations))
    version = plain.pop(VERSION, None)
    if isinstance(version, Mapping):
        return plain | {f"{VERSION}.{part}": value for part, value in version.items()}
    return plain if version is None else plain | {VERSION: version}


def _problem(expected: Any, found: Any) -> str:
    return "missing" if found is None else "extra" if expected is None else "differs"


def _shown(value: Any) -> Any:
    return value if len(repr(value)) <= _SHOWN else None
