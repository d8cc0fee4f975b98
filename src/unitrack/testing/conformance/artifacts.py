"""Artifacts: files and folders, byte for byte, the newest of each name."""

from __future__ import annotations

import random

from unitrack.testing.conformance.base import BackendTests
from unitrack.testing.trial import Trial


class ArtifactConformance(BackendTests):
    """What is logged as an artifact can be taken out again."""

    def test_file(self, trial: Trial) -> None:
        """All 256 bytes."""
        trial.artifact("data.bin", bytes(range(256)))
        trial.end()
        self.check(trial)

    def test_nested_path(self, trial: Trial) -> None:
        """Folders of the name are made."""
        trial.artifact("models/epoch 3/best.pt", b"weights")
        trial.end()
        self.check(trial)

    def test_empty_file(self, trial: Trial) -> None:
        """It is there, and empty."""
        trial.artifact("empty.txt", b"")
        trial.end()
        self.check(trial)

    def test_large_file(self, trial: Trial) -> None:
        """5 MB that don't compress."""
        trial.artifact("large.bin", random.Random(0).randbytes(5_000_000))
        trial.end()
        self.check(trial)

    def test_folder(self, trial: Trial) -> None:
        """With folders in it, and an empty file."""
        trial.artifact("checkpoint", {"model.pt": b"m", "opt/state.pt": b"o", "opt/a b/损.txt": b"u", "empty": b""})
        trial.end()
        self.check(trial)

    def test_folder_below_a_path(self, trial: Trial) -> None:
        """Its name has a path itself."""
        trial.artifact("runs/1/checkpoint", {"model.pt": b"m", "sub/x": b"x"})
        trial.end()
        self.check(trial)

    def test_same_name_twice_in_a_batch(self, trial: Trial) -> None:
        """The later content holds, longer or shorter."""
        for content in (b"old and long", b"new"):
            trial.artifact("report.txt", content)
        trial.end()
        self.check(trial)

    def test_same_name_in_a_later_batch(self, trial: Trial) -> None:
        """The same over a commit and a restart."""
        for content in (b"first", b"second, longer", b"3rd"):
            trial.artifact("report.txt", content)
            trial.deliver()
            trial.crash()
        trial.end()
        self.check(trial)

    def test_folder_twice(self, trial: Trial) -> None:
        """The later one replaces the earlier one: what only that had is gone."""
        trial.artifact("checkpoint", {"model.pt": b"old", "only in the first": b"x"})
        trial.deliver()
        trial.artifact("checkpoint", {"model.pt": b"new", "only in the second": b"y"})
        trial.end()
        self.check(trial)

    def test_file_then_folder(self, trial: Trial) -> None:
        """A name may become a folder."""
        trial.artifact("thing", b"a file")
        trial.deliver()
        trial.artifact("thing", {"inside": b"a folder"})
        trial.end()
        self.check(trial)

    def test_folder_then_file(self, trial: Trial) -> None:
        """And back."""
        trial.artifact("thing", {"inside": b"a folder"})
        trial.deliver()
        trial.artifact("thing", b"a file")
        trial.end()
        self.check(trial)

    def test_file_in_the_way(self, trial: Trial) -> None:
        """What can't be placed below a file costs that artifact alone, or replaces it: the run goes on either way."""
        trial.artifact("thing", b"a file")
        trial.deliver()
        trial.artifact("thing/inside", b"below a file")
        trial.metrics({"loss": 0.5}, 1)
        trial.end()
        assert trial.ledger.state == "complete"
        found = self.read(trial)
        assert found.points == trial.logged.points
        assert (trial.ledger.dead_lettered, "thing" in found.files) in ((1, True), (0, False), (0, True))

    def test_same_base_name_in_two_folders(self, trial: Trial) -> None:
        """Neither replaces the other."""
        for folder in ("a", "b", "a/b"):
            trial.artifact(f"{folder}/model.pt", folder.encode())
        trial.artifact("model.pt", b"top")
        trial.end()
        self.check(trial)

    def test_many_in_a_batch(self, trial: Trial) -> None:
        """Forty files of one call."""
        for number in range(40):
            trial.artifact(f"samples/{number:02}.txt", str(number).encode())
        trial.end()
        self.check(trial)

    def test_series_at_steps(self, trial: Trial) -> None:
        """Texts that are logged again at later steps: the newest is the artifact, and it doesn't disturb the points."""
        for step in range(4):
            trial.metrics({"loss": step / 2}, step)
            trial.artifact("samples/generated.txt", f"at step {step}".encode(), "text", step=step)
        trial.end()
        self.check(trial)
