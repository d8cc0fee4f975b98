"""Comparing what a backend holds with what was logged, bit for bit."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from typing import Any

import msgspec

from unitrack.testing.whole_run import Contents, Point


def assert_same(found: Contents, logged: Contents, *, exact_floats: bool) -> None:
    """Raise `AssertionError` on the first difference. `exact_floats=False` compares values as float32."""
    assert (found.name, found.project) == (logged.name, logged.project)
    assert found.description == logged.description
    assert typed(found.params) == typed(logged.params)
    assert found.tags == logged.tags
    assert sorted(found.points) == sorted(logged.points)
    for name, points in logged.points.items():
        assert spelled(found.points[name], exact_floats) == spelled(points, exact_floats), name
        assert found.times[name] == logged.times[name], name
    assert sorted(found.files) == sorted(logged.files)
    for name, content in logged.files.items():
        assert found.files[name] == content, name
    assert found.status == logged.status


def spelled(points: list[Point], exact: bool) -> list[tuple[int, str]]:
    """Return points with values in hexadecimal: NaN equals NaN, -0.0 is not 0.0. `exact=False` rounds to float32."""
    return [(step, (value if exact else _float32(value)).hex()) for step, value in points]


def _float32(value: float) -> float:
    if math.isfinite(value) and abs(value) > 3.4028235677973366e38:  # above what rounds to the largest float32
        return math.copysign(math.inf, value)
    return float(struct.unpack("<f", struct.pack("<f", value))[0])


def typed(values: Mapping[str, Any]) -> dict[str, str]:
    """Return values as JSON, in which 1, 1.0, True and "1" are four different values."""
    return {name: msgspec.json.encode(value, order="sorted").decode() for name, value in sorted(values.items())}
