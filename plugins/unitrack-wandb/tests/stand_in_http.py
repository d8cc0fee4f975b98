"""HTTP for the stand-in server: its requests, taken apart."""

from __future__ import annotations

import gzip
import json
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

if TYPE_CHECKING:
    from stand_in_server import StandInServer


class QuietServer(ThreadingHTTPServer):
    """Says nothing when a client drops its connection, as a client that is killed does."""

    daemon_threads = True
    request_queue_size = 128  # the SDK uploads many files at once

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay quiet."""


def operation_of(query: str) -> str:
    """The name of a GraphQL document's operation."""
    found = re.search(r"^\s*(?:query|mutation)\s+(\w+)", query, re.MULTILINE)
    return found[1] if found else ""


def handler_for(server: StandInServer) -> type[BaseHTTPRequestHandler]:
    """The class that answers the requests to `server`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _body(self) -> bytes:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            return gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body

        def _reply(self, status: int, answer: dict[str, Any]) -> None:
            self.answer(status, json.dumps(answer).encode())

        def answer(self, status: int, content: bytes, **headers: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(content)

        def _in_trouble(self, request: str) -> bool:
            return server.trouble is not None and server.trouble(self, request)

        def do_POST(self) -> None:
            body = json.loads(self._body() or b"{}")
            if self.path.startswith("/graphql"):
                operation = operation_of(body["query"])
                if self._in_trouble(operation):
                    return
                stumbles = server.stumbles_over(operation)
                status = 500 if stumbles else server.refused.get(operation, server.graphql_status)
                if status != 200:
                    self._reply(status, {"error": "switched off"})
                else:
                    answer = server.answer(body["query"], body.get("variables") or {})
                    if server.loses_answer(operation):
                        self.close_connection = True
                        return
                    self._reply(200, answer)
            elif self.path.endswith("/file_stream"):
                server.delay_stream()
                if self._in_trouble("file_stream"):
                    return
                status = 500 if server.stumbles_over("file_stream") else server.stream_status
                if status == 200:
                    server.take_stream(unquote(self.path.split("/")[-2]), body)
                if server.loses_answer("file_stream"):
                    self.close_connection = True
                    return
                self._reply(status, {})
            else:
                self._reply(404, {})

        def do_PUT(self) -> None:
            content = self._body()
            _, _, run, name = self.path.split("/", 3)
            if self._in_trouble("upload"):
                return
            status = 500 if server.stumbles_over("upload") else server.upload_status
            if status == 200 and self.path.startswith("/manifest/"):
                server.artifacts.take_manifest(unquote(run), content)
            elif status == 200:
                server.take_file(unquote(run), unquote(name), content)
            self._reply(status, {})

        def do_GET(self) -> None:
            if self.path.startswith("/download/"):
                _, _, run, name = self.path.split("/", 3)
                self.answer(200, server.runs[unquote(run)].files[unquote(name)])
            else:
                self._reply(404, {})

        def log_message(self, format: str, *args: object) -> None:
            """Stay quiet."""

    return Handler
