"""The start of a run: its name and folder, what is refused, and going on with an earlier run."""

from __future__ import annotations

import json
import random
import re
import threading
from pathlib import Path
from typing import Any

import pytest
from unitrack_tests.local_files import MODES, Mode, gone, logged, metadata, records

import unitrack
from unitrack.errors import (
    ConfigError,
    InvalidTypeError,
    RunExistsError,
)
from unitrack.records import Artifact, Params, RunEnd
from unitrack.values.run_names import is_made_up

NAMES = {
    "../../escape": "_.._escape",
    "/etc/passwd": "_etc_passwd",
    "a/b\\c": "a_b_c",
    "🙂": "_",
    ".hidden": "hidden",
    "..": "run",
    "x" * 300: "x" * 200,
    "日" * 100: None,
    "a\nb": None,
    "con:nul|?*": None,
}


@pytest.mark.parametrize("name", NAMES)
def test_a_run_of_any_name_stays_in_its_root(root: Path, name: str) -> None:
    """The name is kept as it is; the folder is one level below the root, and nothing else is written."""
    with unitrack.start_run(name, delivery="inline", root=root / "runs") as run:
        run.log_metric("loss", 1)
    assert run.name == name
    assert run.path.parent == root / "runs"
    assert metadata(run)["run_name"] == name
    if NAMES[name]:
        assert run.path.name == NAMES[name]
    assert [path.name for path in root.iterdir()] == ["runs"]
    with unitrack.start_run(name, delivery="inline", root=root / "runs") as second:
        assert second.path == run.path.with_name(f"{run.path.name}-2")


def test_an_empty_run_name_is_a_configuration_error(root: Path) -> None:
    """Not a folder called nothing."""
    with pytest.raises(ConfigError, match="name"):
        unitrack.start_run("", root=root)
    assert list(root.iterdir()) == []


def test_a_run_without_a_name_is_called_by_two_words(root: Path) -> None:
    """People can say and remember them; they take nothing from the numbers that training draws."""
    random.seed(1)
    expected = random.random()
    random.seed(1)
    with unitrack.start_run(delivery="inline", root=root) as run:
        assert re.fullmatch("[a-z]+-[a-z]+", run.name)
        assert is_made_up(run.name)
        assert run.path.name == run.name
    assert random.random() == expected


def test_runs_of_one_name_never_share_a_folder(root: Path) -> None:
    """Also when threads start them at once."""
    started: list[unitrack.Run] = []

    def start() -> None:
        with unitrack.start_run("same", delivery="inline", root=root) as run:
            run.log_metric("loss", len(run.id))
            started.append(run)

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({run.path for run in started}) == 8
    assert len({run.id for run in started}) == 8
    assert all(len(logged(run)) == 1 for run in started)


