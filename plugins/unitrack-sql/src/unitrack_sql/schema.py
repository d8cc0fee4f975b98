"""The tables as queries name them. `migrations` makes them."""

from __future__ import annotations

from sqlalchemy import BigInteger, Double, LargeBinary, MetaData, Table, Text
from sqlalchemy import Column as C

_metadata = MetaData()

RUNS = Table(
    "unitrack_runs",
    _metadata,
    C("key", BigInteger, primary_key=True),
    C("id", Text),
    C("unitrack_id", Text),
    C("sink", Text),
    C("name", Text),
    C("project", Text),
    C("description", Text),
    C("status", Text),
    C("started", BigInteger),
    C("ended", BigInteger),
    C("opened", BigInteger),
)
PARAMS = Table(
    "unitrack_params",
    _metadata,
    C("run_key", BigInteger, primary_key=True),
    C("digest", Text, primary_key=True),
    C("position", BigInteger),
    C("name", Text),
    C("path", Text),
    C("value", Text),
    C("number", Double),
)
TAGS = Table(
    "unitrack_tags",
    _metadata,
    C("run_key", BigInteger, primary_key=True),
    C("digest", Text, primary_key=True),
    C("position", BigInteger),
    C("name", Text),
    C("value", Text),
)
METRICS = Table(
    "unitrack_metrics",
    _metadata,
    C("run_key", BigInteger, primary_key=True),
    C("metric", BigInteger, primary_key=True),
    C("name", Text),
    C("up_to", BigInteger),
    C("points", BigInteger),
    C("last", Double),
    C("last_step", BigInteger),
    C("first", Double),
    C("mean", Double),
    C("min", Double),
    C("max", Double),
    C("step_of_min", BigInteger),
    C("step_of_max", BigInteger),
)
POINTS = Table(
    "unitrack_points",
    _metadata,
    C("run_key", BigInteger, primary_key=True),
    C("metric", BigInteger, primary_key=True),
    C("number", BigInteger, primary_key=True),
    C("step", BigInteger),
    C("value", Double),
    C("time", BigInteger),
    C("withdrawn", BigInteger),
)
ARTIFACTS = Table(
    "unitrack_artifacts",
    _metadata,
    C("key", BigInteger, primary_key=True),
    C("run_key", BigInteger),
    C("digest", Text),
    C("name", Text),
    C("type", Text),
    C("folder", BigInteger),
    C("size", BigInteger),
    C("step", BigInteger),
    C("time", BigInteger),
    C("annotations", Text),
)
FILES = Table(
    "unitrack_files",
    _metadata,
    C("artifact_key", BigInteger, primary_key=True),
    C("number", BigInteger, primary_key=True),
    C("path", Text),
    C("digest", Text),
)
BLOBS = Table("unitrack_blobs", _metadata, C("digest", Text, primary_key=True), C("size", BigInteger))
CHUNKS = Table(
    "unitrack_chunks",
    _metadata,
    C("digest", Text, primary_key=True),
    C("number", BigInteger, primary_key=True),
    C("data", LargeBinary),
)
