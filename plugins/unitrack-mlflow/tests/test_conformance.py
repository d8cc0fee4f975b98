"""MLflow passes the conformance suite on an SQLite database."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest

import unitrack_mlflow
from unitrack.testing import SinkConformance, Trial


class TestMlflow(SinkConformance):
    plugin = unitrack_mlflow
    impossible: ClassVar = {
        "test_value[negative zero]": "SQLite stores -0.0 as 0.0 (3.40: `insert into t values (-0.0)`)",
        "test_folder_twice": "MlflowClient has no call that deletes an artifact, so files of the first folder stay",
        "test_file_then_folder": "MlflowClient has no call that deletes an artifact, so the file stays in the way",
        "test_folder_then_file": "MlflowClient has no call that deletes an artifact: the file lands in the folder",
    }

    @pytest.fixture
    def sink_options(self, empty_database: Path) -> dict[str, Any]:
        database = empty_database.with_name("conformance.db")  # one for all: MLflow keeps an engine for each
        if not database.exists():
            shutil.copy(empty_database, database)
        return {"tracking_uri": f"sqlite:///{database}"}

    @contextmanager
    def outage(self, trial: Trial) -> Iterator[None]:
        with closing(sqlite3.connect(trial.spec.options["tracking_uri"].removeprefix("sqlite:///"))) as database:
            database.execute("ALTER TABLE runs RENAME COLUMN status TO away")  # as while it is being migrated
            yield
            database.execute("ALTER TABLE runs RENAME COLUMN away TO status")
