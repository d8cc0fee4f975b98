"""Reading a run back: its points through each backend's own SDK, all of it through unitrack's source."""

from __future__ import annotations

import json
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec

from unitrack.hookspecs import Link, Source
from unitrack.plugins.options import load_object
from unitrack.plugins.registry import installed
from unitrack.records import AnyRecord, Artifact, RunStart
from unitrack.runfolder.manifest import LaneSpec
from unitrack.testing.whole_run import Contents

Points = list[tuple[str, int, float]]
"""Name, step and value, as the reader orders them."""
METRICS = ("loss", "acc")
"""What runs of these tests log: names that each backend keeps as they are."""


def points_by(backend: str) -> Callable[[LaneSpec, Link], tuple[int, Points]]:
    """The reader of a backend: how many runs it finds, and their points."""
    return _READERS[backend]


def read_contents(lane: LaneSpec, link: Link, start: RunStart) -> Contents:
    """All that the backend holds, the files included."""
    found = Contents()
    backend = installed().backend(lane.backend)
    if backend.source is None:
        return _read_probe(Path(lane.options["out"]), start)
    source = load_object(backend.source)(link.location)
    with tempfile.TemporaryDirectory() as scratch:
        for number, record in enumerate(source.records(link.id)):
            found.add(record)
            if isinstance(record, Artifact):
                path = Path(record.file)
                found.put(
                    record.name, path if path.exists() else _fetch(source, link, record, Path(scratch, str(number)))
                )
    return found


def _read_probe(out: Path, start: RunStart) -> Contents:
    found = Contents(status=json.loads((out / "ended.json").read_text())["status"])
    for record in (start, *_records(out / "stored.jsonl")):
        found.add(record)
        if isinstance(record, Artifact):
            found.put(record.name, out / "files" / record.name)
    return found


def _records(file: Path) -> list[AnyRecord]:
    return [msgspec.json.decode(line, type=AnyRecord) for line in file.read_bytes().splitlines()]


def _fetch(source: Source, link: Link, artifact: Artifact, folder: Path) -> Path:
    folder.mkdir()
    return source.fetch(link.id, artifact, folder)


def _local(lane: LaneSpec, link: Link) -> tuple[int, Points]:
    """A JSON object a line."""
    lines = map(json.loads, Path(link.location, link.id, "metrics.jsonl").read_text().splitlines())
    return 1, [(name, line["step"], value) for line in lines for name, value in line["metrics"].items()]


def _probe(lane: LaneSpec, link: Link) -> tuple[int, Points]:
    lines = map(json.loads, Path(lane.options["out"], "stored.jsonl").read_text().splitlines())
    return 1, [(name, one["step"], value) for one in lines for name, value in one.get("metrics", {}).items()]


def _mlflow(lane: LaneSpec, link: Link) -> tuple[int, Points]:
    from mlflow import MlflowClient

    client = MlflowClient(lane.options["tracking_uri"])
    runs = client.search_runs([client.get_run(link.id).info.experiment_id])
    histories = [(run.info.run_id, name) for run in runs for name in METRICS]
    return len(runs), [
        (m.key, m.step, m.value) for run, name in histories for m in client.get_metric_history(run, name)
    ]


def _wandb(lane: LaneSpec, link: Link) -> tuple[int, Points]:
    """What `wandb sync --sync-all` would take; read with the SDK's own records, since it ships no reader."""
    from unitrack_wandb.offline_run import OfflineRun

    folders = [path for path in Path(link.location).parent.glob("offline-run-*") if path.is_dir()]
    rows = [row for folder in folders for row in OfflineRun(folder).logged()]
    return len(folders), [(name, row["step"], row[name]) for row in rows for name in METRICS if name in row]


def _tensorboard(lane: LaneSpec, link: Link) -> tuple[int, Points]:
    """What `tensorboard --load_fast=false` shows; points of late steps are in a run of their own beside."""
    from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
    from tensorboard.util.tensor_util import make_ndarray

    events = EventMultiplexer(size_guidance={"tensors": 0}, tensor_size_guidance={"scalars": 0})
    events.AddRunsFromDirectory(lane.options["logdir"])
    events.Reload()
    found: Points = []
    for run in events.Runs():
        for tag in events.PluginRunToTagToContent("scalars").get(run, {}):
            found += [(tag, event.step, make_ndarray(event.tensor_proto).item()) for event in events.Tensors(run, tag)]
    return 1, found


def _trackio(lane: LaneSpec, link: Link) -> tuple[int, Points]:
    from trackio.sqlite_storage import SQLiteStorage

    project, _, run = link.id.partition("/")
    rows = SQLiteStorage.get_logs(project, run_id=run)
    runs = len(SQLiteStorage.get_runs(project))
    return runs, [(name, row["step"], row[name]) for row in rows for name in METRICS if name in row]


def _sql(lane: LaneSpec, link: Link) -> tuple[int, Points]:
    """By SQLite itself, from the view that people query."""
    with closing(sqlite3.connect(lane.options["url"].removeprefix("sqlite:///"))) as database:
        [runs] = database.execute("SELECT count(*) FROM unitrack_runs WHERE unitrack_id = ?", (link.id,)).fetchone()
        rows = database.execute("SELECT metric, step, value FROM unitrack_curves WHERE run = ?", (link.id,)).fetchall()
        return runs, rows


_READERS: dict[str, Callable[[LaneSpec, Link], tuple[int, Points]]] = {
    "local": _local,
    "probe": _probe,
    "mlflow": _mlflow,
    "wandb": _wandb,
    "tensorboard": _tensorboard,
    "trackio": _trackio,
    "sql": _sql,
}
