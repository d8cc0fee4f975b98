"""MLflow passes the conformance suite on an SQLite database."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, ClassVar

import pytest

import unitrack_mlflow
from unitrack.testing import SinkConformance


@pytest.fixture(scope="module")
def shared_database(empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """One for all tests: MLflow keeps an engine for each that it ever saw."""
    path = tmp_path_factory.mktemp("conformance") / "mlflow.db"
    shutil.copy(empty_database, path)
    return f"sqlite:///{path}"


class TestMlflow(SinkConformance):
    plugin = unitrack_mlflow
    impossible: ClassVar = {
        "test_value[negative zero]": "SQLite stores -0.0 as 0.0 (3.40: `insert into t values (-0.0)`)",
        "test_folder_twice": "MlflowClient has no call that deletes an artifact, so files of the first folder stay",
        "test_file_then_folder": "MlflowClient has no call that deletes an artifact, so the file stays in the way",
        "test_folder_then_file": "MlflowClient has no call that deletes an artifact: the file lands in the folder",
    }

    @pytest.fixture
    def sink_options(self, shared_database: str) -> dict[str, Any]:
        return {"tracking_uri": shared_database}
