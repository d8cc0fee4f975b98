"""A real S3 server on loopback, moto's, and a wire before it that gets in the way as it is told."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

Trouble = Callable[["Handler", int], bool]
"""Called with a request and its number, from 1; whether it answered or hung up, so that the server never hears of it.
"""

os.environ["S3_UPLOAD_PART_MIN_SIZE"] = "1024"  # bytes, so that parts can be small; moto reads it once

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing-secret",
    "AWS_DEFAULT_REGION": "us-east-1",
}


@contextlib.contextmanager
def serving_s3() -> Iterator[str]:
    """Run moto's server, and yield its URL."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


class Wire(http.server.ThreadingHTTPServer):
    """Forwards requests to `upstream`, and keeps count of them."""

    daemon_threads = True

    def __init__(self, upstream: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.upstream = urlsplit(upstream).netloc
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.trouble: Trouble | None = None
        self.requests: list[str] = []
        """"METHOD path" of each request that came, whether or not it was forwarded."""
        self.answered: list[str] = []
        """Those that the server has answered."""
        self._lock = threading.Lock()

    def count(self, request: str) -> int:
        """Note a request; return its number."""
        with self._lock:
            self.requests.append(request)
            return len(self.requests)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is no news."""

    @contextlib.contextmanager
    def serving(self) -> Iterator[None]:
        """Answer in a thread until the block is left."""
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield
        finally:
            self.shutdown()
            self.server_close()


class Handler(http.server.BaseHTTPRequestHandler):
    """The requests of one connection."""

    server: Wire
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def _forward(self) -> None:
        number = self.server.count(f"{self.command} {self.path}")
        if self.headers.get("Expect"):
            self.send_response_only(100)
            self.end_headers()
        trouble = self.server.trouble
        if trouble is not None and trouble(self, number):
            self.close_connection = True
            return
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        dropped = ("host", "connection", "expect")
        headers = {name: value for name, value in self.headers.items() if name.lower() not in dropped}
        onward = http.client.HTTPConnection(self.server.upstream, timeout=60)
        try:
            onward.request(self.command, self.path, body, headers | {"Host": self.headers["Host"]})
            answer = onward.getresponse()
            content = answer.read()
        finally:
            onward.close()
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                self.send_header(name, value)
        length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(content))
        self.send_header("Content-Length", length or "0")
        self.end_headers()
        self.server.answered.append(f"{self.command} {self.path}")
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = _forward

    def refuse(self, status: int, code: str) -> None:
        """Answer with an error as S3 does; the body of the request is read, as servers do."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        content = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{code}</Message></Error>".encode()
        self.send_response_only(status)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def cut(self, after: int) -> None:
        """Read some bytes of the request's body, then reset the connection."""
        self.rfile.read(min(after, int(self.headers.get("Content-Length", 0))))
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def log_message(self, format: str, *args: object) -> None:
        """Silence."""


def slow_down_each(n: int) -> Trouble:
    """Each n-th request gets 503 SlowDown, for ever."""

    def trouble(request: Handler, number: int) -> bool:
        if number % n:
            return False
        request.refuse(503, "SlowDown")
        return True

    return trouble


def away(request: Handler, number: int) -> bool:
    """Every connection is reset: the server was killed."""
    request.cut(0)
    return True


def client_of(url: str) -> Any:
    """A client of S3 that is not the one under test."""
    import boto3

    return boto3.client("s3", endpoint_url=url)


class Bucket:
    """A bucket behind a wire."""

    def __init__(self, name: str, server: str, wire: Wire) -> None:
        self.name = name
        self.url = f"s3://{name}"
        self.server = server
        self.wire = wire

    @property
    def client(self) -> Any:
        """A client that does not go through the wire."""
        return client_of(self.server)

    def keys(self, prefix: str = "") -> list[str]:
        """The keys of the objects."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix)
        return [one["Key"] for page in pages for one in page.get("Contents", ())]

    def read(self, key: str) -> bytes:
        """The content of an object."""
        content: bytes = self.client.get_object(Bucket=self.name, Key=key)["Body"].read()
        return content

    def open_uploads(self) -> list[str]:
        """The keys of uploads that are not complete."""
        found = self.client.list_multipart_uploads(Bucket=self.name)
        return [one["Key"] for one in found.get("Uploads", ())]


def set_up_environment(url: str, environ: Callable[[str, str], None]) -> None:
    """Set the variables with which programs find the server."""
    for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": url}.items():
        environ(name, value)
    assert "AWS_PROFILE" not in os.environ
