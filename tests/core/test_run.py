"""The handle of a run, end to end: what was logged is what the local files hold, in all three modes of delivery."""

from __future__ import annotations

import contextlib
import json
import math
import os
import threading
import time
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import unitrack
from unitrack.errors import (
    ArtifactNotFoundError,
    ConfigError,
    InvalidTypeError,
    InvalidValueError,
    RunExistsError,
    RunFinishedError,
)
from unitrack.local import LocalSource
from unitrack.records import Artifact, Metrics, Params, RunEnd
from unitrack.runfolder import RunFolder

Mode = Literal["process", "thread", "inline"]
MODES: list[Mode] = ["inline", "thread", "process"]


def records(run: unitrack.Run, kind: type) -> list[Any]:
    """What the local files hold of one kind."""
    return [record for record in LocalSource(str(run.path)).records(run.path.name) if isinstance(record, kind)]


def logged(run: unitrack.Run) -> list[tuple[int, dict[str, float]]]:
    """The points in the local files."""
    return [(record.step, record.values()) for record in records(run, Metrics)]


def gone(path: Path) -> bool:
    """Whether a path goes within a few seconds: a courier tidies up after it has reported the end."""
    deadline = time.monotonic() + 5
    while path.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    return not path.exists()


def metadata(run: unitrack.Run) -> dict[str, Any]:
    """What metadata.json holds."""
    return json.loads((run.path / "metadata.json").read_text())


@pytest.mark.parametrize("delivery", MODES)
def test_everything_that_is_logged_is_in_the_local_files(root: Path, delivery: Mode) -> None:
    """Each public method once, read back from the local files."""
    (root / "model.pt").write_bytes(b"weights")
    (root / "folder" / "sub").mkdir(parents=True)
    (root / "folder" / "sub" / "a.txt").write_text("a")
    with unitrack.start_run(
        "everything",
        project="tests",
        sinks=["local"],
        tags={"team": "vision"},
        description="all of it",
        params={"seed": 1},
        delivery=delivery,
        root=root / "runs",
    ) as run:
        assert str(run) == run.id
        assert run.id in repr(run)
        assert (run.name, run.project, run.path) == ("everything", "tests", root / "runs" / "everything")
        run.log_params({"model": {"depth": 4}, "lr": 0.1})
        run.log_param("lr", 0.2)
        run.log_metrics({"loss": 0.5, "acc": 1})
        run.log_metrics({"loss": 0.25}, step=10)
        run.log_metric("loss", np.float32(0.125))
        run.log_metrics({"loss": 1e-300}, step=3)
        run.set_tags({"stage": "late", "n": 1})
        run.log_artifact("model.pt")
        run.log_artifact(root / "model.pt", "weights/best.pt")
        run.log_artifact("model.pt", "checkpoints/")
        run.log_artifact("folder")
        run.log_artifacts("folder", "flat")
        run.log_text("hello", "notes/hello.txt")
        run.log_dict({"a": [1, 2]}, "d.json")
        run.log_dict({"a": [1, 2]}, "d.yaml")
        run.log_image(np.zeros((4, 4, 3), dtype=np.uint8), "black.png", step=7)
        run.log_model("model.pt")
        run.log_environment()
        report = run.flush()
        assert report["local"].pending == 0
        assert run.links()["local"].location == str(root / "runs")
    report = run.finish()
    assert report.ok
    assert report["local"].state == "complete"
    assert logged(run) == [
        (0, {"loss": 0.5, "acc": 1.0}),
        (10, {"loss": 0.25}),
        (11, {"loss": 0.125}),
        (3, {"loss": 1e-300}),
    ]
    params = json.loads((run.path / "params.json").read_text())
    assert (params["seed"], params["model"], params["lr"]) == (1, {"depth": 4}, 0.2)
    assert params["python_version"]
    meta = metadata(run)
    assert (meta["run_name"], meta["status"], meta["run_id"]) == ("everything", "completed", run.id)
    assert meta["tags"] == {"team": "vision", "stage": "late", "n": "1"}
    artifacts = {
        path.relative_to(run.path / "artifacts").as_posix(): path.read_bytes()
        for path in (run.path / "artifacts").rglob("*")
        if path.is_file()
    }
    assert artifacts.pop("black-7.png").startswith(b"\x89PNG")
    assert json.loads(artifacts.pop("d.json")) == {"a": [1, 2]}
    assert artifacts == {
        "model.pt": b"weights",
        "weights/best.pt": b"weights",
        "checkpoints/model.pt": b"weights",
        "folder/sub/a.txt": b"a",
        "flat/sub/a.txt": b"a",
        "notes/hello.txt": b"hello",
        "d.yaml": b"a:\n- 1\n- 2\n",
        "model/model.pt": b"weights",
    }
    assert gone(run.path / ".spool")
    assert sorted(path.name for path in root.iterdir()) == ["folder", "model.pt", "runs"]


