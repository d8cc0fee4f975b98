"""Checkpoints: what they hold, which of them stay, and how a resumed run finds the newest."""

import os
import subprocess
import sys

import numpy as np
import pytest

import unitrack
from unitrack.errors import InvalidTypeError, InvalidValueError, SourceError


@pytest.fixture
def begin(tmp_path):
    def begin(**settings):
        settings = {"sinks": "local", "delivery": "inline"} | settings
        return unitrack.start_run("train", project="p", root=tmp_path / "runs", **settings)

    return begin


def kept(run, name="checkpoint"):
    return sorted(path.name for path in (run.path / "artifacts" / name).glob("v*/*"))


STATE = {
    "weights": np.arange(6, dtype="float32").reshape(2, 3),
    "optimizer": {0: {"momentum": np.ones(2), "step": np.int64(3)}, (1, 2): b"raw"},
    "shape": (1, (2, 3)),
    "list": [1, 2.5, None, "text", float("inf")],
    "empty": {},
}


def test_a_state_of_arrays_comes_back(begin):
    with begin() as run:
        run.log_checkpoint(STATE, 7)
        found = run.latest_checkpoint()
        assert (found.step, found.path.name, found.artifact.version) == (7, "step-7.npz", "v0")
        loaded = found.load()
    assert (loaded["weights"] == STATE["weights"]).all()
    assert loaded["weights"].dtype == np.float32
    assert (loaded["optimizer"][0]["momentum"] == 1).all()
    assert loaded["optimizer"][0]["step"] == 3
    assert loaded["optimizer"][1, 2] == b"raw"
    assert (loaded["shape"], loaded["list"], loaded["empty"]) == (STATE["shape"], STATE["list"], {})


def test_a_state_without_arrays_is_json(begin):
    with begin() as run:
        run.log_checkpoint({"epoch": 3, "run": run.state_dict()}, 3)
        assert run.latest_checkpoint().path.suffix == ".json"
        assert run.latest_checkpoint().load()["run"]["run_id"] == run.id


def test_an_object_with_a_state_dict(begin):
    class Model:
        def state_dict(self):
            return {"w": np.zeros(3)}

    with begin() as run:
        run.log_checkpoint(Model(), 1)
        assert run.latest_checkpoint().load()["w"].shape == (3,)


def test_a_file_that_is_saved_already(begin, tmp_path):
    (tmp_path / "mine.bin").write_bytes(b"mine")
    with begin() as run:
        run.log_checkpoint(tmp_path / "mine.bin", 5)
        found = run.latest_checkpoint()
        assert (found.path.name, found.path.read_bytes()) == ("step-5.bin", b"mine")
        with pytest.raises(SourceError, match="your own"):
            found.load()


def test_tensors_are_loaded_with_weights_only(begin):
    torch = pytest.importorskip("torch")
    with begin() as run:
        model = torch.nn.Linear(2, 1)
        run.log_checkpoint({"model": model.state_dict(), "rng": np.arange(3), "lr": 0.1}, 1)
        found = run.latest_checkpoint()
        assert found.path.suffix == ".pt"
        loaded = found.load()
        assert torch.equal(loaded["model"]["weight"], model.weight)
        assert (loaded["rng"] == np.arange(3)).all()


def test_the_best_and_the_newest_stay(begin):
    with begin() as run:
        for step, loss in enumerate((5.0, 1.0, 4.0, 2.0, 3.0)):
            run.log_metrics({"loss": loss}, step)
            run.log_checkpoint({"step": step}, step, keep="best:2", metric="loss")
    assert kept(run) == ["step-1.json", "step-3.json", "step-4.json"]
    assert run.latest_checkpoint().step == 4
    [stored] = unitrack.runs(run.path.parent)
    assert {one.version.metric for one in stored.artifacts} == {1.0, 2.0, 3.0}
    store = run.path.parent / ".artifacts" / "content"
    assert len(list(store.glob("??/*"))) == 3


def test_the_best_may_be_the_greatest_and_a_number(begin):
    with begin() as run:
        for step, accuracy in enumerate((0.5, 0.9, 0.7)):
            run.log_checkpoint({"step": step}, step, keep="best:1", metric=accuracy, mode="max")
    assert kept(run) == ["step-1.json", "step-2.json"]


