"""A proxy before a real MLflow server, which gets in the way as it is told: the wire in every trouble."""

from __future__ import annotations

import http.client
import http.server
import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import BAD_REQUEST
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

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


class Refusing:
    """A trouble that refuses some requests for as long as it lasts, and counts them."""

    def __init__(self, chosen: Callable[[Handler], bool], status: int, content: bytes = b"", **headers: str) -> None:
        """`chosen` is called for one request after the other."""
        self.refused = 0
        self._chosen = chosen
        self._status = status
        self._content = content
        self._headers = headers
        self._lock = threading.Lock()

    def __call__(self, request: Handler, body: bytes) -> bool:
        """Refuse this request if it is chosen."""
        with self._lock:
            refused = self._chosen(request)
            self.refused += refused
        if refused:
            request.reply(self._status, self._content, **self._headers)
        return refused


def each_nth(n: int, status: int = 503) -> Refusing:
    """Request n, 2 n, 3 n ... gets `status`."""
    count = 0

    def chosen(request: Handler) -> bool:
        nonlocal count
        count += 1
        return count % n == 0

    return Refusing(chosen, status)


def a_share(rate: float, seed: int, status: int = 503) -> Refusing:
    """A share `rate` of all requests gets `status`, the same ones for the same seed."""
    draw = random.Random(seed)
    return Refusing(lambda request: draw.random() < rate, status)


def rate_limit(requests: int, seconds: float, retry_after: int) -> Refusing:
    """The first `requests` of each window of `seconds` pass, all others get 429 and `Retry-After` in seconds."""
    tokens, began = 0, -seconds

    def chosen(request: Handler) -> bool:
        nonlocal tokens, began
        now = time.monotonic()
        if now - began >= seconds:
            tokens, began = requests, now
        tokens -= 1
        return tokens < 0

    return Refusing(chosen, 429, Retry_After=str(retry_after))


def refusing_log_batch(rate: float, seed: int) -> Refusing:
    """A share `rate` of the calls of log-batch gets what MLflow says when its database has no connection left.

    Its server answers BAD_REQUEST for each SQLAlchemyError but OperationalError (`mlflow/store/db/utils.py`).
    """
    draw = random.Random(seed)
    cause = PoolTimeoutError("QueuePool limit of size 5 overflow 10 reached, connection timed out, timeout 30.00")
    cause.code = "3o7r"  # as in `sqlalchemy/pool/impl.py`: it adds a link to the text
    error = MlflowException(str(cause), BAD_REQUEST)

    def chosen(request: Handler) -> bool:
        return request.path.endswith("/runs/log-batch") and draw.random() < rate

    content = error.serialize_as_json().encode()
    return Refusing(chosen, error.get_http_status_code(), content, Content_Type="application/json")
