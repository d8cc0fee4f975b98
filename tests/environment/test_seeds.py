"""`seed_everything`: what it seeds, what it leaves alone, and where it is recorded."""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path
from typing import Any

import pytest
from unitrack_tests.children import run_child

import unitrack
from unitrack.environment.seeds import HASH_SEED, latest


@pytest.fixture(autouse=True)
def no_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a new process; the seed of hashes is put back afterwards."""
    monkeypatch.setattr(latest, "seeds", None)
    monkeypatch.setenv(HASH_SEED, "0")


def test_the_same_seed_draws_the_same_numbers() -> None:
    """Of `random` and, since it is imported here, of NumPy."""
    numpy = pytest.importorskip("numpy")
    drawn = []
    for seed in (7, 7, 8):
        assert {"random", "numpy"} <= set(unitrack.seed_everything(seed).seeded)
        drawn.append((random.random(), float(numpy.random.random())))
    assert drawn[0] == drawn[1]
    assert drawn[0][0] != drawn[2][0]
    assert drawn[0][1] != drawn[2][1]


def test_the_record_of_what_was_seeded() -> None:
    """Plain values, for the record of the environment."""
    assert latest.as_record() == {}
    done = unitrack.seed_everything(7)
    expected = {"seed": 7, "seeded": done.seeded, "deterministic": False, "notes": done.notes, "is_configured": False}
    assert latest.as_record() == expected


def test_nothing_is_imported(root: Path) -> None:
    """A library that is not in use is left alone."""
    code = (
        "import sys, unitrack; before = set(sys.modules)\n"
        "print(unitrack.seed_everything(3).seeded, {'numpy', 'torch', 'tensorflow', 'jax'} & sys.modules.keys())"
    )
    assert run_child("-c", code, cwd=root).stdout == "('random',) set()\n"


def test_hashes_are_seeded_in_children_only(root: Path) -> None:
    """A note says so, but not where Python was started with that seed."""
    code = (
        "import os, subprocess, sys, unitrack\n"
        "print(len(unitrack.seed_everything(3).notes))\n"
        "child = [sys.executable, '-c', 'print(hash(\"a\"))']\n"
        "print(len({subprocess.check_output(child) for _ in range(2)}))"
    )
    assert run_child("-c", code, cwd=root).stdout == "1\n1\n"
    assert run_child("-c", code, cwd=root, env=os.environ | {HASH_SEED: "3"}).stdout == "0\n1\n"
    assert "started from now on" in unitrack.seed_everything(3).notes[0]


@pytest.mark.parametrize("seed", [-1, 2**32, True])
def test_a_seed_out_of_range_is_refused(seed: int) -> None:
    """It names the range and the value."""
    with pytest.raises(ValueError, match=rf"in 0 ... 4294967295, got {seed}"):
        unitrack.seed_everything(seed)


@pytest.mark.parametrize("seed", [1.0, "42", None])
def test_a_seed_that_is_no_integer_is_refused(seed: Any) -> None:
    """Nothing is seeded then."""
    before = random.getstate()
    with pytest.raises(TypeError, match="the seed must be an int"):
        unitrack.seed_everything(seed)
    assert random.getstate() == before


class TestRecorded:
    """The params of the runs of the process."""

    def test_in_the_current_run_once(self, root: Path) -> None:
        """A loop that seeds in each epoch does not change the param."""
        with unitrack.start_run("a", sinks=["local"], root=root, delivery="inline") as run:
            unitrack.seed_everything(7)
            unitrack.seed_everything(8)
            assert dict(run.config) == {"random_seed": 7}

    def test_in_the_runs_that_follow(self, root: Path) -> None:
        """Unless their params or their configuration have another."""
        unitrack.seed_everything(7)
        seeds = []
        options: list[dict[str, Any]] = [
            {},
            {"params": {"random_seed": 1}},
            {"config": {"reproducibility": {"random_seed": 2}}},
            {},
        ]
        for option in options:
            with unitrack.start_run("a", sinks=["local"], root=root, delivery="inline", **option) as run:
                seeds.append(run.config.get("random_seed"))
        assert seeds == [7, 1, 2, None]  # the configuration's seed has replaced that of the call

    def test_deterministic_algorithms(self, root: Path) -> None:
        """Where no library is imported that has any, a note says that nothing was done."""
        code = (
            "import unitrack; notes = unitrack.seed_everything(1, deterministic=True).notes\n"
            "run = unitrack.start_run('a', sinks=['local'], delivery='inline')\n"
            "print(notes[-1]); print(dict(run.config)); run.finish()"
        )
        told, params = run_child("-c", code, cwd=root).stdout.splitlines()
        assert told.startswith("neither torch nor TensorFlow is imported")
        assert params == "{'random_seed': 1, 'deterministic_algorithms': True}"


class TestLibraries:
    """Those that not every environment has."""

    def test_torch(self, root: Path) -> None:
        """Deterministic algorithms are for the process, so it is one of its own."""
        pytest.importorskip("torch")
        code = (
            "import os, torch, unitrack\n"
            "drawn = []\n"
            "for seed in (1, 1, 2):\n"
            "    done = unitrack.seed_everything(seed, deterministic=True)\n"
            "    drawn.append(torch.rand(1).item())\n"
            "print(done.seeded, drawn[0] == drawn[1] != drawn[2], torch.are_deterministic_algorithms_enabled(),\n"
            "      torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark,\n"
            "      os.environ['CUBLAS_WORKSPACE_CONFIG'])"
        )
        seen = run_child("-c", code, cwd=root).stdout
        assert seen.endswith("'torch') True True True False :4096:8\n")

    def test_jax(self) -> None:
        """It has no global generator: the key is handed out."""
        jax = pytest.importorskip("jax")
        assert jax.random.uniform(unitrack.seed_everything(1).jax_key) == jax.random.uniform(jax.random.key(1))

    def test_jax_is_not_installed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """An error says what to install, and only to those who ask for a key."""
        monkeypatch.setitem(sys.modules, "jax", None)
        seeds = unitrack.seed_everything(1)
        with pytest.raises(ImportError, match="pip install jax"):
            _ = seeds.jax_key

    def test_tensorflow(self) -> None:
        """Its operations draw from the global seed."""
        tensorflow = pytest.importorskip("tensorflow")
        drawn = []
        for seed in (1, 1, 2):
            unitrack.seed_everything(seed)
            drawn.append(float(tensorflow.random.uniform([])))
        assert drawn[0] == drawn[1] != drawn[2]
