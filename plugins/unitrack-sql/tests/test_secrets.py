"""A password reaches the courier, and nobody else."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest
from typer.testing import CliRunner
from unitrack_tests.local_files import holding
from unitrack_tests.postgres import PASSWORD, Server

import unitrack
from unitrack.cli import app
from unitrack_sql.addresses import Address
from unitrack_sql.options import SqlOptions


@pytest.fixture
def database(server: Server) -> str:
    """The name of a database."""
    return server.make_database().partition("@/")[2].partition("?")[0]


@pytest.mark.parametrize(
    ("url", "kept", "password"),
    [
        ("postgresql://me:a%20word@host:5432/runs", "postgresql://me@host:5432/runs", "a word"),
        ("postgres://me:p:w@host/runs?sslmode=require", "postgresql://me@host/runs?sslmode=require", "p:w"),
        ("postgresql+psycopg://host/runs?password=word&user=me", "postgresql://host/runs?user=me", "word"),
        ("postgresql://me@host/runs", "postgresql://me@host/runs", None),
        ("postgresql:///runs?host=/tmp", "postgresql:///runs?host=/tmp", None),
    ],
)
def test_a_url_is_kept_without_its_password(url: str, kept: str, password: str | None) -> None:
    assert Address.parse(url) == Address(kept, password)
    options = SqlOptions(url=url).anchored(Path("/"))
    assert (options.url, options.password) == (kept, password)
    assert options.anchored(Path("/elsewhere")) == options
    assert SqlOptions(url=url).store() == kept


@pytest.mark.parametrize("url", ["mysql://host/runs", "sqlite://", "sqlite:///:memory:", "http://host"])
def test_other_urls_are_refused_where_they_are_set(url: str, tmp_path: Path) -> None:
    with pytest.raises(unitrack.ConfigError, match=r"url .*expected sqlite:///FILE, a path, or postgresql://"):
        unitrack.start_run(sinks=[{"sql": {"url": url}}], root=tmp_path)


def test_a_password_is_stored_nowhere_and_asked_for_at_a_later_sync(
    server: Server, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    secret_url = server.tcp_url(database, f"unitrack:{quote(PASSWORD)}")
    server.stop()
    try:
        sinks = ["local", {"sql": {"url": secret_url, "timeout": 1}}]
        run = unitrack.start_run("secret", sinks=sinks, root=tmp_path / "runs", delivery="thread")
        run.log_metrics({"loss": 0.5}, step=1)
        with pytest.warns(unitrack.errors.DeliveryWarning) as told:
            report = run.finish(timeout=1)
        assert not report.ok
    finally:
        server.start()
    shown = f"{report} {report['sql']} {[str(one.message) for one in told]}"
    for secret in (PASSWORD, quote(PASSWORD)):
        assert secret not in shown
        assert holding(tmp_path, secret.encode()) == []
    refused = CliRunner().invoke(app, ["sync", str(run.path)])
    assert refused.exit_code
    assert "hold a secret" in " ".join(refused.output.split())
    monkeypatch.setenv("UNITRACK_SQL__PASSWORD", PASSWORD)
    done = CliRunner().invoke(app, ["sync", str(run.path)])
    assert done.exit_code == 0, done.output
    assert PASSWORD not in done.output
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    location = run.links()["sql"].location
    assert location == server.tcp_url(database)
    [found] = unitrack.runs(f"sql:{location}")
    assert found.summary == {"loss": 0.5}
    assert holding(tmp_path, PASSWORD.encode()) == []


def test_without_a_password_in_the_url_libpq_finds_it(
    server: Server, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    sinks = [{"sql": {"url": server.tcp_url(database)}}]
    with unitrack.start_run("secret", sinks=sinks, root=tmp_path, delivery="inline") as run:
        run.log_metrics({"loss": 0.5}, step=1)
    assert run.finish().ok
    monkeypatch.delenv("PGPASSWORD")
    passwords = tmp_path / "pgpass"
    passwords.write_text(f"127.0.0.1:*:*:unitrack:{PASSWORD}\n")
    passwords.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(passwords))
    assert [one.id for one in unitrack.runs(f"sql:{server.tcp_url(database)}")] == [run.id]


def test_a_copy_to_a_url_with_a_password_shows_it_nowhere(
    server: Server, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with unitrack.start_run("original", sinks=["local"], root=tmp_path / "runs", delivery="inline") as run:
        run.log_metrics({"loss": 0.5}, step=1)
    run.finish()
    secret_url = server.tcp_url(database, f"unitrack:{quote(PASSWORD)}")
    done = CliRunner().invoke(app, ["copy", str(tmp_path / "runs"), f"sql:{secret_url}"])
    assert done.exit_code == 0, done.output
    back = CliRunner().invoke(app, ["copy", f"sql:{secret_url}", str(tmp_path / "back")])
    assert back.exit_code == 0, back.output
    for secret in (PASSWORD, quote(PASSWORD)):
        assert secret not in done.output + back.output
        assert holding(tmp_path, secret.encode()) == []
