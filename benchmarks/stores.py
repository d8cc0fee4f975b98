"""The same runs in the stores of several backends, written fast: what the benchmarks of reading read."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import struct
from pathlib import Path

FIRST_MS = 1_700_000_000_000
PARAMS, METRICS = 50, 20
"""Of each of many small runs."""


def write_mlflow(database: Path, points: int) -> str:
    """Write a run of one metric into a new SQLite database of MLflow; return its id."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{database}")
    run_id: str = client.create_run("0").info.run_id
    client.log_metric(run_id, "loss", (points - 1) * 0.5, FIRST_MS + points - 1, points - 1)
    rows = (("loss", step * 0.5, FIRST_MS + step, step, False, run_id) for step in range(points - 1))
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.executemany(
            "INSERT INTO metrics (key, value, timestamp, step, is_nan, run_uuid) VALUES (?, ?, ?, ?, ?, ?)", rows
        )
        connection.commit()
    client.set_terminated(run_id)
    return run_id


def write_many_to_mlflow(database: Path, runs: int) -> None:
    """Write small runs into a new SQLite database of MLflow."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{database}")
    template = client.create_run("0").info.run_id
    with contextlib.closing(sqlite3.connect(database)) as connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(runs)")]
        values = dict(zip(columns, *connection.execute("SELECT * FROM runs"), strict=True))
        for number in range(runs):
            run_id = f"{number:032x}"
            row = values | {"run_uuid": run_id, "name": f"run-{number}", "status": "FINISHED", "start_time": FIRST_MS}
            holes = ", ".join("?" * len(row))
            connection.execute(f"INSERT INTO runs ({', '.join(row)}) VALUES ({holes})", list(row.values()))
            params = ((f"p{place}", str(number * place), run_id) for place in range(PARAMS))
            connection.executemany("INSERT INTO params (key, value, run_uuid) VALUES (?, ?, ?)", params)
            metrics = [(f"m{place}", number + place / 7, FIRST_MS, 0, False, run_id) for place in range(METRICS)]
            for table in ("metrics", "latest_metrics"):
                connection.executemany(
                    f"INSERT INTO {table} (key, value, timestamp, step, is_nan, run_uuid) VALUES (?, ?, ?, ?, ?, ?)",
                    metrics,
                )
        connection.execute("DELETE FROM runs WHERE run_uuid = ?", (template,))
        connection.execute("DELETE FROM tags WHERE run_uuid = ?", (template,))
        connection.commit()


def write_many_local(root: Path, runs: int) -> None:
    """Write the same small runs as run folders."""
    for number in range(runs):
        folder = root / f"run-{number}"
        folder.mkdir(parents=True)
        identity = {"run_name": folder.name, "run_id": f"{number:032x}", "project": "bench", "status": "completed"}
        (folder / "metadata.json").write_text(json.dumps(identity | {"start_time_ms": FIRST_MS}))
        (folder / "params.json").write_text(json.dumps({f"p{place}": number * place for place in range(PARAMS)}))
        metrics = {f"m{place}": number + place / 7 for place in range(METRICS)}
        line = {"step": 0, "metrics": metrics, "time": FIRST_MS, "seq": 0}
        (folder / "metrics.jsonl").write_text(json.dumps(line) + "\n")


def write_tensorboard(logdir: Path, points: int) -> None:
    """Write an event file of one scalar, as a `SummaryWriter` does."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary

    from unitrack_tensorboard.tfrecord import frame

    logdir.mkdir(parents=True)
    with (logdir / "events.out.tfevents.1700000000.host.1.0").open("wb") as file:
        file.write(frame(Event(wall_time=FIRST_MS / 1000, file_version="brain.Event:2").SerializeToString()))
        for step in range(points):
            summary = Summary(value=[Summary.Value(tag="loss", simple_value=step * 0.5)])
            event = Event(wall_time=(FIRST_MS + step) / 1000, step=step, summary=summary)
            file.write(frame(event.SerializeToString()))


def write_columns(folder: Path, points: int) -> tuple[Path, ...]:
    """Write the steps, values and times as three files of 8 bytes an entry: what a disk alone would take."""
    folder.mkdir()
    for form, name, values in (
        ("q", "steps", range(points)),
        ("d", "values", [step * 0.5 for step in range(points)]),
        ("q", "times", range(FIRST_MS, FIRST_MS + points)),
    ):
        (folder / name).write_bytes(struct.pack(f"<{points}{form}", *values))
    return folder / "steps", folder / "values", folder / "times"
