"""Real stores: an SQLite database, a folder, and a server."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
os.environ["UNITRACK_LINGER"] = "5"  # seconds that a courier tries on after a test whose server is down

sys.path.insert(0, str(Path(__file__).parent))  # `--import-mode=importlib` leaves it out

import mlflow
from mlflow import MlflowClient
from mlflow_proxy import Proxy
from mlflow_server import Server, free_port, serving

from unitrack.hookspecs import RunContext
from unitrack.testing.driver import SinkDriver
from unitrack_mlflow import MlflowOptions
from unitrack_mlflow.sink import MlflowSink


@pytest.fixture(autouse=True)
def folder_of_the_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working directory, below which MLflow puts files and unitrack runs where nothing else is said."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def stores_of_mlflow_as_they_were(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Undo what a test has told MLflow's global functions, and the variables that these set."""
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
        monkeypatch.setenv(name, "")  # so that it is restored at the end
        monkeypatch.delenv(name)
    yield
    mlflow.set_tracking_uri(None)
    mlflow.set_registry_uri(None)


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with MLflow's tables, which take seconds to create."""
    path = tmp_path_factory.mktemp("template") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}")
    return path


@pytest.fixture
def database(empty_database: Path, tmp_path: Path) -> str:
    """The URI of a database of its own for a test."""
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


@pytest.fixture(scope="session", autouse=True)
def starting_server(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Iterator[Server]:
    """An MLflow server that starts while the first tests run."""
    folder = tmp_path_factory.mktemp("server")
    shutil.copy(empty_database, folder / "mlflow.db")
    with serving(folder) as server:
        yield server


@pytest.fixture(scope="session")
def server(starting_server: Server) -> str:
    """The URL of an MLflow server on this machine, which answers."""
    return starting_server.wait()


@pytest.fixture
def proxy(server: str) -> Iterator[Proxy]:
    """A proxy before the server."""
    proxy = Proxy(server)
    with proxy.serving():
        yield proxy


@pytest.fixture(params=["database", "folder", "server"])
def uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Each kind of store in turn."""
    if request.param == "folder":
        return str(tmp_path / "mlruns")
    uri: str = request.getfixturevalue(request.param)
    return uri


@pytest.fixture
def run(tmp_path: Path) -> RunContext:
    """A run with everything that a run can start with, in an experiment of its own."""
    return SinkDriver.make_run(
        tmp_path / "run",
        run_id=f"run-{tmp_path.name}",
        name="first try",
        project=f"project {tmp_path.name}",
        tags={"team": "vision"},
        description="what it is about",
    )


class Opened:
    """A sink that serves a run, and the client that reads what it wrote."""

    def __init__(
        self, uri: str, run: RunContext, checkpoint: dict[str, object] | None = None, **options: object
    ) -> None:
        self.sink = MlflowSink(MlflowOptions(tracking_uri=uri, **options))  # type: ignore[arg-type]
        self.driver = SinkDriver(self.sink, run, checkpoint)
        self.link = self.driver.open()
        self.client = MlflowClient(uri)

    @property
    def stored(self):  # type: ignore[no-untyped-def]
        """The run as MLflow has it."""
        return self.client.get_run(self.link.id)

    def points(self, key: str) -> list[tuple[int, int, str]]:
        """The points of one metric, NaN comparable."""
        return [(m.timestamp, m.step, repr(m.value)) for m in self.client.get_metric_history(self.link.id, key)]

    def runs(self) -> int:
        """How many runs the experiment holds."""
        return len(self.client.search_runs([self.stored.info.experiment_id]))


@pytest.fixture
def open_sink() -> type[Opened]:
    """Opens a run in a store: `open_sink(uri, run, checkpoint)`."""
    return Opened


@pytest.fixture
def closed_url() -> str:
    """A URL at which nobody answers."""
    return f"http://127.0.0.1:{free_port()}"
