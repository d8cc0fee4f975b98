"""Every number that has a reason, with its source. Those in `Limits` can be set under `safeguards` in the config."""

from __future__ import annotations

from typing import Annotated

import msgspec

MIB = 1024 * 1024

Positive = Annotated[int, msgspec.Meta(ge=1)]


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bounds on what a log call accepts."""

    max_artifact_bytes: Positive = 100 * MIB
    """Bytes of one file or folder that is logged; a larger one is an error in the log call."""
    max_metrics_per_call: Positive = 10_000
    """Ten full MLflow batches. More in one call is a dict that was meant to be a table or an artifact."""
    max_points_per_metric: Positive = 100_000_000
    """A point a millisecond for a day: a runaway loop, not a curve."""
    max_name_length: Positive = 1_000
    """Characters. MLflow takes 250, and its sink shortens; beyond 1,000 a name is data."""
    max_param_bytes: Positive = MIB
    """One param's value as JSON. MLflow's limit for a whole request is 1 MB."""


MAX_PARAM_DEPTH = 100
"""Levels of nested params: JSON readers and Python's stack take several hundred, and each backend nests by itself."""

# The journal
SEGMENT_BYTES = 64 * MIB
"""A writer starts a new file past this, so that delivered ones can be deleted during a long run."""
SYNC_INTERVAL_S = 5.0
"""How much a power loss can cost: `fdatasync` (p50 205 us, measured) runs this often, off the calling thread."""
MAX_STATE_BYTES = 256 * MIB
"""A manifest, a ledger or the params of a run are kilobytes; more is no file of ours, and reading it would fill memory.
"""
MAX_LINE_BYTES = 256 * MIB
"""A line of a journal that a reader takes into memory: far more than the limits on a call allow."""
FOREIGN_BYTES = SEGMENT_BYTES
"""How far a reader looks for the next line of a journal where none is. A loss of power leaves zeros or old blocks, less
than a segment of them; more is a file of another program, which may be sparse and as large as it claims."""
MAX_STEP = 2**63 - 1
"""int64, which MLflow, TensorBoard and W&B store."""
HOUSEKEEPING_S = 1.0
"""How often the training process looks after its couriers and its sinks' ledgers, off the calling thread."""
MAX_UNREAD_CALLS = 10_000
"""Log calls whose values a device has yet to compute; the next one waits. A scalar on a GPU takes 512 bytes (the unit
of torch's and CuPy's allocators), so this is 5 MB of it for each metric of a call."""
READ_GRACE_S = 0.5
"""What `finish` gives a device at least, whatever its timeout: it promises to return a second after that."""
READ_AT_KILL_S = 5.0
"""What SIGTERM gives a device: schedulers send SIGKILL after 30 s (Slurm, Kubernetes), docker after 10."""

