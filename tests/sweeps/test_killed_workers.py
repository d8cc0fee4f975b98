"""Real clusters on this machine, one of whose workers is killed in mid-trial: each trial is complete in every sink.

The killed trial is there as a failed run, with the points that it had logged, and its params are run again. Dask, Ray
and submitit are heavy: they are installed in the tox environment `scale`.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from unitrack_tests.killed_trials import (
    CUT,
    RATES,
    STEPS,
    Left,
    expected,
    in_local_files,
    in_mlflow,
    in_tensorboard,
    sweep_and_kill,
)

for package in ("optuna", "unitrack_mlflow", "unitrack_tensorboard"):
    pytest.importorskip(package)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of MLflow with its tables, which take seconds to create."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    assert MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@contextmanager
def processes(root: Path) -> Iterator[Any]:
    pytest.importorskip("loky")
    yield "processes"


@contextmanager
def dask(root: Path) -> Iterator[Any]:
    distributed = pytest.importorskip("distributed")
    cluster = distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        dashboard_address=None,
        host="127.0.0.1",
        local_directory=str(root),
        silence_logs="CRITICAL",
    )
    with cluster, distributed.Client(cluster) as client:
        yield client


@contextmanager
def ray(root: Path) -> Iterator[Any]:
    pytest.importorskip("ray")
    yield "ray"


@contextmanager
def jobs(root: Path) -> Iterator[Any]:
    submitit = pytest.importorskip("submitit")
    executor = submitit.AutoExecutor(folder=root / "jobs", cluster="local")
    executor.update_parameters(timeout_min=5)
    yield executor


@pytest.mark.timeout(300)
@pytest.mark.parametrize("cluster", [processes, dask, ray, jobs])
def test_every_trial_is_complete_in_every_sink(root: Path, cluster: Any, database: Path) -> None:
    shutil.copy(database, root / "mlflow.db")
    with ExitStack() as stack:
        result = sweep_and_kill(stack.enter_context(cluster(root)), root)
    assert [one.status for one in result] == ["finished"] * len(RATES)
    assert sorted(one.params["lr"] for one in result) == RATES
    rates = {one.run_id: one.params["lr"] for one in result}

    for left, finished, failed in (
        (in_local_files(root), "completed", "failed"),
        (in_mlflow(root), "finished", "failed"),
        (in_tensorboard(root), "", ""),
    ):
        assert len(left) == len(RATES) + 1
        for run_id, lr in rates.items():
            assert left.pop(run_id) == Left(finished, expected(lr, STEPS))
        assert list(left.values()) == [Left(failed, expected(0.5, CUT))]
