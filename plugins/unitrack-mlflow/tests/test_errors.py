"""What the sink says when something is wrong, and how fast."""

from __future__ import annotations

import email.utils
import gc
import http.server
import os
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, ClassVar

import psutil
import pytest
import sqlalchemy
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import TEMPORARILY_UNAVAILABLE
from mlflow_proxy import Proxy, rate_limit

from unitrack import limits
from unitrack.errors import RecordRejectedError, SinkMisconfiguredError, SinkUnavailableError
from unitrack.hookspecs import RunContext
from unitrack_mlflow import MlflowOptions, stores
from unitrack_mlflow.check import check
from unitrack_mlflow.errors import seconds_until, translated

OpenSink = Callable[..., Any]


class Answering(http.server.BaseHTTPRequestHandler):
    """Answers every request with one status."""

    status: ClassVar[int]
    body: ClassVar[bytes] = b""

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(self.body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(self.body)

    do_POST = do_GET

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def answering(status: int, body: bytes = b"") -> Iterator[str]:
    handler = type("Handler", (Answering,), {"status": status, "body": body})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        threading.Thread(target=httpd.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{httpd.server_port}"
        finally:
            httpd.shutdown()


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_server_that_is_busy_is_tried_again_later(open_sink: OpenSink, run: RunContext, status: int) -> None:
    with answering(status) as url, pytest.raises(SinkUnavailableError):
        open_sink(url, run)


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_server_that_refuses_is_for_somebody_to_mend(open_sink: OpenSink, run: RunContext, status: int) -> None:
    with answering(status) as url, pytest.raises(SinkMisconfiguredError, match=str(status)):
        open_sink(url, run)


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_in_json_is_one_too(open_sink: OpenSink, run: RunContext, status: int) -> None:
    """A proxy's: MLflow takes it for an error of its own, without a code."""
    body = b'{"message": "who are you?"}'
    with answering(status, body) as url, pytest.raises(SinkMisconfiguredError, match="credentials"):
        open_sink(url, run)


@pytest.mark.parametrize("body", [b"", b"no", b'{"message": "no"}'])
@pytest.mark.parametrize(("status", "words"), [(401, "are missing or wrong"), (403, "don't allow this")])
def test_doctor_tells_of_credentials_that_are_refused(status: int, words: str, body: bytes) -> None:
    """The server is well."""
    with answering(status, body) as url:
        [reached, access] = list(check(MlflowOptions(tracking_uri=url)))[-2:]
    assert (reached.ok, reached.subject) == (True, "server")
    assert (access.ok, access.subject) == (False, "access")
    assert f"the credentials {words}" in access.message


def test_doctor_tells_of_a_network_that_does_not_answer(closed_url: str) -> None:
    """Nothing is said against the credentials."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for url, words in (
            (closed_url, "refuses connections; is the server running? Is tracking_uri right?"),
            (f"http://127.0.0.1:{silent.getsockname()[1]}", "did not answer in time. Is tracking_uri right?"),
            ("http://no-such-host.invalid", "has a host name that can't be resolved. Is tracking_uri right?"),
        ):
            *_, last = check(MlflowOptions(tracking_uri=url, request_timeout=1))
            assert (last.ok, last.subject, last.message) == (False, "server", f"{url} {words}")


def test_doctor_tells_of_a_server_that_is_ill() -> None:
    with answering(503) as url:
        *_, last = check(MlflowOptions(tracking_uri=url))
    assert (last.ok, last.subject) == (False, "server")


def test_a_server_that_is_down_is_noticed_at_once(open_sink: OpenSink, run: RunContext, closed_url: str) -> None:
    begin = time.monotonic()
    with pytest.raises(SinkUnavailableError, match="refuses connections"):
        open_sink(closed_url, run)
    assert time.monotonic() - begin < 5


def test_a_server_that_never_answers_is_given_up_after_the_timeout(
    open_sink: OpenSink, run: RunContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "IN_PLACE_LASTS_S", 0.5)  # so that the first time-out is the last
    monkeypatch.setattr(Answering, "do_POST", lambda self: time.sleep(4))
    monkeypatch.setattr(Answering, "do_GET", lambda self: time.sleep(4))
    with answering(200) as url:
        begin = time.monotonic()
        with pytest.raises(SinkUnavailableError):
            open_sink(url, run, request_timeout=1)
        assert time.monotonic() - begin < 3.5


def test_the_host_check_of_a_server_is_named(open_sink: OpenSink, run: RunContext, server: str) -> None:
    stranger = server.replace("127.0.0.1", "localhost")
    with pytest.raises(SinkMisconfiguredError, match="MLFLOW_SERVER_ALLOWED_HOSTS"):
        open_sink(stranger, run)
    findings = list(check(MlflowOptions(tracking_uri=stranger)))
    assert [finding.ok for finding in findings] == [True, True, False]
    assert "MLFLOW_SERVER_ALLOWED_HOSTS" in findings[-1].message


def test_a_locked_database_is_tried_again_later(database: str) -> None:
    # MLflow itself waits for 20 s before it lets this error out
    engine = sqlalchemy.create_engine(database, connect_args={"timeout": 0.05}, poolclass=sqlalchemy.NullPool)
    with closing(sqlite3.connect(database.removeprefix("sqlite:///"), isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(SinkUnavailableError, match="locked"), translated(stores.describe(database)):
            try:
                with engine.connect() as connection:
                    connection.execute(sqlalchemy.text("SELECT count(*) FROM runs"))
            except sqlalchemy.exc.OperationalError as error:  # as MLflow's session wraps it
                raise MlflowException(str(error), TEMPORARILY_UNAVAILABLE) from error


def test_what_is_no_database_is_for_somebody_to_mend(open_sink: OpenSink, run: RunContext, tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("no database" * 1000)
    begin = time.monotonic()
    with pytest.raises(SinkMisconfiguredError, match=r"mlflow\.db"):
        open_sink(f"sqlite:///{tmp_path}/mlflow.db", run)
    assert time.monotonic() - begin < 10


def test_a_folder_that_cannot_be_made_is_for_somebody_to_mend(
    open_sink: OpenSink, run: RunContext, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    for uri in (f"{tmp_path}/file/mlruns", f"sqlite:///{tmp_path}/file/mlflow.db"):
        with pytest.raises(SinkMisconfiguredError, match="file"):
            open_sink(uri, run)


def test_an_experiment_that_cannot_be_made_is_for_somebody_to_mend(
    open_sink: OpenSink, run: RunContext, server: str
) -> None:
    with pytest.raises(SinkMisconfiguredError, match="artifact"):
        open_sink(server, run, artifact_location="s3://bucket/#fragment?x=1#y/../..")


def test_an_experiment_with_a_quote_is_found_again(
    open_sink: OpenSink, run: RunContext, database: str, tmp_path: Path
) -> None:
    first = open_sink(database, run, experiment='bob\'s "own" 100%')
    assert open_sink(database, run, experiment='bob\'s "own" 100%').link.id == first.link.id
    with pytest.raises(SinkMisconfiguredError, match="bob's"):  # MLflow's file store can't hold it
        open_sink(str(tmp_path / "mlruns"), run, experiment="bob's own")


def test_doctor_says_what_is_wrong(tmp_path: Path, closed_url: str, uri: str) -> None:
    MlflowClient(uri).search_experiments()
    assert all(finding.ok for finding in check(MlflowOptions(tracking_uri=uri)))
    *_, last = check(MlflowOptions(tracking_uri=closed_url, request_timeout=2))
    assert not last.ok
    assert "is the server running" in last.message
    (tmp_path / "file").touch()
    *_, last = check(MlflowOptions(tracking_uri=f"sqlite:///{tmp_path}/file/x.db"))
    assert not last.ok
    assert "not a folder" in last.message
    fresh = tmp_path / "fresh.db"
    *_, last = check(MlflowOptions(tracking_uri=f"sqlite:///{fresh}"))
    assert last.ok
    assert not fresh.exists()


def test_secrets_in_a_uri_are_not_shown(open_sink: OpenSink, run: RunContext, closed_url: str) -> None:
    uri = closed_url.replace("http://", "http://ada:s3cret@")
    with pytest.raises(SinkUnavailableError) as caught:
        open_sink(uri, run)
    assert "s3cret" not in str(caught.value)
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "0"


def test_a_record_too_large_for_a_proxy_is_rejected(open_sink: OpenSink, run: RunContext) -> None:
    with answering(413) as url, pytest.raises((RecordRejectedError, SinkMisconfiguredError), match="413"):
        open_sink(url, run)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7.0), (" 30 ", 30.0), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0), ("", None), ("soon", None), ("-1", None)],
)
def test_how_long_a_server_asks_to_wait(header: str, seconds: float | None) -> None:
    assert seconds_until(header) == seconds


def test_a_date_to_wait_for() -> None:
    in_a_minute = email.utils.formatdate(time.time() + 60, usegmt=True)
    assert seconds_until(in_a_minute) == pytest.approx(60, abs=2)


def test_a_rate_limit_leaves_no_connection_open(
    open_sink: OpenSink, proxy: Proxy, run: RunContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each refusal left one until it was collected."""
    for name in ("IN_PLACE_WANTED_S", "IN_PLACE_LASTS_S"):
        monkeypatch.setattr(limits, name, 0.0)
    opened = open_sink(proxy.url, run)
    proxy.trouble = rate_limit(0, 60, retry_after=1)
    gc.collect()
    gc.disable()
    try:
        before = psutil.Process().num_fds()
        for step in range(20):
            with pytest.raises(SinkUnavailableError, match="429"):
                opened.driver.metrics({"loss": 1.0}, step=step)
        assert psutil.Process().num_fds() <= before + 5
    finally:
        gc.enable()
    proxy.heal()
