"""Several runs in one process, several processes on one store, and what importing costs."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import msgspec
import pytest

from unitrack.hookspecs import RunContext
from unitrack.testing.driver import SinkDriver
from unitrack_mlflow import MlflowOptions, register_backends, stores

OpenSink = Callable[..., Any]


def test_four_runs_of_one_process_do_not_mix(open_sink: OpenSink, uri: str, tmp_path: Path) -> None:
    errors: list[BaseException] = []
    opened: dict[int, Any] = {}

    def deliver(number: int) -> None:
        try:
            run = SinkDriver.make_run(tmp_path / str(number), run_id=f"{tmp_path.name}-{number}", project=tmp_path.name)
            opened[number] = sink = open_sink(uri, run)
            for step in range(10):
                sink.driver.metrics({f"m{key}": float(number) for key in range(20)}, step=step)
            sink.driver.params({"number": number})
            sink.driver.artifact("number.txt", str(number).encode())
            sink.driver.end()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=deliver, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    assert len({sink.stored.info.experiment_id for sink in opened.values()}) == 1
    for number, sink in opened.items():
        data = sink.stored.data
        assert data.params == {"number": str(number)}
        assert data.metrics == {f"m{key}": float(number) for key in range(20)}
        assert len(sink.points("m7")) == 10


CREATE = """
import sys
from pathlib import Path
from unitrack_mlflow import new_database
print("ready", flush=True)
sys.stdin.readline()
new_database.ensure(Path(sys.argv[1]))
"""


def test_two_processes_may_create_one_database(tmp_path: Path, open_sink: OpenSink, run: RunContext) -> None:
    path = tmp_path / "new" / "mlflow.db"
    command = [sys.executable, "-c", CREATE, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tmp_path) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
        other.stdin.write("go\n")
        other.stdin.flush()
        opened = open_sink(f"sqlite:///{path}", run)
        opened.driver.metrics({"loss": 1.0}, step=0)
        other.communicate(timeout=100)
    assert other.returncode == 0
    assert len(opened.points("loss")) == 1
    assert [file.name for file in path.parent.iterdir()] == ["mlflow.db"]


def test_importing_the_plugin_imports_no_sdk() -> None:
    code = "import sys, unitrack_mlflow as u; u.register_backends(); print([m for m in sys.modules if 'mlflow' in m])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30).stdout
    assert "'unitrack_mlflow.options'" in found
    assert "'mlflow" not in found


def test_the_plugin_is_found_and_its_names_lead_somewhere() -> None:
    (point,) = entry_points(group="unitrack", name="mlflow")
    assert point.value == "unitrack_mlflow"
    (backend,) = register_backends()
    for reference in (backend.sink, backend.source, backend.check):
        assert reference is not None
        module, _, name = reference.partition(":")
        assert callable(getattr(__import__(module, fromlist=[name]), name))


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("sqlite:///mlflow.db", "sqlite:////start/mlflow.db"),
        ("sqlite:///sub/m.db?timeout=3", "sqlite:////start/sub/m.db?timeout=3"),
        ("sqlite:////abs/mlflow.db", "sqlite:////abs/mlflow.db"),
        ("runs.db", "sqlite:////start/runs.db"),
        ("mlruns", "/start/mlruns"),
        ("./my runs", "/start/my runs"),
        ("file:mlruns", "file:///start/mlruns"),
        ("file:///abs/mlruns", "file:///abs/mlruns"),
        ("a#b", "file:///start/a%23b"),
        ("http://host:5000", "http://host:5000"),
        ("postgresql://ada@host/db", "postgresql://ada@host/db"),
        ("databricks", "databricks"),
    ],
)
def test_relative_uris_count_from_where_training_started(uri: str, expected: str) -> None:
    options = MlflowOptions(tracking_uri=uri, artifact_location="files").anchored(Path("/start"))
    assert options.tracking_uri == expected
    assert options.artifact_location == "/start/files"
    assert options.anchored(Path("/elsewhere")) == options


def test_artifacts_of_a_new_experiment_lie_beside_the_database(
    open_sink: OpenSink, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    run = SinkDriver.make_run(tmp_path / "run", project="my/project #1")
    open_sink(database, run).driver.artifact("a.txt", b"a")
    assert list(elsewhere.iterdir()) == []
    assert len(list((tmp_path / "mlartifacts").rglob("a.txt"))) == 1

    other = SinkDriver.make_run(tmp_path / "run2", run_id="other", project="other")
    open_sink(database, other, artifact_location=str(tmp_path / "mine #1")).driver.artifact("b.txt", b"b")
    assert len(list((tmp_path / "mine #1").rglob("b.txt"))) == 1


def test_a_folder_store_with_an_odd_name_works(open_sink: OpenSink, tmp_path: Path) -> None:
    run = SinkDriver.make_run(tmp_path / "run")
    opened = open_sink(str(tmp_path / "my runs #1 50%"), run)
    opened.driver.metrics({"loss": 1.0}, step=0)
    opened.driver.artifact("a.txt", b"a")
    opened.driver.end()
    assert len(list((tmp_path / "my runs #1 50%").rglob("a.txt"))) == 1
    assert not (tmp_path / "my runs ").exists()


def test_options_are_checked() -> None:
    for wrong in ({"tracking_uri": ""}, {"request_timeout": 0}, {"experiment": "x" * 501}, {"uri": "x"}):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(wrong, MlflowOptions)


def test_a_password_is_left_out_of_what_is_shown() -> None:
    store = stores.describe("postgresql://ada:s3cret@host:5432/db")
    assert store.shareable == "postgresql://ada@host:5432/db"
    assert store.command is not None
    assert "s3cret" not in store.command
