"""The states of random number generators in a run's state: they come back exactly, as JSON, in another process."""

from __future__ import annotations

import json
import pickle
import random
import warnings
from pathlib import Path
from typing import Any

import pytest
from unitrack_tests.children import run_child

import unitrack
from unitrack.errors import InvalidTypeError, InvalidValueError
from unitrack.run.run import Run


def started(root: Path, **options: Any) -> Run:
    return unitrack.start_run("a", sinks=["local"], root=root, delivery="inline", **options)


def test_a_resumed_training_draws_the_same_numbers(root: Path) -> None:
    """In a new process, from the checkpoint that the first one has written as JSON."""
    pytest.importorskip("numpy")
    program = (
        "import json, random, sys, numpy, unitrack\n"
        "def draw(): return [random.random(), random.gauss(0, 1), *numpy.random.normal(size=3)]\n"
        "if sys.argv[1] == 'first':\n"
        "    run = unitrack.start_run('a', sinks=['local'], delivery='inline')\n"
        "    draw()\n"
        "    json.dump(run.state_dict(), open('checkpoint.json', 'w'))\n"
        "else:\n"
        "    state = json.load(open('checkpoint.json'))\n"
        "    run = unitrack.start_run(run_id=state['run_id'], resume='must', sinks=['local'], delivery='inline')\n"
        "    run.load_state_dict(state)\n"
        "print([float(value).hex() for value in draw()])\n"
        "run.finish()\n"
    )
    first, again = (run_child("-c", program, turn, cwd=root).stdout for turn in ("first", "again"))
    assert first == again != ""


def test_torch_goes_on(root: Path) -> None:
    """Its generator of the CPU, and one of the user's."""
    torch = pytest.importorskip("torch")
    own = torch.Generator().manual_seed(3)
    with started(root) as run:
        state = json.loads(json.dumps(run.state_dict(generators={"loader": own})))
        expected = torch.rand(4).tolist(), torch.rand(4, generator=own).tolist()
        run.load_state_dict(state, generators={"loader": own})
        assert (torch.rand(4).tolist(), torch.rand(4, generator=own).tolist()) == expected


@pytest.mark.parametrize("kind", ["PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64", "RandomState", "bits", "random"])
def test_the_generators_of_the_user(root: Path, kind: str) -> None:
    """Each of those that NumPy has, and `random.Random`; JSON, pickle and a copy hold their states alike."""
    numpy = pytest.importorskip("numpy")
    generator: Any
    if kind == "random":
        generator = random.Random(5)
        draw = generator.random
    elif kind == "RandomState":
        generator = numpy.random.RandomState(5)
        draw = generator.normal  # the second of a pair is kept in the state
    elif kind == "bits":
        generator = numpy.random.PCG64(5)
        draw = generator.random_raw
    else:
        generator = numpy.random.Generator(getattr(numpy.random, kind)(5))
        draw = generator.normal
    draw()
    with started(root) as run:
        state = run.state_dict(generators={"mine": generator})
        assert json.loads(json.dumps(state)) == pickle.loads(pickle.dumps(state)) == state
        expected = [draw() for _ in range(700)]
        run.load_state_dict(json.loads(json.dumps(state)), generators={"mine": generator})
        assert [draw() for _ in range(700)] == expected


def test_its_size(root: Path) -> None:
    """Less than 20 kB as JSON, whatever is imported."""
    with started(root) as run:
        assert len(json.dumps(run.state_dict())) < 20_000


def test_what_cannot_be_set_is_named_once(root: Path) -> None:
    """A library that is not imported, a generator that is not passed, and one that was not saved."""
    with started(root) as run:
        state = run.state_dict(generators={"saved": random.Random(1)})
        with pytest.warns(UserWarning, match="not all random number generators") as caught:
            run.load_state_dict(state, generators={"other": random.Random(1)})
    text = str(caught[0].message)
    assert len(caught) == 1
    assert "the state holds no generator 'other'" in text
    assert "load_state_dict(generators=...) those of 'saved'" in text


