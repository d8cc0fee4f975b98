"""The far side of W&B on 127.0.0.1: just enough for the real SDK to complete runs, with failures on a switch.

It speaks the GraphQL operations, the file stream and the file uploads that the SDK uses, and keeps what arrived in
memory. `history` holds what the server would show: rows in order, a chunk sent again at an offset overwrites.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from stand_in_artifacts import ArtifactStore
from stand_in_http import QuietServer, handler_for, operation_of

ENTITY = "team"
API_KEY = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class StoredRun:
    """One run as the server holds it."""

    name: str
    project: str
    attributes: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    streams: dict[str, list[str]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    exit_code: int | None = None

    @property
    def history(self) -> list[dict[str, Any]]:
        """The rows, decoded."""
        return [json.loads(line) for line in self.streams.get("wandb-history.jsonl", [])]

    @property
    def summary(self) -> str:
        """The summary as JSON text."""
        return (self.streams.get("wandb-summary.json") or ["{}"])[-1]

    def count(self, stream: str) -> int:
        return len(self.streams.get(stream, []))

    def tail(self, stream: str) -> str:
        lines = self.streams.get(stream, [])
        return json.dumps([json.dumps(json.loads(lines[-1]))] if lines else [])

    def last_step(self) -> int:
        history = self.history
        return int(history[-1]["_step"]) if history else -1


class StandInServer:
    """The state of the server and its switches."""

    def __init__(self, *, listening: bool = True) -> None:
        """Its port is taken from now on. Before `serving` it is a black hole, which takes connections and never
        answers; unless it is not `listening`, then connections are refused.
        """
        self.runs: dict[str, StoredRun] = {}
        self.artifacts = ArtifactStore(self, ENTITY)
        self.graphql_status = 200
        """What every GraphQL request is answered with, unless 200."""
        self.refused: dict[str, int] = {}
        """GraphQL operations that are answered with another status than 200."""
        self.stream_status = 200
        """What every file-stream request is answered with, unless 200."""
        self.upload_status = 200
        """What every file upload is answered with, unless 200."""
        self.uploads_lost: str | None = None
        """Take uploads whose name begins so with 200, yet keep nothing."""
        self.rows_lost_after: int | None = None
        """Take the stream with 200, yet keep only so many rows of history."""
        self.stream_delay = 0.0
        """Seconds before a file-stream request is answered."""
        self.stumbles: dict[str, int] = {}
        """How many requests are yet to be answered with 500: by GraphQL operation, "file_stream" or "upload"."""
        self.trouble: Callable[[Any, str], bool] | None = None
        """Called with each request: its handler, and its GraphQL operation, "file_stream" or "upload". Whether it
        answered, so that nothing is kept."""
        self.answers_lost: dict[str, int] = {}
        """How many requests are yet to be heeded without an answer: by the same names."""
        self.page_size = 1000
        """The most runs in an answer."""
        self.pages: dict[str, int] = {}
        """How many pages were asked for, by GraphQL operation."""
        self.unanswered: list[str] = []
        """GraphQL documents that this stand-in does not know."""
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._http = QuietServer(("127.0.0.1", 0), handler_for(self), bind_and_activate=False)
        self._http.server_bind()
        self._listening = listening
        if listening:
            self._http.server_activate()
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"

    @contextmanager
    def serving(self) -> Iterator[StandInServer]:
        """Answer requests until the block is left."""
        if not self._listening:
            self._http.server_activate()
        thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._stopping.set()
            self._http.shutdown()
            self._http.server_close()
            thread.join(5)

    def close(self) -> None:
        """Free the port of a server that was never serving."""
        self._http.server_close()

    def delay_stream(self) -> None:
        """Wait as long as a file-stream request is to wait, or until the server stops."""
        self._stopping.wait(self.stream_delay)

    def stumbles_over(self, request: str) -> bool:
        """Whether this request is one of those that are to fail."""
        with self._lock:
            left = self.stumbles.get(request, 0)
            self.stumbles[request] = max(0, left - 1)
            return left > 0

    def loses_answer(self, request: str) -> bool:
        """Whether what was just done is not to be confirmed."""
        with self._lock:
            left = self.answers_lost.get(request, 0)
            self.answers_lost[request] = max(0, left - 1)
            return left > 0

    def run(self, name: str, project: str = "tests") -> StoredRun:
        """A run, created when it is first asked for."""
        return self.runs.setdefault(name, StoredRun(name, project))

    def answer(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        """The answer to one GraphQL document."""
        with self._lock:
            operation = operation_of(query)
            method = getattr(self, f"_on_{operation}", None) or self._of_artifacts(operation)
            if method is None:
                self.unanswered.append(query)
                return {"errors": [{"message": f"the stand-in does not know {operation}"}]}
            return {"data": method(variables)}

    def _of_artifacts(self, operation: str) -> Callable[[dict[str, Any]], dict[str, Any]] | None:
        return getattr(self.artifacts, f"on_{operation}", None) if self.artifacts.is_known else None

    def _on_Viewer(self, _: dict[str, Any]) -> dict[str, Any]:
        teams = {"edges": [{"node": {"name": ENTITY}}]}
        viewer = {"id": "u", "entity": ENTITY, "username": "someone", "email": "", "admin": False, "flags": "{}"}
        return {"viewer": viewer | {"teams": teams, "apiKeys": {"edges": []}}}

    def _on_ServerFeaturesQuery(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"serverInfo": {"features": []}}

    def _on_GetDefaultEntity(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"viewer": {"id": "u", "entity": ENTITY}}

    def _on_UpsertBucket(self, variables: dict[str, Any]) -> dict[str, Any]:
        name = variables.get("name") or self._name_of(variables["id"])
        inserted = name not in self.runs
        run = self.run(name, variables.get("project") or "tests")
        run.attributes |= {key: value for key, value in variables.items() if value is not None}
        if variables.get("config"):
            run.config |= json.loads(variables["config"])
        bucket = {
            "id": f"bucket/{name}",
            "name": name,
            "displayName": run.attributes.get("displayName"),
            "description": "",
            "config": json.dumps(run.config),
            "sweepName": None,
            "historyLineCount": run.count("wandb-history.jsonl"),
            "project": {"id": "p", "name": run.project, "entity": {"id": "e", "name": ENTITY}},
        }
        return {"upsertBucket": {"bucket": bucket, "inserted": inserted}}

    def _name_of(self, bucket_id: str) -> str:
        return bucket_id.removeprefix("bucket/")

    def _on_RunResumeStatus(self, variables: dict[str, Any]) -> dict[str, Any]:
        run = self.runs.get(variables["name"])
        model = {"id": "p", "name": variables["project"], "entity": {"id": "e", "name": ENTITY}}
        if run is None:
            return {"model": model | {"bucket": None}}
        bucket = {
            "id": f"bucket/{run.name}",
            "name": run.name,
            "displayName": run.attributes.get("displayName"),
            "summaryMetrics": "{}",
            "historyLineCount": run.count("wandb-history.jsonl"),
            "eventsLineCount": run.count("wandb-events.jsonl"),
            "logLineCount": run.count("output.log"),
            "historyTail": run.tail("wandb-history.jsonl"),
            "eventsTail": run.tail("wandb-events.jsonl"),
            "config": json.dumps(run.config),
            "tags": run.attributes.get("tags") or [],
            "wandbConfig": json.dumps({"t": 1}),
        }
        return {"model": model | {"bucket": bucket}}

    def _on_RunStoppedStatus(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"project": {"run": {"stopped": False}}}

    def _on_CreateRunFiles(self, variables: dict[str, Any]) -> dict[str, Any]:
        files = [
            {"name": name, "uploadUrl": f"{self.url}/upload/{quote(variables['run'])}/{quote(name)}"}
            for name in variables["files"]
        ]
        created = {"runID": f"bucket/{variables['run']}", "uploadHeaders": [], "files": files}
        return {"createRunFiles": created}

    def _on_Run(self, variables: dict[str, Any]) -> dict[str, Any]:
        run = self.runs.get(variables["name"])
        return {"project": {"run": None if run is None else self._public(run)}}

    def _on_Runs(self, variables: dict[str, Any]) -> dict[str, Any]:
        """A page of a project's runs; no project if it has none."""
        if variables["entity"] != ENTITY or variables["project"] not in {run.project for run in self.runs.values()}:
            return {"project": None}
        self.pages["Runs"] = self.pages.get("Runs", 0) + 1
        runs = [run for run in self.runs.values() if run.project == variables["project"]]
        first = int(variables.get("cursor") or 0)
        shown = runs[first : first + min(variables["perPage"], self.page_size)]
        edges = [
            {"node": self._public(run), "cursor": str(first + number)} for number, run in enumerate(shown, start=1)
        ]
        info = {"endCursor": str(first + len(shown)), "hasNextPage": first + len(shown) < len(runs)}
        found = {"edges": edges, "pageInfo": info}
        return {"project": {"internalId": "1", "runCount": len(runs), "readOnly": False, "runs": found}}

    def _on_RunParquetHistory(self, variables: dict[str, Any]) -> dict[str, Any]:
        """All rows are live: W&B writes the Parquet files of a run some time after its end."""
        run = self.run(variables["runName"])
        live = [{"_step": row["_step"]} for row in run.history]
        return {"project": {"run": {"parquetHistory": {"parquetUrls": [], "liveData": live}}}}

    def _on_HistoryPage(self, variables: dict[str, Any]) -> dict[str, Any]:
        self.pages["HistoryPage"] = self.pages.get("HistoryPage", 0) + 1
        steps = range(variables["minStep"], variables["maxStep"])
        lines = [json.dumps(row) for row in self.run(variables["run"]).history if row["_step"] in steps]
        return {"project": {"run": {"history": lines[: variables["pageSize"]]}}}

    def _on_RunHistoryKeys(self, variables: dict[str, Any]) -> dict[str, Any]:
        run = self.runs.get(variables["name"])
        return {"project": {"run": {"historyKeys": {"lastStep": run.last_step()} if run else None}}}

    def _on_RunFiles(self, variables: dict[str, Any]) -> dict[str, Any]:
        run = self.run(variables["name"])
        wanted = set(variables.get("fileNames") or run.files)
        edges = [
            {
                "node": {
                    "id": name,
                    "name": name,
                    "url": f"{self.url}/download/{quote(run.name)}/{quote(name)}",
                    "sizeBytes": len(content),
                    "mimetype": "",
                    "updatedAt": None,
                    "md5": "",
                    "directUrl": "",
                },
                "cursor": name,
            }
            for name, content in run.files.items()
            if name in wanted
        ]
        files = {"edges": edges, "pageInfo": {"endCursor": None, "hasNextPage": False}}
        return {"project": {"internalId": "1", "run": {"fileCount": len(edges), "files": files}}}

    def _public(self, run: StoredRun) -> dict[str, Any]:
        attributes = run.attributes
        return {
            "projectId": "1",
            "id": f"bucket/{run.name}",
            "tags": attributes.get("tags") or [],
            "name": run.name,
            "displayName": attributes.get("displayName"),
            "sweepName": None,
            "state": "running" if run.exit_code is None else "failed" if run.exit_code else "finished",
            "config": json.dumps(run.config),
            "group": attributes.get("groupName"),
            "jobType": attributes.get("jobType"),
            "commit": None,
            "readOnly": False,
            "createdAt": "2024-01-01T00:00:00",
            "heartbeatAt": "2024-01-01T00:00:00",
            "description": "",
            "notes": attributes.get("notes"),
            "systemMetrics": "{}",
            "summaryMetrics": run.summary,
            "historyLineCount": run.count("wandb-history.jsonl"),
            "user": {"name": "someone", "username": "someone"},
            "historyKeys": {"lastStep": run.last_step()},
        }

    def take_stream(self, name: str, body: dict[str, Any]) -> None:
        """One file-stream request: lines for each file at an offset, or the end of the run."""
        with self._lock:
            run = self.run(name)
            for file, chunk in (body.get("files") or {}).items():
                lines = run.streams.setdefault(file, [])
                offset = chunk.get("offset", 0)
                lines[offset : offset + len(chunk["content"])] = chunk["content"]
                if file == "wandb-history.jsonl" and self.rows_lost_after is not None:
                    del lines[self.rows_lost_after :]
            if body.get("complete"):
                run.exit_code = body.get("exitcode")

    def take_file(self, run: str, name: str, content: bytes) -> None:
        """One uploaded file."""
        with self._lock:
            if self.uploads_lost is None or not name.startswith(self.uploads_lost):
                self.run(run).files[name] = content
