"""Addresses of databases for studies: which are taken, and what is said of the others."""

from __future__ import annotations

from pathlib import Path

import pytest

import unitrack
from unitrack.errors import ConfigError
from unitrack.sweeps.storage_urls import database_url, without_password

pytest.importorskip("optuna")


def train(lr: float) -> float:
    return lr


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("study.log", r"^storage 'study\.log' is not the URL of a database: write postgresql://"),
        ("grpc://head:13000", r"a journal can't be shared by way of a server.*postgresql://"),
        ("journal:///shared/study.log", r"a journal can't be shared by way of a server"),
        ("redis://me:secret@head/0", r"^storage 'redis://me:\*\*\*@head/0'"),
        ("oracel://head/db", r"can't be opened"),
    ],
)
def test_what_many_agents_cannot_share_is_refused(root: Path, url: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        unitrack.sweep(train, {"lr": [0.1]}, strategy="grid", storage=url, sinks=["local"])


def test_a_database_that_does_not_answer_is_named_without_its_password(root: Path) -> None:
    pytest.importorskip("psycopg")
    url = "postgresql://me:hunter2@127.0.0.1:9/studies"
    with pytest.raises(ConfigError, match="can't be opened") as refused:
        unitrack.sweep(train, {"lr": [0.1]}, strategy="grid", storage=url, sinks=["local"])
    assert "hunter2" not in str(refused.value)


def test_the_driver_that_is_installed_is_taken() -> None:
    pytest.importorskip("psycopg")
    assert database_url("postgres://me@head/db") in ("postgresql+psycopg://me@head/db", "postgresql://me@head/db")
    assert database_url("postgresql+asyncpg://head/db") == "postgresql+asyncpg://head/db"
    assert without_password("postgresql://me:a:b@head/db") == "postgresql://me:***@head/db"
