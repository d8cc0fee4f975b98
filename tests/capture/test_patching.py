"""A patch changes nothing for who calls the method."""

from __future__ import annotations

from typing import Any

import pytest

from unitrack import DeliveryWarning
from unitrack.capture.patching import Patches
from unitrack.capture.report import Report


class Original:
    def add(self, value: int, *, times: int = 1) -> int:
        """Add."""
        return value * times

    def twice(self, value: int) -> int:
        return self.add(value) + self.add(value)

    def fail(self) -> None:
        raise KeyError("theirs")

    def named(self, **names: object) -> None:
        """Take arguments of any names."""


@pytest.fixture
def kind() -> type[Original]:
    return type("Kind", (Original,), dict(vars(Original)))


def test_the_result_and_the_arguments_are_passed_on(kind: type[Original]) -> None:
    seen: list[Any] = []
    patches = Patches("sdk", Report())
    patches.after(
        kind, "add", lambda note, result, *a, **k: seen.append((note, result, a[1:], k)), before=lambda *a, **k: 7
    )
    assert kind().add(3, times=2) == 6
    assert seen == [(7, 6, (3,), {"times": 2})]
    assert kind.add.__doc__ == "Add."
    patches.undo()
    assert kind().add(3) == 3
    assert len(seen) == 1


def test_an_error_of_ours_is_a_warning_once_and_counted(kind: type[Original]) -> None:
    report = Report()
    patches = Patches("sdk", report)

    def broken(*args: Any, **kwargs: Any) -> None:
        raise ValueError("ours")

    patches.after(kind, "add", broken, before=broken)
    with pytest.warns(DeliveryWarning, match="`sdk: add` was not captured: ours") as warned:
        sums = [kind().add(1), kind().add(2)]
    assert sums == [1, 2]
    assert len(warned) == 1
    assert report.missed["sdk: add"] == 4


def test_an_error_of_theirs_is_theirs(kind: type[Original]) -> None:
    seen: list[Any] = []
    Patches("sdk", Report()).after(kind, "fail", lambda *args: seen.append(args))
    with pytest.raises(KeyError, match="theirs"):
        kind().fail()
    assert seen == []


def test_calls_of_an_sdk_inside_of_its_own_are_one(kind: type[Original]) -> None:
    seen: list[str] = []
    patches = Patches("sdk", Report())
    patches.after(kind, "add", lambda *args: seen.append("add"))
    patches.after(kind, "twice", lambda *args: seen.append("twice"))
    assert kind().twice(2) == 4
    assert seen == ["twice"]


def test_an_sdk_without_the_method_is_one_warning(kind: type[Original]) -> None:
    report = Report()
    with pytest.warns(DeliveryWarning, match=r"Kind\.gone.*no such method"):
        assert not Patches("sdk", report).after(kind, "gone", print)
    assert "1 call of `sdk: Kind.gone` was not captured" in report.text()


def test_patching_twice_is_patching_once(kind: type[Original]) -> None:
    seen: list[str] = []
    for _ in range(2):
        Patches("sdk", Report()).after(kind, "add", lambda *args: seen.append("add"))
    kind().add(1)
    assert seen == ["add"]


def test_methods_that_are_not_captured_are_counted(kind: type[Original]) -> None:
    report = Report()
    Patches("sdk", report).count(kind, ("twice", "named", "not_there"), "sdk.Kind")
    for _ in range(11):
        kind().twice(1)
    kind().named(name="x", report="y", note=1, result=2)  # type: ignore[attr-defined]
    kind().twice(value=1)
    assert report.lines() == [
        "12 calls of `sdk.Kind.twice` were not captured",
        "1 call of `sdk.Kind.named` was not captured",
    ]
