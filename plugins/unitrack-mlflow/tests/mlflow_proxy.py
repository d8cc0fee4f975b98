"""A proxy before a real MLflow server, which gets in the way as it is told: the wire in every trouble."""

from __future__ import annotations

import http.client
import http.server
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

DRIP_S = 0.2
"""Between two bytes of a slow answer: a fifth of what the client waits for the next one."""

Trouble = Callable[["Handler", bytes], bool]
"""Called with a request and its body; whether it answered, so that the server never hears of it."""


class Proxy(http.server.ThreadingHTTPServer):
    """Forwards to the server `upstream`; may lose answers, after the server has committed, or give its own."""

    daemon_threads = True

    def __init__(self, upstream: str, *, listening: bool = True) -> None:
        """Its port is taken from now on; connections are refused until it is `listening`."""
        super().__init__(("127.0.0.1", 0), Handler, bind_and_activate=False)
        self.server_bind()
        if listening:
            self.server_activate()
        self.upstream = urlsplit(upstream).netloc
        self.host = self.upstream
        """What the server is told that it was called."""
        self.losing: list[str] = []
        """Patterns of "METHOD path"; each takes the answer to one request."""
        self.trouble: Trouble | None = None
        self.healed = threading.Event()
        """Set once the trouble is over: who is kept waiting is let go of."""
        self.troubled = 0
        """Requests that met the trouble."""
        self.url = f"http://127.0.0.1:{self.server_port}"

    def heal(self) -> None:
        """From now on all is well."""
        self.trouble = None
        self.healed.set()

    def loses(self, request: str) -> bool:
        """Whether to lose the answer to this request."""
        wanted = next((pattern for pattern in self.losing if re.search(pattern, request)), None)
        if wanted is not None:
            self.losing.remove(wanted)
        return wanted is not None

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is no news."""

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Answer in a thread until the block is left."""
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield
        finally:
            self.heal()
            self.shutdown()
            self.server_close()


class Handler(http.server.BaseHTTPRequestHandler):
    """One request."""

    server: Proxy
    protocol_version = "HTTP/1.0"

    def _forward(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.close_connection = True
        trouble = self.server.trouble
        if trouble is not None and trouble(self, body):
            self.server.troubled += 1
            return
        headers = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "connection")}
        onward = http.client.HTTPConnection(self.server.upstream, timeout=30)
        try:
            onward.request(self.command, self.path, body, headers | {"Host": self.server.host, "Connection": "close"})
            answer = onward.getresponse()
            content = answer.read()
        finally:
            onward.close()
        if answer.status < 400 and self.server.loses(f"{self.command} {self.path}"):
            return  # the connection closes without a word
        dropped = ("transfer-encoding", "content-length", "connection", "date", "server")
        self.reply(answer.status, content, **{k: v for k, v in answer.getheaders() if k.lower() not in dropped})

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _forward

    def reply(self, status: int, content: bytes, length: int | None = None, **headers: str) -> None:
        """Answer; `length` is what is promised, if not the truth."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(content) if length is None else length))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Silence."""


def answering(status: int, content: bytes = b"", **more: object) -> Trouble:
    """Every request gets this answer."""

    def trouble(request: Handler, body: bytes) -> bool:
        request.reply(status, content, **more)  # type: ignore[arg-type]
        return True

    return trouble


def for_a_while(trouble: Trouble, times: int) -> Trouble:
    """So many requests get into it, then all is well."""

    def for_now(request: Handler, body: bytes) -> bool:
        return request.server.troubled < times and trouble(request, body)

    return for_now


def black_hole(request: Handler, body: bytes) -> bool:
    """Nothing ever comes back."""
    request.server.healed.wait()
    return True


def one_byte_a_second(request: Handler, body: bytes) -> bool:
    """An answer that never ends, so slowly that no pause in it is a time-out; time runs five times as fast."""
    request.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n")
    while not request.server.healed.wait(DRIP_S):
        request.wfile.write(b" ")
    return True


def too_large(limit: int) -> Trouble:
    """Bodies over `limit` bytes are refused, as by a web server before MLflow."""

    def trouble(request: Handler, body: bytes) -> bool:
        if len(body) <= limit:
            return False
        request.reply(413, b"<html>413 Request Entity Too Large</html>")
        return True

    return trouble
