"""Going on with a run: what a checkpoint holds, automatic steps, and params that are logged again."""

from __future__ import annotations

import enum
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from unitrack_probe import stored
from unitrack_tests.bench import Bench, change_ledger, now, settle

import unitrack
from unitrack.delivery.lane.lane import Lane
from unitrack.delivery.lane.progress import Progress
from unitrack.delivery.ledger import Ledger, LockedLedger
from unitrack.local.source import LocalSource
from unitrack.plugins.registry import installed
from unitrack.records import Metrics, Params, merge
from unitrack.runfolder.manifest import LaneSpec
from unitrack.runfolder.run_folder import RunFolder
from unitrack.values.plain import changed_params


def steps(run: unitrack.Run) -> list[int]:
    """The steps in the local files, in the order of logging."""
    return [one.step for one in LocalSource(str(run.path)).records(run.path.name) if isinstance(one, Metrics)]


def history(path: Path) -> list[tuple[str, Any, Any]]:
    """The changes that the local files keep."""
    file = path / "params_history.jsonl"
    changes = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    return [(change["name"], change["old"], change["new"]) for change in changes]


class TestStateDict:
    """What a checkpoint holds."""

    def test_a_run_goes_on_from_its_checkpoint(self, root: Path) -> None:
        """The id finds the run, and automatic steps go on where the checkpoint was taken."""
        with unitrack.start_run("a", sinks=["local"], root=root, delivery="inline") as run:
            for _ in range(3):
                run.log_metric("loss", 1)
            state = json.loads(json.dumps(run.state_dict()))
        assert {key: state[key] for key in ("run_id", "step")} == {"run_id": run.id, "step": 3}
        with unitrack.start_run(run_id=state["run_id"], resume="must", root=root, delivery="inline") as again:
            assert again.state_dict() == state
            again.load_state_dict(state)
            again.log_metric("loss", 1)
        assert steps(again) == [0, 1, 2, 3]

    def test_a_checkpoint_behind_the_log(self, root: Path) -> None:
        """Training repeats the steps after its checkpoint; without the state they would come after the last one."""
        with unitrack.start_run("a", sinks=["local"], root=root, delivery="inline") as run:
            run.log_metric("loss", 1)
            state = run.state_dict()
            run.log_metrics({"loss": 1}, step=9)
        for loaded, expected in ((False, 10), (True, 1)):
            with unitrack.start_run(run_id=run.id, resume="must", root=root, delivery="inline") as again:
                if loaded:
                    again.load_state_dict(state)
                again.log_metric("loss", 2)
            assert steps(again)[-1] == expected

    @pytest.mark.parametrize("state", [{"run_id": "other", "step": 1}, {"step": 1}, {}])
    def test_the_state_of_another_run_is_refused(self, root: Path, state: dict[str, Any]) -> None:
        """It names both ids."""
        run = unitrack.start_run("a", sinks=["local"], root=root, delivery="inline", run_id="mine")
        with pytest.raises(ValueError, match="'mine'"):
            run.load_state_dict(state)
        run.finish()

    def test_what_is_no_state_is_refused(self, root: Path) -> None:
        """As a checkpoint of before unitrack has it: nothing under that key."""
        with (
            unitrack.start_run("a", sinks=["local"], root=root, delivery="inline") as run,
            pytest.raises(TypeError, match="state_dict"),
        ):
            run.load_state_dict(None)  # type: ignore[arg-type]

    @pytest.mark.parametrize("step", [-1, 1.5, "3", None])
    def test_a_step_that_is_none_is_refused(self, root: Path, step: Any) -> None:
        """As in a log call; steps go on as before."""
        with unitrack.start_run("a", sinks=["local"], root=root, delivery="inline") as run:
            with pytest.raises((TypeError, ValueError), match="step"):
                run.load_state_dict({"run_id": run.id, "step": step})
            run.log_metric("a", 1)
        assert steps(run) == [0]
        with pytest.raises(RuntimeError, match="has finished"):
            run.load_state_dict(run.state_dict())

    def test_a_run_that_does_nothing_has_one(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """So that the training loop needs no case for it."""
        monkeypatch.setenv("UNITRACK_MODE", "disabled")
        run = unitrack.start_run("a", root=root)
        state = run.state_dict()
        assert (state["run_id"], state["step"]) == (run.id, 0)
        run.load_state_dict({})


class Optimizer(enum.Enum):
    """For a param that is no JSON value."""

    ADAM = "adam"


class TestParams:
    """Logging params again."""

    def test_the_same_value_is_a_no_op(self, root: Path) -> None:
        """However deep; only what is new or changed is in the journal."""
        params = {"lr": 0.1, "model": {"depth": 4, "sizes": [1, 2]}, "optimizer": Optimizer.ADAM, "none": None}
        with unitrack.start_run("a", sinks=[{"probe": {"out": str(root / "a")}}], root=root, delivery="inline") as run:
            run.log_params(params)
            run.log_params(params)
            run.log_params({"model": {"depth": 4}})
            run.log_param("lr", 0.1)
            run.log_params({"model": {"depth": 5, "sizes": [1, 2]}, "none": None, "new": 1})
        assert [record["params"] for record in stored(root / "a")] == [
            {**params, "optimizer": "adam"},
            {"model": {"depth": 5}, "new": 1},
        ]

    @pytest.mark.parametrize("delivery", ["inline", "process"])
    def test_a_changed_value_is_kept_with_its_history(self, root: Path, delivery: Any) -> None:
        """The last one holds; each change is a line of its own, across a resume as well."""
        with unitrack.start_run("a", sinks=["local"], root=root, delivery=delivery, run_id="r") as run:
            run.log_params({"lr": 0.1, "model": {"depth": 4}})
            run.log_params({"lr": 0.2, "model": {"depth": 4, "width": 8}})
            run.log_params({"lr": 0.1})
        with unitrack.start_run(run_id="r", resume="must", sinks=["local"], root=root, delivery=delivery) as run:
            run.log_params({"lr": 0.1, "model": {"depth": 6}})
            run.log_params({"model": "large"})
        assert run.finish().ok
        assert json.loads((run.path / "params.json").read_text()) == {"lr": 0.1, "model": "large"}
        assert history(run.path) == [
            ("lr", 0.1, 0.2),
            ("lr", 0.2, 0.1),
            ("model.depth", 4, 6),
            ("model", {"depth": 6, "width": 8}, "large"),
        ]

    def test_without_a_change_there_is_no_history(self, root: Path) -> None:
        """No file for nothing."""
        with unitrack.start_run("a", sinks=["local"], root=root, delivery="inline", params={"a": 1}) as run:
            run.log_params({"a": 1, "b": {}})
        assert not (run.path / "params_history.jsonl").exists()

    def test_a_change_that_comes_again_is_there_once(self, root: Path) -> None:
        """As after a crash between the files and the commit."""
        bench = Bench(root)
        spec = LaneSpec.of("local", installed().backend("local"), installed().backend("local").options())
        bench.serve(spec)

        def deliver() -> None:
            lane = Lane(bench.folder, spec)
            assert lane.acquire()
            assert settle(lane) is Progress.IDLE
            lane.release()

        ledger = bench.folder.ledger_file("local")
        commits: list[bytes | None] = [None]
        for value in (1, 2, 1):
            bench.append(Params(seq=0, time=now(), params={"a": {"b.c": value}}))
            deliver()
            commits.append(ledger.read_bytes())
        bench.append(Params(seq=0, time=now(), params={"a": {"b.c": 3}, "new": 1}))
        deliver()
        for commit in commits:  # each is what a crash may have left as the last one
            if commit is None:
                ledger.unlink()
            else:
                ledger.write_bytes(commit)
            deliver()
            assert history(bench.folder.path) == [("a.b.c", 1, 2), ("a.b.c", 2, 1), ("a.b.c", 1, 3)]
            assert json.loads((bench.folder.path / "params.json").read_text()) == {"a": {"b.c": 3}, "new": 1}

    @pytest.mark.parametrize(
        ("known", "params", "changed"),
        [
            ({}, {"a": {}}, {"a": {}}),
            ({"a": {"b": 1}}, {"a": {}}, {}),
            ({"a": 1}, {"a": True}, {"a": True}),
            ({"a": 1}, {"a": 1.0}, {"a": 1.0}),
            ({"a": None}, {"a": None}, {}),
            ({"a": [1, {"b": 2}]}, {"a": [1, {"b": 2}]}, {}),
            ({"a": 1}, {"a": {"b": 1}}, {"a": {"b": 1}}),
            ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}, {"a": {"c": 3}}),
        ],
    )
    def test_changed_params(self, known: dict[str, Any], params: dict[str, Any], changed: dict[str, Any]) -> None:
        """A value of another type is another value; what did not change is merged back in."""
        assert repr(changed_params(known, params)) == repr(changed)
        assert changed_params(merge(known, changed), params) == {}


