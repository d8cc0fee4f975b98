"""A sweep that is killed anywhere goes on: what has ended is not repeated, and no two agents take one trial."""

import multiprocessing
import os
import shutil
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

import unitrack
from unitrack.sweeps import agent as agent_module
from unitrack.sweeps.place import place_of
from unitrack.sweeps.study import SweepStudy
from unitrack.sweeps.study_file import remove_torn_line

optuna = pytest.importorskip("optuna")

FORK = multiprocessing.get_context("fork")
VALUES = [1, 2, 3, 4]


class Notes:
    """What the processes of a sweep did, in a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, text: object) -> None:
        with open(self.path, "a") as file:
            file.write(f"{text}\n")

    def count(self) -> Counter[str]:
        return Counter(self.path.read_text().split()) if self.path.exists() else Counter()


def die(*_args: object, **_options: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def run(root: Path, notes: Notes, space=None, *, die_in: object = None, pause: float = 0.0, **options):
    def train(x):
        notes.add(f"begin-{x}")
        if x == die_in:
            die()
        time.sleep(pause)
        notes.add(f"end-{x}")
        return {"loss": float(x)}

    config = {"tracking": {"delivery": "inline", "root": str(root), "sinks": ["local"]}}
    options = {"strategy": "grid", "name": "s", "progress": False, **options}
    return unitrack.sweep(train, {"x": VALUES} if space is None else space, config=config, **options)


def in_child(call) -> int:
    """Call a function in a forked process, and return its exit code."""
    child = FORK.Process(target=call)
    child.start()
    child.join(60)
    assert child.exitcode is not None
    return child.exitcode


def on_second(patch, owner, name, *, after: bool = False) -> None:
    """Kill this process at the second call of a method."""
    original, calls = getattr(owner, name), []

    def call(*args, **options):
        calls.append(name)
        if len(calls) == 2 and not after:
            die()
        result = original(*args, **options)
        if len(calls) == 2:
            die()
        return result

    patch.setattr(owner, name, call)


POINTS = {
    "before a trial is taken": lambda patch: on_second(patch, SweepStudy, "ask"),
    "after Optuna gave a trial": lambda patch: on_second(patch, optuna.study.Study, "ask", after=True),
    "after a trial was taken": lambda patch: on_second(patch, SweepStudy, "ask", after=True),
    "before a trial starts": lambda patch: on_second(patch, agent_module.Agent, "_start"),
    "after a trial ended, before it is told": lambda patch: on_second(patch, SweepStudy, "tell"),
    "after Optuna was told": lambda patch: on_second(patch, optuna.study.Study, "tell", after=True),
    "after a trial was told": lambda patch: on_second(patch, SweepStudy, "tell", after=True),
}


@pytest.mark.parametrize("point", POINTS)
def test_a_sweep_killed_anywhere_goes_on_without_repeating_what_ended(tmp_path, monkeypatch, point):
    notes = Notes(tmp_path / "notes")

    def killed():
        with pytest.MonkeyPatch.context() as patch:
            POINTS[point](patch)
            run(tmp_path / "runs", notes)

    assert in_child(killed) == -signal.SIGKILL
    assert 1 <= sum(notes.count().values()) < 2 * len(VALUES)
    result = run(tmp_path / "runs", notes)
    assert notes.count() == Counter({f"{what}-{x}": 1 for what in ("begin", "end") for x in VALUES})
    assert sorted(one.value for one in result) == VALUES
    assert all(one.status == "finished" for one in result)
    assert not list((tmp_path / "runs/.sweeps/s/trials").iterdir())
    parent = next(run for run in unitrack.runs(tmp_path / "runs") if run.id == result.run_id)
    assert parent.status == "finished"


def test_a_trial_during_which_the_sweep_died_is_tried_once_more(tmp_path):
    notes = Notes(tmp_path / "notes")
    assert in_child(lambda: run(tmp_path / "runs", notes, die_in=2)) == -signal.SIGKILL
    result = run(tmp_path / "runs", notes)
    assert notes.count()["begin-2"] == 2
    assert {f"end-{x}": 1 for x in VALUES}.items() <= notes.count().items()
    assert sorted(one.params["x"] for one in result) == VALUES
    assert len({one.number for one in result}) == len(VALUES)


def test_a_trial_that_kills_each_process_fails_in_the_end(tmp_path):
    notes = Notes(tmp_path / "notes")
    for _ in range(2):
        assert in_child(lambda: run(tmp_path / "runs", notes, die_in=2)) == -signal.SIGKILL
    result = run(tmp_path / "runs", notes, die_in=2)
    assert notes.count()["begin-2"] == 2
    assert {one.params["x"]: one.status for one in result} == {
        1: "finished", 2: "failed", 3: "finished", 4: "finished"
    }  # fmt: skip
    assert result.failed[0].error == "its process died 2 times: it was killed, or ran out of memory"


def test_a_sweep_that_is_complete_runs_nothing(tmp_path):
    notes = Notes(tmp_path / "notes")
    first, second = (run(tmp_path / "runs", notes) for _ in range(2))
    assert notes.count().total() == 2 * len(VALUES)
    assert list(first) == list(second)
    assert first.run_id == second.run_id


def test_a_grid_goes_on_where_fewer_trials_were_asked_for(tmp_path):
    notes = Notes(tmp_path / "notes")
    assert len(run(tmp_path / "runs", notes, n=2)) == 2
    assert len(run(tmp_path / "runs", notes)) == len(VALUES)
    assert notes.count().total() == 2 * len(VALUES)


def test_a_seed_gives_the_same_trials_interrupted_or_not(tmp_path):
    space = {"x": (0.0, 1.0)}
    notes = Notes(tmp_path / "notes")
    for strategy in ("random", "tpe"):
        options = {"strategy": strategy, "seed": 5}
        whole = run(tmp_path / strategy / "whole", notes, space, n=6, **options)
        run(tmp_path / strategy / "parts", notes, space, n=3, **options)
        parts = run(tmp_path / strategy / "parts", notes, space, n=6, **options)
        assert [one.params for one in whole] == [one.params for one in parts]
        assert len({one.params["x"] for one in parts}) == 6


def test_ctrl_c_leaves_the_trial_for_the_next_time(tmp_path):
    notes = Notes(tmp_path / "notes")

    def interrupted(x):
        notes.add(x)
        if x == 2 and notes.count()["2"] == 1:
            raise KeyboardInterrupt
        return x

    config = {"tracking": {"delivery": "inline", "root": str(tmp_path / "runs"), "sinks": ["local"]}}
    options = {"strategy": "grid", "name": "s", "config": config, "progress": False}
    with pytest.raises(KeyboardInterrupt):
        unitrack.sweep(interrupted, {"x": [1, 2, 3]}, **options)
    statuses = Counter(run.status for run in unitrack.runs(tmp_path / "runs"))
    assert statuses == {"killed": 2, "finished": 1}  # the sweep and its second trial
    result = unitrack.sweep(interrupted, {"x": [1, 2, 3]}, **options)
    assert notes.count() == {"1": 1, "2": 2, "3": 1}
    assert [one.status for one in result] == ["finished"] * 3


def test_agents_share_a_study_and_no_trial_is_run_twice(tmp_path):
    notes, values = Notes(tmp_path / "notes"), list(range(24))
    agents = [FORK.Process(target=lambda: run(tmp_path / "runs", notes, {"x": values}, pause=0.02)) for _ in range(3)]
    for one in agents:
        one.start()
    for one in agents:
        one.join(100)
        assert one.exitcode == 0
    assert notes.count() == Counter({f"{what}-{x}": 1 for what in ("begin", "end") for x in values})
    result = run(tmp_path / "runs", notes, {"x": values})
    assert sorted(one.params["x"] for one in result) == values
    assert len(unitrack.runs(tmp_path / "runs")) == len(values) + 1


def test_agents_together_draw_no_more_trials_than_asked(tmp_path):
    notes = Notes(tmp_path / "notes")
    search = {"strategy": "random", "n": 10, "seed": 1, "pause": 0.01}
    agents = [FORK.Process(target=lambda: run(tmp_path / "runs", notes, {"x": (0.0, 1.0)}, **search)) for _ in range(3)]
    for one in agents:
        one.start()
    for one in agents:
        one.join(100)
    assert notes.count().total() == 20
    assert len(run(tmp_path / "runs", notes, {"x": (0.0, 1.0)}, **search)) == 10


def test_an_agent_takes_over_from_one_that_is_killed_meanwhile(tmp_path):
    notes = Notes(tmp_path / "notes")
    dying = FORK.Process(target=lambda: run(tmp_path / "runs", notes, pause=30))
    dying.start()
    while not notes.count():
        time.sleep(0.01)
    other = FORK.Process(target=lambda: run(tmp_path / "runs", notes, pause=0.2))
    other.start()
    while notes.count().total() < 2:
        time.sleep(0.01)
    dying.kill()
    dying.join(10)
    other.join(60)
    assert other.exitcode == 0
    assert {f"end-{x}": 1 for x in VALUES}.items() <= notes.count().items()


def test_a_study_of_this_name_for_another_goal_is_left_alone(tmp_path):
    notes = Notes(tmp_path / "notes")
    run(tmp_path / "runs", notes)
    with pytest.raises(unitrack.ConfigError, match="'s' is there already, with metric='loss' and mode='min'"):
        run(tmp_path / "runs", notes, mode="max")
    with pytest.raises(unitrack.ConfigError, match="give this one another name"):
        run(tmp_path / "runs", notes, metric="acc")


def test_a_study_cut_at_any_byte_of_its_last_line_goes_on(tmp_path):
    notes = Notes(tmp_path / "notes")
    run(tmp_path / "whole", notes)
    journal = place_of(tmp_path / "whole", "s", None).journal
    content = journal.read_bytes()
    last = len(content) - len(content[:-1].rsplit(b"\n", 1)[-1]) - 1
    for cut in range(last, len(content), 9):
        shutil.copytree(tmp_path / "whole", copied := tmp_path / f"cut-{cut}")
        (copied / ".sweeps/s/study.journal").write_bytes(content[:cut])
        result = run(copied, notes)
        assert sorted(one.params["x"] for one in result) == VALUES


def test_only_what_follows_the_last_newline_is_removed(tmp_path):
    file = tmp_path / "study.journal"
    for content, kept in [
        (b"", b""),
        (b"a\nb\n", b"a\nb\n"),
        (b"a\nb", b"a\n"),
        (b"ab", b""),
        (b"a\n" + b"x" * 200_000, b"a\n"),
    ]:
        file.write_bytes(content)
        remove_torn_line(file)
        assert file.read_bytes() == kept
