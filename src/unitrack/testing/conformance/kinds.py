"""Every kind of record, alone and together with the others."""

from __future__ import annotations

import struct
import zlib

import pytest

from unitrack.records import GROUP, JOB_TYPE, PARENT, ArtifactType, RunStatus
from unitrack.testing.conformance.base import BackendTests, MakeTrial
from unitrack.testing.conformance.comparing import assert_same
from unitrack.testing.trial import Trial


def _png() -> bytes:
    """Return a picture of one red pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0\xff\0\0"))
        + chunk(b"IEND", b"")
    )


def _wav() -> bytes:
    """Return four samples of silence at 8 kHz."""
    samples = bytes(8)
    head = struct.pack("<4sI4s4sIHHIIHH", b"RIFF", 36 + len(samples), b"WAVE", b"fmt ", 16, 1, 1, 8000, 16000, 2, 16)
    return head + struct.pack("<4sI", b"data", len(samples)) + samples


FILES: dict[ArtifactType, tuple[str, bytes]] = {
    "file": ("data.bin", b"\0\1\2"),
    "text": ("notes.txt", b"some text\n"),
    "json": ("config.json", b'{"a": [1, 2]}\n'),
    "figure": ("roc.png", _png()),
    "image": ("sample.png", _png()),
    "model": ("model.pt", b"weights"),
    "histogram": ("weights.json", b'{"counts":[1.0,2.0],"edges":[0.0,0.5,1.0]}\n'),
    "table": ("table.json", b'{"columns":["a","b"],"data":[[1,"x"],[2,null]]}\n'),
    "audio": ("sound.wav", _wav()),
    "video": ("clip.gif", b"GIF89a\1\0\1\0\x80\0\0\0\0\0\xff\xff\xff!\xf9\4\0\0\0\0\0,\0\0\0\0\1\0\1\0\0\2\2D\1\0;"),
    "dataset": ("train.json", b'{"name":"train","kind":"csv","digest":"5e1f","rows":2,"columns":[{"name":"x"}]}\n'),
    "code": ("train.py", b"print(1)\n"),
    "pr_curve": (
        "pr.json",
        b'{"columns":["threshold","true_positives","false_positives","true_negatives","false_negatives","precision",'
        b'"recall"],"data":[[0.0,1.0,1.0,0.0,0.0,0.5,1.0],[1.0,0.0,0.0,1.0,1.0,0.0,0.0]]}\n',
    ),
    "embedding": ("words.json", b'{"columns":["label","D1","D2"],"data":[["a",0.5,1.0],["b",0.25,2.0]]}\n'),
    "graph": ("net.json", b'{"layers":[{"name":"","type":"Net"},{"name":"fc","type":"Linear","parameters":6}]}\n'),
    "html": ("page.html", b"<p>page</p>"),
}

STATUSES: tuple[RunStatus, ...] = ("finished", "failed", "killed", "pruned")


class KindConformance(BackendTests):
    """Every kind of record comes back."""

    @pytest.mark.parametrize("kind", FILES)
    def test_artifact_kind(self, trial: Trial, kind: ArtifactType) -> None:
        """A file of any kind is among the artifacts byte for byte, whether or not the backend shows the kind."""
        name, content = FILES[kind]
        trial.artifact(f"media/{name}", content, kind, step=3)
        trial.end()
        self.check(trial)

    @pytest.mark.parametrize("kind", [kind for kind in FILES if kind not in ("file", "model")])
    def test_artifact_that_is_not_what_it_says(self, trial: Trial, kind: ArtifactType) -> None:
        """A file that is not what its kind says is kept as a file, and what is logged after it arrives."""
        name, _ = FILES[kind]
        trial.artifact(name, b"\xff\xfenothing of the kind", kind, step=1)
        trial.metrics({"loss": 0.5}, 1)
        trial.end()
        self.check(trial)

    def test_every_kind_in_one_run(self, make_trial: MakeTrial) -> None:
        """All kinds in one run, interleaved."""
        trial = make_trial(description="a description", tags={"team": "vision"})
        trial.params({"lr": 0.1, "model": {"depth": 4}})
        trial.metrics({"loss": 0.5, "acc": 0.25}, 0)
        for step, (kind, (name, content)) in enumerate(FILES.items()):
            trial.artifact(f"{kind}/{name}", content, kind, step)
            trial.metrics({"loss": step / 4}, step)
            trial.tags({"at": str(step)})
        trial.artifact("folder", {"a.txt": b"a", "b/c.txt": b"c"})
        trial.end()
        self.check(trial)

    def test_empty_run(self, trial: Trial) -> None:
        """A run that logged nothing is there."""
        trial.end()
        self.check(trial)

    @pytest.mark.parametrize("status", STATUSES)
    def test_status(self, trial: Trial, status: RunStatus) -> None:
        """The status with which a run ended comes back."""
        trial.metrics({"loss": 0.5}, 1)
        trial.end(status)
        self.check(trial)

    def test_identity(self, make_trial: MakeTrial) -> None:
        """Name, project, description, the tags that a run starts with, and those that relate it to other runs."""
        tags = {"team": "vision", GROUP: "fold 3", JOB_TYPE: "train", PARENT: "none-that-is-there"}
        trial = make_trial(name="training-v1", project="digits", description="why it was run", tags=tags)
        trial.tags({"stage": "eval"})
        trial.end()
        self.check(trial)

    def test_only_params(self, trial: Trial) -> None:
        """A run with params alone."""
        trial.params({"lr": 0.1})
        trial.end()
        self.check(trial)

    def test_only_artifacts(self, trial: Trial) -> None:
        """A run with artifacts alone."""
        trial.artifact("model.pt", b"weights")
        trial.end()
        self.check(trial)

    def test_two_runs_in_one_store(self, make_trial: MakeTrial) -> None:
        """Two runs of one name and project that are delivered in turn do not mix."""
        one, two = make_trial(), make_trial()
        for step in range(3):
            for trial, sign in ((one, 1.0), (two, -1.0)):
                trial.metrics({"loss": sign * (step + 1)}, step)
                trial.params({"sign": sign, f"p{step}": sign})
                trial.artifact("report.txt", str(sign * step).encode())
                trial.deliver()
        one.end("finished")
        two.end("failed")
        self.check(one)
        self.check(two)

    def test_what_was_committed_can_be_read_while_the_run_goes_on(self, trial: Trial) -> None:
        """What was committed can be read before the run ends, if the backend confirms each batch."""
        if self.backend.confirms == "end":
            pytest.skip("the backend confirms at the end only")
        trial.params({"lr": 0.1})
        trial.metrics({"loss": 0.5}, 1)
        trial.artifact("report.txt", b"so far")
        trial.deliver()
        assert_same(self.read(trial), trial.logged, exact_floats=self.backend.exact_floats)
        trial.end()
        self.check(trial)