class TestErrorsOfStartRun:
    """A configuration error raises in the caller, says what to do, and leaves nothing behind."""

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            ({"sinks": ["lokal"]}, "did you mean 'local'"),
            ({"sinks": [{"local": {"paht": 1}}]}, "'paht'"),
            ({"sinks": []}, "sinks"),
            ({"sinks": 5}, "sinks: expected names of backends, or a mapping of options by name, got 5"),
            ({"sinks": {}}, "expected a list, not empty"),
            ({"sinks": "lokal"}, "did you mean 'local'"),
            ({"sinks": [{"probe": {"out": 5}}]}, "out"),
            ({"sinks": [{"probe": {"outt": "x"}}]}, "did you mean 'out'"),
            ({"delivery": "proces"}, "delivery"),
            ({"resume": "maybe"}, "resume"),
            ({"resume": "must"}, "run_id"),
            ({"run_id": "a/b"}, "run_id"),
            ({"run_id": "x" * 65}, "run_id"),
            ({"project": ""}, "project"),
            ({"config": {"traking": {}}}, "tracking"),
            ({"config": "missing.yaml"}, "missing.yaml"),
        ],
    )
    def test_bad_arguments(self, root: Path, arguments: dict[str, Any], says: str) -> None:
        """Each names the culprit."""
        with pytest.raises(ConfigError, match=says):
            unitrack.start_run("a", **{"root": root / "runs", **arguments})
        assert list(root.iterdir()) == []

    def test_a_root_that_is_a_file(self, root: Path) -> None:
        """With the way out."""
        (root / "file").write_text("x")
        for bad in (root / "file", root / "file" / "below", Path("/proc/nothing")):
            with pytest.raises(ConfigError, match="UNITRACK_ROOT"):
                unitrack.start_run("a", root=bad)

    def test_bad_params_end_the_run_that_was_begun(self, root: Path) -> None:
        """It is failed at once, and not left open to the end of the process."""
        from unitrack.run import lifecycle

        with pytest.raises(InvalidTypeError):
            unitrack.start_run("a", params=[1], delivery="inline", root=root)
        assert lifecycle.live.runs == []
        assert json.loads((root / "a" / "metadata.json").read_text())["status"] == "failed"

    def test_resume_rules(self, root: Path) -> None:
        """`never` wants a new id, `must` an old one, `allow` takes either."""
        with pytest.raises(RunExistsError, match="no run 'r1'"):
            unitrack.start_run("a", run_id="r1", resume="must", root=root)
        with unitrack.start_run("a", run_id="r1", resume="allow", delivery="inline", root=root):
            pass
        with pytest.raises(RunExistsError, match="resume='allow'"):
            unitrack.start_run("a", run_id="r1", root=root)
        with unitrack.start_run("b", run_id="r1", resume="must", delivery="inline", root=root) as run:
            assert run.name == "a"

    def test_an_open_run_is_not_taken_up(self, root: Path) -> None:
        """Two handles would end each other's run."""
        with unitrack.start_run("a", run_id="r1", delivery="inline", root=root) as run:
            with pytest.raises(RunExistsError, match="r1"):
                unitrack.start_run("a", run_id="r1", resume="allow", delivery="inline", root=root)
            run.log_metric("loss", 1)
        assert run.finish().ok

    def test_a_damaged_neighbour_does_not_matter(self, root: Path) -> None:
        """A folder whose manifest can't be read is not the run that was asked for."""
        (root / "broken" / ".unitrack").mkdir(parents=True)
        (root / "broken" / ".unitrack" / "run.json").write_text("{")
        with unitrack.start_run("a", run_id="r1", delivery="inline", root=root):
            pass
        with unitrack.start_run("a", run_id="r1", resume="must", delivery="inline", root=root):
            pass


@pytest.mark.parametrize("delivery", MODES)
def test_a_run_goes_on_where_it_ended(root: Path, delivery: Mode) -> None:
    """Points and params are added, the status is that of the last end, steps follow the highest."""
    with unitrack.start_run("a", run_id="r1", delivery=delivery, root=root) as first:
        first.log_metrics({"loss": 1}, step=0)
        first.log_metrics({"loss": 2}, step=7)
        first.log_params({"a": 1})
        first.log_text("one", "one.txt")
    for number in range(2):
        with unitrack.start_run(run_id="r1", resume="must", delivery=delivery, root=root) as run:
            assert run.path == first.path
            run.log_metric("loss", 3 + number)
            run.log_params({"b": 2})
        assert run.finish().ok
    assert logged(run) == [(0, {"loss": 1}), (7, {"loss": 2}), (8, {"loss": 3}), (9, {"loss": 4})]
    assert records(run, Params)[0].params == {"a": 1, "b": 2}
    assert [artifact.name for artifact in records(run, Artifact)] == ["one.txt"]
    assert [end.status for end in records(run, RunEnd)] == ["finished"]
    assert gone(run.path / ".spool")


def test_two_sinks_that_would_write_the_same_files_are_refused(root: Path) -> None:
    """Local files can be in a run only once; the message names both sinks."""
    with pytest.raises(unitrack.ConfigError, match="'local' and 'copy'"):
        unitrack.start_run("a", sinks=["local", {"local": {"name": "copy"}}], root=root)
    assert not any(root.iterdir())