@pytest.mark.parametrize("session", ["that of before", None, "this one"])
def test_the_trouble_of_an_earlier_session_is_forgotten_by_who_delivers(root: Path, session: str | None) -> None:
    """A courier that still drained when a run was taken up had its ledger overwritten, offsets included."""
    bench = Bench(root)
    bench.points(1.0)
    owner = bench.manifest.owner.writer
    of = owner if session == "this one" else session
    file = bench.folder.ledger_file("a")
    change_ledger(bench.folder, "a", state="parked", attempts=3, last_error="wrong key", session=of)
    assert Ledger.load(file).is_parked(owner) == (session != "that of before")
    lane = bench.lane()
    lane.release()
    assert Ledger.load(file).state == ("parked" if session == "this one" else "pending")


def test_taking_a_run_up_writes_no_ledger(root: Path) -> None:
    with unitrack.start_run("a", run_id="r", sinks=["local"], root=root, delivery="inline") as run:
        run.log_metric("loss", 1)
    ledger = LockedLedger(RunFolder(run.path), "local")
    assert ledger.acquire()  # a courier that still delivers
    ledger.update(state="parked", attempts=3, session="before")
    assert ledger.save()
    file = RunFolder(run.path).ledger_file("local")
    before = file.read_bytes()
    again = unitrack.start_run(run_id="r", resume="must", sinks=["local"], root=root, delivery="inline")
    assert file.read_bytes() == before
    ledger.release()
    assert again.finish().ok