def test_a_library_that_is_not_imported_is_named(root: Path) -> None:
    """It is not imported for it."""
    code = (
        "import sys, unitrack, warnings\n"
        "run = unitrack.start_run('a', sinks=['local'], delivery='inline')\n"
        "state = run.state_dict(); state['rng']['torch'] = ''\n"
        "with warnings.catch_warnings(record=True) as caught:\n"
        "    warnings.simplefilter('always'); run.load_state_dict(state)\n"
        "print(caught[0].message, 'torch' in sys.modules); run.finish()\n"
    )
    assert "torch is not imported: import it before load_state_dict False" in run_child("-c", code, cwd=root).stdout


@pytest.mark.parametrize(
    "damage",
    [
        {"random": {"version": 3, "key": "AAAA", "position": 624, "gauss": None}},
        {"random": {"version": 3}},
        {"random": "x"},
        {"random": {"version": 3, "key": "?", "position": 0, "gauss": None}},
        {"numpy": {"state": {"key": {"dtype": "object", "base64": ""}}}},
        {"numpy": 7},
    ],
)
def test_a_damaged_state_is_refused(root: Path, damage: dict[str, Any]) -> None:
    """It names the generator; the step stays as it was."""
    pytest.importorskip("numpy")
    with started(root) as run:
        state = run.state_dict()
        run.log_metric("loss", 1, step=5)
        with pytest.raises(InvalidValueError, match=f"the state of '{next(iter(damage))}' is not one"):
            run.load_state_dict(state | {"rng": damage})
        with pytest.raises(InvalidValueError, match="'rng' must be what"):
            run.load_state_dict(state | {"rng": [1]})
        assert run.state_dict()["step"] == 6


def test_what_is_no_generator_is_refused(root: Path) -> None:
    """By its name and type, when saving and when loading."""
    with started(root) as run:
        for call in (run.state_dict, lambda **given: run.load_state_dict(run.state_dict(), **given)):
            with pytest.raises(InvalidTypeError, match=r"generators\['a'\] must be .* got int"):
                call(generators={"a": 1})


def test_a_checkpoint_of_before_there_were_states(root: Path) -> None:
    """Nothing is set, and nothing is said."""
    with started(root) as run:
        before = random.getstate()
        run.load_state_dict({"run_id": run.id, "step": 0})
        assert random.getstate() == before


class TestRanks:
    """One checkpoint, loaded by all ranks."""

    def test_another_rank_keeps_its_own_numbers(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Else all ranks would draw the same."""
        monkeypatch.setenv("RANK", "1")
        run = started(root)
        state = {"run_id": run.id, "step": 3} | {"rng": run.state_dict()["rng"] | {"rank": 0}}
        before = random.getstate()
        with pytest.warns(UserWarning, match="random numbers of rank 0: rank 1 goes on with its own"):
            run.load_state_dict(state)
        assert random.getstate() == before

    @pytest.mark.parametrize("rank", ["0", "1"])
    def test_a_run_that_records_nothing_restores_them(
        self, root: Path, monkeypatch: pytest.MonkeyPatch, rank: str
    ) -> None:
        """Training is the same whether it is tracked or not."""
        monkeypatch.setenv("UNITRACK_MODE", "disabled")
        monkeypatch.setenv("RANK", rank)
        run = started(root)
        state, expected = run.state_dict(), random.random()
        assert state["rng"]["rank"] == int(rank)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            run.load_state_dict(state)
        assert random.random() == expected


def test_tracking_draws_no_random_numbers_of_training(root: Path) -> None:
    """Not with a sink that fails and is retried in this process either."""
    random.seed(1)
    expected = random.random()
    random.seed(1)
    trouble = {"hook": "log_metrics", "kind": "unavailable", "times": 2}
    probe = {"probe": {"out": str(root / "out"), "troubles": [trouble]}}
    with unitrack.start_run("a", sinks=[probe], root=root, delivery="inline") as run:
        run.log_metric("loss", 1)
    assert (root / "out" / "stored.jsonl").exists()
    assert random.random() == expected
