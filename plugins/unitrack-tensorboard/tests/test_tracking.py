"""Through unitrack's own API, with a real courier process."""

from __future__ import annotations

from tensorboard_readers import points, python_reader

import unitrack
from unitrack_tensorboard.source import TensorBoardSource


def test_a_run_reaches_tensorboard(tmp_path):
    with unitrack.start_run("demo", project="digits", sinks=["tensorboard"], root=tmp_path) as run:
        run.log_params({"lr": 0.1})
        for step in (*range(100), 10):
            run.log_metrics({"loss": step / 4}, step=step)
        run.log_text("notes", "notes.txt")
        assert run.finish(timeout=60).ok
    link = run.links()["tensorboard"]
    with python_reader(run.path / "tensorboard") as reader:
        assert points(reader) == {"loss": sorted((step, step / 4) for step in (*range(100), 10))}
    kinds = [type(record).__name__ for record in TensorBoardSource(link.location).records(link.id)]
    assert kinds == ["RunStart", "Params", *["Metrics"] * 101, "Artifact", "RunEnd"]