def test_the_copy_of_an_artifact_is_that_of_the_call(root: Path) -> None:
    """What training writes into the file afterwards is not logged."""
    with unitrack.start_run("a", delivery="thread", root=root / "runs") as run:
        for version in range(5):
            (root / "model.pt").write_text(str(version))
            run.log_artifact("model.pt", f"v{version}.pt")
        (root / "model.pt").write_text("later")
    assert [(run.path / "artifacts" / f"v{v}.pt").read_text() for v in range(5)] == list("01234")


def test_an_artifact_logged_twice_is_the_last_one(root: Path) -> None:
    """Files and folders replace each other, whichever came first."""
    (root / "file").write_text("file")
    (root / "folder").mkdir()
    (root / "folder" / "x").write_text("x")
    with unitrack.start_run("a", delivery="inline", root=root / "runs") as run:
        run.log_text("1", "a.txt")
        run.log_text("2", "a.txt")
        run.log_artifact("folder", "swap")
        run.log_artifact("file", "swap")
        run.log_artifact("file", "other")
        run.log_artifact("folder", "other")
        assert run.flush().ok
    artifacts = run.path / "artifacts"
    assert (artifacts / "a.txt").read_text() == "2"
    assert (artifacts / "swap").read_text() == "file"
    assert (artifacts / "other" / "x").read_text() == "x"
    assert metadata(run)["status"] == "completed"


def test_an_artifact_below_another_ones_file_costs_only_itself(root: Path) -> None:
    """No file system holds both "a" and "a/b": the second is a dead letter, the run goes on."""
    run = unitrack.start_run("a", delivery="inline", root=root / "runs")
    run.log_text("1", "a")
    run.log_text("2", "a/b")
    run.log_metric("loss", 1)
    with pytest.warns(unitrack.DeliveryWarning, match="1 dead-lettered"):
        report = run.finish()
    assert (report["local"].state, report["local"].dead_lettered) == ("complete", 1)
    assert logged(run) == [(0, {"loss": 1.0})]


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


def test_a_run_without_a_name_is_called_by_its_time(root: Path) -> None:
    """To the second."""
    with unitrack.start_run(delivery="inline", root=root) as run:
        assert run.name.startswith("run_20")


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


def test_names_of_artifacts_that_leave_the_run_write_nothing(root: Path) -> None:
    """By any method, neither in the run nor outside of it, and nothing is left in the spool."""
    (root / "file").write_text("x")
    with unitrack.start_run("a", delivery="inline", root=root / "runs") as run:
        for name in ("../x", "/tmp/x", "..", "a/../../x", "\\x", "", "a\0b"):
            for log in (
                lambda name=name: run.log_text("t", name),
                lambda name=name: run.log_dict({}, name),
                lambda name=name: run.log_image(np.zeros((2, 2), np.uint8), (name or "..") + "/x.png"),
                lambda name=name: run.log_artifact("file", name or "../"),
                lambda name=name: run.log_model("file", name or ".."),
            ):
                with pytest.raises(InvalidValueError, match=r"artifact path|image format"):
                    log()
        staged = list((run.path / ".spool").rglob("files/*/*"))
        assert staged == []
    assert sorted(path.name for path in root.iterdir()) == ["file", "runs"]


def test_a_run_ends_as_nothing_else(root: Path) -> None:
    """The status is checked before it is written, and the run is open as before."""
    run = unitrack.start_run("a", sinks=["local"], delivery="inline", root=root)
    with pytest.raises(ValueError, match="'done'"):
        run.finish("done")  # type: ignore[arg-type]
    run.log_metric("loss", 1)
    assert run.finish("killed").ok
    assert json.loads((run.path / "metadata.json").read_text())["status"] == "killed"


