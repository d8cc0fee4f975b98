"""Artifacts: files and folders, byte for byte, the newest of each name."""

from __future__ import annotations

import random

import pytest

from unitrack.records import Artifact
from unitrack.testing.conformance.base import BackendTests
from unitrack.testing.trial import Trial


class ArtifactConformance(BackendTests):
    """Artifacts come back byte for byte under their names."""

    def test_file(self, trial: Trial) -> None:
        """A file with all 256 values of a byte."""
        trial.artifact("data.bin", bytes(range(256)))
        trial.end()
        self.check(trial)

    def test_nested_path(self, trial: Trial) -> None:
        """The name of an artifact may have a path."""
        trial.artifact("models/epoch 3/best.pt", b"weights")
        trial.end()
        self.check(trial)

    def test_empty_file(self, trial: Trial) -> None:
        """An empty file is there, and empty."""
        trial.artifact("empty.txt", b"")
        trial.end()
        self.check(trial)

    def test_large_file(self, trial: Trial) -> None:
        """A file of 5 MB that can't be compressed."""
        trial.artifact("large.bin", random.Random(0).randbytes(5_000_000))
        trial.end()
        self.check(trial)

    def test_folder(self, trial: Trial) -> None:
        """A folder with folders, an empty file and names that are not plain ASCII."""
        trial.artifact("checkpoint", {"model.pt": b"m", "opt/state.pt": b"o", "opt/a b/损.txt": b"u", "empty": b""})
        trial.end()
        self.check(trial)

    def test_folder_below_a_path(self, trial: Trial) -> None:
        """The name of a folder may have a path."""
        trial.artifact("runs/1/checkpoint", {"model.pt": b"m", "sub/x": b"x"})
        trial.end()
        self.check(trial)

    def test_same_name_twice_in_a_batch(self, trial: Trial) -> None:
        """The later file replaces the earlier one, longer or shorter."""
        for content in (b"old and long", b"new"):
            trial.artifact("report.txt", content)
        trial.end()
        self.check(trial)

    def test_same_name_in_a_later_batch(self, trial: Trial) -> None:
        """The same across commits and restarts."""
        for content in (b"first", b"second, longer", b"3rd"):
            trial.artifact("report.txt", content)
            trial.deliver()
            trial.crash()
        trial.end()
        self.check(trial)

    def test_folder_twice(self, trial: Trial) -> None:
        """The later folder replaces the earlier one: files that only the earlier one had are gone."""
        trial.artifact("checkpoint", {"model.pt": b"old", "only in the first": b"x"})
        trial.deliver()
        trial.artifact("checkpoint", {"model.pt": b"new", "only in the second": b"y"})
        trial.end()
        self.check(trial)

    def test_file_then_folder(self, trial: Trial) -> None:
        """A folder replaces a file of the same name."""
        trial.artifact("thing", b"a file")
        trial.deliver()
        trial.artifact("thing", {"inside": b"a folder"})
        trial.end()
        self.check(trial)

    def test_folder_then_file(self, trial: Trial) -> None:
        """A file replaces a folder of the same name."""
        trial.artifact("thing", {"inside": b"a folder"})
        trial.deliver()
        trial.artifact("thing", b"a file")
        trial.end()
        self.check(trial)

    def test_file_in_the_way(self, trial: Trial) -> None:
        """An artifact below the name of a file replaces it or becomes a dead letter. The run goes on either way."""
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
        """Files of one name in different folders do not replace each other."""
        for folder in ("a", "b", "a/b"):
            trial.artifact(f"{folder}/model.pt", folder.encode())
        trial.artifact("model.pt", b"top")
        trial.end()
        self.check(trial)

    def test_many_in_a_batch(self, trial: Trial) -> None:
        """Forty files in one batch."""
        for number in range(40):
            trial.artifact(f"samples/{number:02}.txt", str(number).encode())
        trial.end()
        self.check(trial)

    def test_annotations(self, trial: Trial) -> None:
        """What an artifact was logged with is read back, if the backend declares to keep it."""
        if not self.backend.keeps_annotations:
            pytest.skip("the backend keeps the files of artifacts alone")
        told = {"caption": "a cat", "boxes": {"truth": {"box_data": [{"position": [0.5, 2.0], "class_id": 1}]}}}
        trial.artifact("plain.bin", b"1", annotations=told)
        trial.end()
        found = [record for record in self.records(trial.link) if isinstance(record, Artifact)]
        assert [record.annotations for record in found] == [told]

    def test_series_at_steps(self, trial: Trial) -> None:
        """A text that is logged again at later steps: the newest is the artifact, and all points are there."""
        for step in range(4):
            trial.metrics({"loss": step / 2}, step)
            trial.artifact("samples/generated.txt", f"at step {step}".encode(), "text", step=step)
        trial.end()
        self.check(trial)
