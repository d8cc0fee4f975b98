"""What the commands share for printing."""

from __future__ import annotations

from pathlib import Path

import pytest

from unitrack.terminal.console import from_here, in_words


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("{here}/runs/a", "runs/a"),
        ("sqlite:///{here}/mlflow.db", "sqlite:///mlflow.db"),
        ("tensorboard --logdir={here}/tb --x '{here}/y'", "tensorboard --logdir=tb --x 'y'"),
        ("/elsewhere{here}/runs", "/elsewhere{here}/runs"),
        ("{here}-2/runs", "{here}-2/runs"),
        ("{here}", "{here}"),
    ],
)
def test_paths_below_the_working_directory_are_relative(root: Path, text: str, shown: str) -> None:
    assert from_here(text.format(here=root)) == shown.format(here=root)


def test_at_the_root_of_the_file_system_paths_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    assert from_here("sqlite:////tmp/mlflow.db") == "sqlite:////tmp/mlflow.db"


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0 s"), (59, "59 s"), (150, "2 min"), (7200, "2 h"), (90_000, "1 d")]
)
def test_durations_in_words(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