def test_a_page_is_a_text_or_a_path(root: Path) -> None:
    """Anything else is told so, by name."""
    with unitrack.start_run("a", sinks=["local"], delivery="inline", root=root) as run:
        with pytest.raises(TypeError, match="log_html"):
            run.log_html(3, "page")  # type: ignore[arg-type]
        run.log_html("<p>", "page")
    assert (run.path / "artifacts" / "page.html").read_text() == "<p>"


def test_texts_larger_than_allowed_leave_nothing_behind(root: Path) -> None:
    """The limit holds for what is made as well as for what is copied."""
    with unitrack.start_run(
        "a", config={"safeguards": {"max_artifact_bytes": 10}}, delivery="inline", root=root
    ) as run:
        run.log_text("x" * 10, "ok.txt")
        with pytest.raises(InvalidValueError, match="too large"):
            run.log_text("x" * 11, "big.txt")
        assert [path.name for path in (run.path / ".spool").rglob("files/*/*")] == ["ok.txt"]


def test_missing_artifacts_are_file_not_found(root: Path) -> None:
    """Whichever method was asked."""
    with unitrack.start_run("a", delivery="inline", root=root) as run:
        for log in (run.log_artifact, run.log_artifacts, run.log_model):
            with pytest.raises(ArtifactNotFoundError, match=r"missing\.pt"):
                log("missing.pt")
        with pytest.raises(ArtifactNotFoundError, match=r"missing\.png"):
            run.log_image("missing.png", "x.png")
        (root / "file").write_text("x")
        with pytest.raises(InvalidValueError, match="log_artifact"):
            run.log_artifacts(root / "file")


def test_the_working_directory_can_be_logged(root: Path) -> None:
    """`.` has a name too."""
    work = root / "work"
    work.mkdir()
    (work / "a.txt").write_text("a")
    with unitrack.start_run("a", delivery="inline", root=root / "runs") as run:
        os.chdir(work)
        run.log_artifact(".")
        run.log_artifacts(".")
    artifacts = run.path / "artifacts"
    assert sorted(path.relative_to(artifacts).as_posix() for path in artifacts.rglob("*.txt")) == [
        "a.txt",
        "work/a.txt",
    ]


def test_finishing_twice_gives_the_same_report(root: Path) -> None:
    """And leaving the block afterwards changes nothing."""
    with unitrack.start_run("a", delivery="inline", root=root) as run:
        run.log_metric("loss", 1)
        first = run.finish("failed")
    assert run.finish() is first
    assert run.flush() is first
    assert metadata(run)["status"] == "failed"


def test_logging_after_the_end_says_so(root: Path) -> None:
    """Every method, with the way to go on."""
    (root / "file").write_text("x")
    run = unitrack.start_run("a", delivery="inline", root=root / "runs")
    run.finish()
    for log in (
        lambda: run.log_metric("loss", 1),
        lambda: run.log_metrics({"loss": math.nan}),
        lambda: run.log_param("a", 1),
        lambda: run.set_tags({"a": 1}),
        lambda: run.log_artifact("file"),
        lambda: run.log_text("a", "b"),
        lambda: run.log_dict({}, "b"),
        lambda: run.log_model("file"),
        lambda: run.log_image(np.zeros((2, 2), np.uint8), "a.png"),
    ):
        with pytest.raises(RunFinishedError, match="has finished; start another") as caught:
            log()
        assert isinstance(caught.value, RuntimeError)


def test_a_thread_that_logs_while_the_run_finishes_gets_a_clear_answer(root: Path) -> None:
    """Each call either returned and is in the files, or said that the run has finished."""
    run = unitrack.start_run("a", delivery="thread", root=root)
    returned: list[int] = []
    errors: list[BaseException] = []

    def work() -> None:
        for step in range(1_000_000):
            try:
                run.log_metrics({"loss": 1.0}, step=step)
            except BaseException as error:
                errors.append(error)
                return
            returned.append(step)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    while len(returned) < 50:
        pass
    assert run.finish().ok
    for thread in threads:
        thread.join()
    assert [type(error) for error in errors] == [RunFinishedError] * 2
    assert sorted(step for step, _ in logged(run)) == sorted(returned)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ValueError("x"), "failed"),
        (KeyboardInterrupt(), "killed"),
        (SystemExit(1), "failed"),
        (SystemExit("message"), "failed"),
        (SystemExit(0), "completed"),
        (SystemExit(), "completed"),
        (GeneratorExit(), "failed"),
    ],
)
def test_leaving_the_block_tells_how_the_run_ended(root: Path, error: BaseException, status: str) -> None:
    """And the exception goes on its way."""
    run = unitrack.start_run("a", delivery="inline", root=root)

    def train() -> None:
        with run:
            run.log_metric("loss", 1)
            raise error

    with pytest.raises(type(error)):
        train()
    assert metadata(run)["status"] == status
    assert len(logged(run)) == 1