# Delivery
READ_BYTES = MIB
"""What a lane takes from the journal at a time: about 10,000 points, ten full MLflow batches."""
WINDOW_CALLS = 16
WINDOW_ARTIFACTS = 16
WINDOW_ARTIFACT_BYTES = 8 * MIB
"""What a lane takes from that at a time, delivers and commits: what a failure may cost to send again. Enough artifacts
to upload several in parallel; points of a chunk are not cut, they go in one call."""
POLL_MIN_S = 0.01
POLL_MAX_S = 0.2
"""How often an idle lane looks for new lines: at once while they come, five times a second at rest."""
RETRY_FIRST_S = 0.5
RETRY_MAX_S = 60.0
"""Exponential back-off with full jitter between these, as in gRPC's and OpenTelemetry's exporters."""
IN_PLACE_TRIES = 6
"""How often one call is made before it counts as failed: if every second request fails, one call in 64 does."""
IN_PLACE_FIRST_S = 0.02
IN_PLACE_MAX_S = 0.5
"""Pauses between those tries, doubled each time: a server that is a little ill answers the next request at once."""
IN_PLACE_LASTS_S = 5.0
"""No other try later than this after the first one: against a server that does not answer, each takes as long as the
client waits."""
IN_PLACE_WANTED_S = 60.0
"""How long tries go on where the backend itself says when to come back, as a rate limit does with `Retry-After`."""
UNEXPECTED_TRIES = 3
"""How often an exception that a sink did not classify is retried before the record is called the culprit."""
MAX_CONSECUTIVE_REJECTS = 5
"""Unclassified failures of as many records in a row mean that the sink is broken, not the records."""
PARKED_RETRY_S = 300.0
"""A parked lane looks again this often, in case somebody mended what was wrong."""
NAMED_DAMAGES = 20
"""How many damaged places of a run's journal are named; all are counted. A ledger is written anew at each commit."""
WRITERS_GRACE_S = 2.0
"""How long a lane waits at the end of a run for other processes that still log to it."""
OWNER_POLL_S = 1.0
"""How often a courier looks whether the processes that started its runs are alive."""
LINGER_S = 600.0
"""How long a courier whose owner is gone goes on trying: a restart of a server, or of the network, takes minutes."""
LINGER_POLL_S = 1.0
"""How often such a courier looks whether its pause is over, or the run is not its to deliver any more: it may wait for
hours, and a wake-up a second costs nothing that can be measured."""
HAND_OVER_S = 2.0
"""How long `unitrack sync` waits for a courier that it has asked to let go of a sink, that one before it takes the sink
back, and a courier whose training has ended for one of before: twice the time in which a courier looks."""
TAKE_UP_LOOK_S = 300.0
"""How often a courier that has nothing to do looks for what earlier runs left pending. Of 1,000 complete runs it takes
12 ms (measured)."""
TAKE_UP_FAILURES = 3
"""After as many that fail in a row it looks again later: the backend is away, and each takes seconds to tell."""
TAKE_UP_DEATHS = 2
"""What as many couriers died of is not taken up any more: it must not cost the couriers of later runs their lives."""
TERM_GRACE_S = 25.0
"""How long a courier that is sent SIGTERM goes on while it has something to deliver. Slurm (`KillWait`) and Kubernetes
send SIGKILL after 30 s, and a courier that leaves may need `COURIER_LEAVES_WITHIN_S`."""
DRAIN_STALL_S = 15.0
"""How long a courier whose owner is gone waits for other processes that still log to a run that has ended."""
DRAIN_HUNG_STALLS = 20
"""How many times `DRAIN_STALL_S` it waits for a call that does not come back. A call may take long, as an upload does;
but an upload that takes more than five minutes is better made by a later sync."""
BEAT_S = 5.0
"""How often a process that logs renews its sign of life, off the calling thread: one `utime`."""
BEAT_FRESH_S = 20.0
"""A sign of life that is no older proves life where neither pid nor lock reaches."""
BEAT_GONE_S = 120.0
"""A process of another machine that was silent for so long is gone. A call may keep the interpreter's lock for seconds,
and a network file system may stall for a minute (NFS retries a request after 60 s)."""
MAX_COURIER_RESTARTS = 3
"""A courier that dies more often has a cause that a restart does not cure: a segfault in an SDK, memory."""
HEARTBEAT_S = 1.0
"""How often a courier says that it is well, and looks after its memory and its log."""
COURIER_SILENT_S = 60.0
"""A courier that is silent for so long is killed and started again. Importing an SDK on a busy machine may keep the
interpreter's lock for seconds, not for a minute."""
SINK_HUNG_S = 1800.0
"""A sink that keeps one call for so long will not return: its courier is started again. Ten gigabytes, the largest file
that anybody uploads in one piece, take 14 minutes at 100 Mbit/s."""
COURIER_RSS_BYTES = 2048 * MIB
"""A courier that is larger leaks, and is started again: MLflow's client takes 250 MB (measured), W&B's 200."""
COURIER_LEAVES_WITHIN_S = 5.0
"""How long a courier that leaves to be started again waits for the calls that are under way."""
COURIER_LOG_BYTES = MIB
"""What a courier and its backend print is cut to its last quarter beyond this."""

# Waiting for delivery
CLEANUP_S = 0.5
"""How long `finish` lets a thread of this process remove the spool of a complete run: an interpreter that exits at once
would leave it there."""
FINISH_TIMEOUT_S = 60.0
"""Importing mlflow costs 5 to 8 s (measured); a minute lets a cold start and a slow disk pass."""
HOPELESS_ATTEMPTS = 4
"""A sink that failed so often in a row (4 to 8 s with back-off) is not waited for unless a timeout was asked for."""
EXIT_TIMEOUT_S = 10.0
"""What an interpreter that exits without `finish()` waits at most; couriers go on without it."""
CONTAINER_TIMEOUT_S = 600.0
"""What a process whose end ends its container waits for deliveries that progress: couriers die with it."""
CONTAINER_STALL_S = 60.0
"""It stops where nothing arrives for so long: a cold start of an SDK and a slow request pass."""