def test_the_last_stay_and_so_do_those_with_an_alias(begin):
    with begin() as run:
        for step in range(5):
            run.log_checkpoint({"step": step}, step, keep="last:2", aliases=["first"] if step == 0 else [])
    assert kept(run) == ["step-0.json", "step-3.json", "step-4.json"]


def test_nothing_is_removed_before_every_sink_has_it(begin, monkeypatch):
    from unitrack.run.checkpoint_log import CheckpointLog

    with begin(delivery="thread") as run:
        with monkeypatch.context() as patched:
            patched.setattr(CheckpointLog, "_is_delivered", lambda *arguments: False)
            for step in range(3):
                run.log_checkpoint({"step": step}, step, keep="last:1")
            assert len(list((run.path / ".spool" / "files").glob("*/step-*"))) == 3
        assert run.flush().ok
        run.log_checkpoint({"step": 3}, 3, keep="last:1")
        run.latest_checkpoint()
        run.log_checkpoint({"step": 4}, 4, keep="last:1")
    assert kept(run) == ["step-4.json"]


def test_a_resumed_run_finds_its_newest_checkpoint(begin):
    with begin(run_id="one") as run:
        assert run.latest_checkpoint() is None
        for step in range(3):
            run.log_checkpoint({"step": step}, step, keep="last:2")
    with begin(run_id="other") as other:
        other.log_checkpoint({"step": 100}, 100)
    with begin(run_id="one", resume="must") as again:
        assert again.latest_checkpoint().load() == {"step": 2}
        again.log_checkpoint({"step": 3}, 3, keep="last:2")
    assert kept(again) == ["step-2.json", "step-3.json"]


def test_after_a_kill_the_last_checkpoint_is_whole(tmp_path):
    program = """
import os, signal, unitrack
run = unitrack.start_run("train", project="p", root="runs", sinks="local", delivery="thread", run_id="killed")
for step in range(5):
    run.log_checkpoint({"step": step}, step)
os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=False)
    root = tmp_path / "runs"
    again = unitrack.start_run(project="p", root=root, sinks="local", delivery="thread", run_id="killed", resume="must")
    with again:
        assert again.latest_checkpoint().load() == {"step": 4}


def test_the_same_state_at_another_step_is_another_checkpoint(begin):
    with begin() as run:
        for step in (1, 2):
            run.log_checkpoint({"w": [0] * 100}, step)
        assert run.latest_checkpoint().step == 2
    assert len(list((run.path.parent / ".artifacts" / "content").glob("??/*"))) == 1


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"keep": "best:3"}, InvalidValueError, "needs metric="),
        ({"keep": "best"}, InvalidValueError, "'last:N' or 'best:N'"),
        ({"keep": "best:0", "metric": 1.0}, InvalidValueError, "from 1"),
        ({"metric": "los"}, InvalidValueError, "metric 'los'"),
        ({"metric": [1]}, InvalidTypeError, "a number, got list"),
        ({"mode": "least"}, InvalidValueError, "'min' or 'max'"),
        ({"name": "a/b"}, InvalidValueError, "a/b"),
        ({"step": -1}, InvalidValueError, "-1"),
        ({"state": {"model": {"act": len}}}, InvalidTypeError, r"state\['model'\]\['act'\], a builtin"),
        ({"state": {"a": np.array([None])}}, InvalidTypeError, "Python objects"),
        ({"state": 5}, InvalidTypeError, "state_dict"),
        ({"state": "missing.pt"}, FileNotFoundError, "missing.pt"),
    ],
)
def test_mistakes_leave_nothing_behind(begin, arguments, error, words):
    with begin() as run:
        run.log_metrics({"loss": 1.0}, step=0)
        given = {"state": {"a": 1}, "step": 1} | arguments
        with pytest.raises(error, match=words):
            run.log_checkpoint(given.pop("state"), given.pop("step"), **given)
        assert not [names for _, _, names in os.walk(run.path / ".spool" / "files") if names]
        assert run.latest_checkpoint() is None
