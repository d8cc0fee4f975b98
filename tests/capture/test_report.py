"""The report at the end of a captured program."""

from __future__ import annotations

import pytest

from unitrack import DeliveryWarning
from unitrack.capture.report import Report


def test_nothing_to_tell_is_no_line() -> None:
    assert Report().text() == ""


def test_it_counts_what_was_left_out_most_first() -> None:
    report = Report()
    for _ in range(12):
        report.miss("wandb.plot.confusion_matrix")
    report.miss("wandb.Molecule")
    report.reduce("wandb.plot.line", "the table behind it")
    report.reduce("wandb.plot.line", "the table behind it")
    assert report.lines() == [
        "12 calls of `wandb.plot.confusion_matrix` were not captured",
        "1 call of `wandb.Molecule` was not captured",
        "`wandb.plot.line` was captured as the table behind it",
    ]


def test_an_error_is_a_warning_once_and_its_first_text_is_kept() -> None:
    report = Report()

    def fail() -> None:
        for text in ("disk full", "still full"):
            report.trouble("wandb.log", OSError(text))

    with pytest.warns(DeliveryWarning, match="disk full") as warned:
        fail()
    assert len(warned) == 1
    assert report.lines() == ["2 calls of `wandb.log` were not captured: disk full"]


def test_a_long_list_is_cut_and_control_characters_are_shown() -> None:
    report = Report()
    for number in range(30):
        report.miss(f"kind\x1b{number}")
    lines = report.text().splitlines()
    assert len(lines) == 21
    assert lines[-1] == "unitrack: and 10 more"
    assert "\x1b" not in report.text()