def test_steps_without_a_number_follow_the_highest(root: Path) -> None:
    """Whatever came before, in any order."""
    with unitrack.start_run("a", delivery="inline", root=root) as run:
        for step in (None, None, 10, None, 5, None, 2**63 - 1):
            run.log_metric("loss", 1, step=step)
        with pytest.raises(InvalidValueError, match="step"):
            run.log_metric("loss", 1)
    assert [step for step, _ in logged(run)] == [0, 1, 10, 11, 5, 12, 2**63 - 1]


def test_a_dropped_nan_still_takes_its_step(root: Path) -> None:
    """Else all later points of a run without step numbers would be one too early."""
    config = {"safeguards": {"non_finite": "drop"}}
    with unitrack.start_run("a", config=config, delivery="inline", root=root) as run:
        for value in (1.0, math.nan, 3.0):
            run.log_metric("loss", value)
    assert logged(run) == [(0, {"loss": 1.0}), (2, {"loss": 3.0})]


def test_keep_rest_logs_the_rest_and_raises(root: Path) -> None:
    """The caller hears of the bad one after the good ones are safe."""
    config = {"safeguards": {"on_invalid": "keep_rest"}}
    with unitrack.start_run("a", config=config, delivery="inline", root=root) as run:
        with pytest.raises(InvalidTypeError, match="'bad'"):
            run.log_metrics({"good": 1, "bad": "x"})
        run.log_metrics({"good": 2})
    assert logged(run) == [(0, {"good": 1.0}), (1, {"good": 2.0})]


def test_nan_and_infinity_reach_the_files(root: Path) -> None:
    """With `keep`, as Python's json module writes and reads them."""
    config = {"safeguards": {"non_finite": "keep"}}
    with unitrack.start_run("a", config=config, delivery="inline", root=root) as run:
        run.log_metrics({"a": math.nan, "b": math.inf, "c": -math.inf, "d": 1})
    line = json.loads((run.path / "metrics.jsonl").read_text())
    assert math.isnan(line["metrics"].pop("a"))
    assert line["metrics"] == {"b": math.inf, "c": -math.inf, "d": 1}


values = st.one_of(
    st.floats(),
    st.integers(),
    st.booleans(),
    st.none(),
    st.text(max_size=3),
    st.floats(width=32).map(np.float32),
    st.integers(-128, 127).map(np.int8),
    st.booleans().map(np.bool_),
    st.just(np.zeros(2)),
    st.floats().map(np.array),
)
names = st.text(max_size=3) | st.sampled_from(["loss", "acc"])
steps = st.none() | st.integers(-1, 2**63) | st.floats() | st.booleans() | st.integers(0, 100).map(np.int64)
calls_of_a_run = st.lists(st.tuples(st.dictionaries(names, values, max_size=4), steps), max_size=12)