class TestAuto:
    """`resume="auto"`, as in jobs that are started again after a crash, by hand or by a script."""

    @staticmethod
    def start(name: str | None = "a", **arguments: Any) -> unitrack.Run:
        return unitrack.start_run(name, sinks="local", delivery="inline", resume="auto", **arguments)

    def test_without_an_earlier_run_it_is_a_new_one(self, root: Path) -> None:
        self.start().finish()
        assert len(unitrack.runs()) == 1

    @pytest.mark.parametrize("status", ["failed", "killed"])
    def test_a_run_that_failed_is_gone_on_with(self, root: Path, status: Any) -> None:
        first = self.start()
        first.log_metrics({"loss": 1.0}, step=4)
        first.finish(status)
        with self.start() as again:
            assert again.id == first.id
            again.log_metrics({"loss": 0.5})
        assert steps(again) == [4, 5]
        assert [run.status for run in unitrack.runs()] == ["finished"]

    @pytest.mark.parametrize("status", ["finished", "pruned"])
    def test_a_run_that_ended_well_is_left_alone(self, root: Path, status: Any) -> None:
        first = self.start()
        first.finish(status)
        with self.start() as second:
            assert second.id != first.id

    def test_only_the_last_run_of_the_name_and_the_project_counts(self, root: Path) -> None:
        failed = self.start("a", project="p")
        failed.finish("failed")
        assert self.start("b", project="p").finish().ok
        assert self.start("a", project="q").finish().ok
        with self.start("a", project="p") as again:
            assert again.id == failed.id
        with self.start("a", project="p") as new:
            assert new.id != failed.id  # the last one has finished

    def test_without_a_name_the_last_of_the_project_counts(self, root: Path) -> None:
        failed = self.start("b", project="p")
        failed.finish("failed")
        with self.start(None, project="p") as again:
            assert again.id == failed.id

    def test_a_run_that_is_open_is_left_alone(self, root: Path) -> None:
        with self.start() as first:
            second = self.start()
            assert second.id != first.id
            second.finish()

    def test_what_a_dead_process_left(self, root: Path) -> None:
        """Nothing of it was delivered, and nobody wrote how it ended."""
        code = (
            "import os, unitrack\n"
            "run = unitrack.start_run('a', sinks=['local'], delivery='thread')\n"
            "run.log_metrics({'loss': 1.0}, step=7)\nprint(run.id, flush=True)\nos.kill(os.getpid(), 9)"
        )
        dead = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
        with self.start(project=root.name) as again:
            assert again.id == dead.stdout.strip()
            again.log_metrics({"loss": 0.5})
        assert steps(again) == [7, 8]

    def test_with_an_id_it_is_allow(self, root: Path) -> None:
        with self.start(run_id="r1") as first:
            pass
        with self.start(run_id="r1") as again:
            assert again.id == first.id == "r1"


@pytest.mark.parametrize("is_delivered", [True, False])
def test_the_params_of_earlier_sessions_can_be_read(root: Path, is_delivered: bool) -> None:
    """From the local files, or from the journal of a run that was killed before a sink had it."""
    end = "run.finish()" if is_delivered else "os.kill(os.getpid(), 9)"
    code = (
        "import os, unitrack\nparams = {'lr': 0.1, 'model': {'depth': 4, 'width': 8}}\n"
        "run = unitrack.start_run('a', sinks=['local'], delivery='thread', run_id='r1', params=params)\n" + end
    )
    subprocess.run([sys.executable, "-c", code], timeout=60, check=is_delivered)
    params = {"model": {"depth": 5}}
    again = unitrack.start_run(run_id="r1", resume="must", params=params, sinks=["local"], delivery="inline")
    assert again.config["lr"] == 0.1
    assert again.config.model == {"depth": 5, "width": 8}
    again.config.setdefaults({"lr": 0.5, "seed": 1})
    assert (again.config.lr, again.config.seed) == (0.1, 1)
    again.finish()