@pytest.fixture(scope="module")
def fast_and_slow(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A way to run the same calls on the fast path and on the slow one."""

    def outcome(calls: list[Any], *, fast: bool, policy: str, rest: str) -> tuple[list[Any], list[Any]]:
        root = tmp_path_factory.mktemp("runs")
        config = {"safeguards": {"non_finite": policy, "on_invalid": rest, "max_points_per_metric": 4}}
        run = unitrack.start_run("a", config=config, delivery="inline", root=root)
        run._has_fast_path = fast
        answers: list[Any] = []
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for metrics, step in calls:
                try:
                    answers.append(run.log_metrics(metrics, step))
                except unitrack.UnitrackError as error:
                    answers.append((type(error), str(error)))
        run.finish()
        return answers, [(step, {k: (v, str(v)) if v == v else "nan" for k, v in m.items()}) for step, m in logged(run)]

    return outcome


@given(
    calls=calls_of_a_run,
    policy=st.sampled_from(["raise", "warn", "drop", "keep"]),
    rest=st.sampled_from(["reject", "keep_rest"]),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_fast_path_agrees_with_the_slow_one(fast_and_slow: Any, calls: list[Any], policy: str, rest: str) -> None:
    """Same answers, same files, whatever is logged."""
    fast = fast_and_slow(calls, fast=True, policy=policy, rest=rest)
    slow = fast_and_slow(calls, fast=False, policy=policy, rest=rest)
    assert fast == slow


SECRET = "hunter2-canary"


@pytest.mark.parametrize("delivery", ["inline", "process"])
def test_no_secret_is_in_any_byte_of_the_run_folder(root: Path, delivery: Mode) -> None:
    """Wherever it came in; looked for in the spool while the run lasts, and in the files after it."""
    url = f"https://me:{SECRET}@host/x"
    key = f"sk-{SECRET}{SECRET}"

    def assert_clean() -> None:
        seen = 0
        for folder, _, files in os.walk(root):  # which doesn't mind that the courier tidies up meanwhile
            for file in files:
                with contextlib.suppress(FileNotFoundError):
                    assert SECRET.encode() not in Path(folder, file).read_bytes(), (folder, file)
                    seen += 1
        assert seen > 5

    sinks = ["local", {"probe": {"out": str(root / "probe"), "troubles": []}}]
    with unitrack.start_run(
        "a", sinks=sinks, project="p", tags={"api_key": SECRET, "url": url}, description=f"see {url}",
        params={"db": {"password": SECRET}}, delivery=delivery, root=root / "runs",
        config={"safeguards": {"redact": ["*_pin"]}, "artifacts": {"save_config": True}},
    ) as run:  # fmt: skip
        run.log_params({"url": url, "keys": [key], "token": SECRET, "door_pin": SECRET, "n": {"secret": [SECRET]}})
        run.log_param("github_token", SECRET)
        run.set_tags({"password": SECRET, "x": key})
        run.log_text(f"the key is {key} at {url}", "a.txt")
        run.log_dict({"password": SECRET, "door_pin": SECRET, "l": [url]}, "a.json")
        run.log_dict({"password": SECRET}, "a.yaml")
        run.flush()
        assert_clean()
    assert_clean()


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
        from unitrack import lifecycle

        with pytest.raises(InvalidTypeError):
            unitrack.start_run("a", params=[1], delivery="inline", root=root)
        assert lifecycle._live == []
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


def test_disabled_leaves_no_trace(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every call works, nothing is written, nothing is checked."""
    monkeypatch.setenv("UNITRACK_MODE", "disabled")
    with unitrack.start_run("a", sinks=["local"], root=root / "runs") as run:
        run.log_metrics({"loss": "no number"})
        run.log_metric("loss", math.nan, step=-1)
        run.log_params(5)
        run.log_param("a", object())
        run.set_tags({})
        run.log_artifact("missing")
        run.log_artifacts("missing")
        run.log_text("a", "../b")
        run.log_dict({}, "")
        run.log_figure(None, "")
        run.log_image(None, "")
        run.log_model(None)
        run.log_environment()
        assert run.links() == {}
        assert run.flush().ok
        assert run.name == "a"
        assert run.id
        assert repr(run)
        (run.path / "plots").mkdir()  # training may write there, and elsewhere than in the root
        run.log({"loss": "no number", "image": object()})
        run.define_metric("")
        run.config["lr"] = 0.1
        run.summary["best"] = 0.5
        assert (run.config["lr"], run.summary["best"]) == (0.1, 0.5)
        assert unitrack.current_run() is run
    assert run.finish().ok
    assert unitrack.current_run() is not run
    assert list(root.iterdir()) == []
    tracker = unitrack.Tracker({"tracking": {"root": str(root / "t")}})
    tracker.start_run("x")
    tracker.log_metrics({"a": 1})
    tracker.end_run()
    assert list(root.iterdir()) == []


def test_the_manifest_is_readable_by_others(root: Path) -> None:
    """It names the run, its sinks and its owner."""
    with unitrack.start_run("a", delivery="inline", root=root) as run:
        manifest = RunFolder(run.path).read_manifest()
        assert manifest.run.run_id == run.id
        assert [sink.name for sink in manifest.sinks] == ["local"]
        assert manifest.owner.pid == os.getpid()
        assert manifest.owner.is_alive()


def test_two_sinks_that_would_write_the_same_files_are_refused(root: Path) -> None:
    """Local files can be in a run only once; the message names both sinks."""
    with pytest.raises(unitrack.ConfigError, match="'local' and 'copy'"):
        unitrack.start_run("a", sinks=["local", {"local": {"name": "copy"}}], root=root)
    assert not any(root.iterdir())
