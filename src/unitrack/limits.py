"""Limits and intervals, each with its reason or source. Those in `Limits` are set under `safeguards` in the config."""

from __future__ import annotations

from typing import Annotated

import msgspec

MIB = 1024 * 1024

Positive = Annotated[int, msgspec.Meta(ge=1)]


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bounds on what a log call accepts."""

    max_artifact_bytes: Positive = 100 * MIB
    """Bytes of one logged file or folder. A larger one is an error in the log call."""
    max_metrics_per_call: Positive = 10_000
    """Ten full MLflow batches. A larger dict was most likely meant to be a table or an artifact."""
    max_points_per_metric: Positive = 100_000_000
    """One point per millisecond for a day: more is a runaway loop."""
    max_name_length: Positive = 1_000
    """Characters. MLflow takes 250, and its sink shortens names; a name of more than 1,000 is data."""
    max_param_bytes: Positive = MIB
    """Bytes of one param's value as JSON. MLflow's limit for a whole request is 1 MB."""


MAX_PARAM_DEPTH = 100
"""Levels of nested params. JSON readers and Python's stack take several hundred, and backends add some levels."""

# The journal
SEGMENT_BYTES = 64 * MIB
"""A writer starts a new file beyond this, so that delivered files can be deleted during a long run."""
SYNC_INTERVAL_S = 5.0
"""The most that a power loss costs: `fdatasync` (p50 205 us, measured) runs this often, in another thread."""
MAX_STATE_BYTES = 256 * MIB
"""A manifest, a ledger or the params of a run are kilobytes. A larger file is not unitrack's and might fill memory."""
MAX_LINE_BYTES = 256 * MIB
"""The longest line of a journal that a reader loads: far more than the limits on a call allow."""
FOREIGN_BYTES = SEGMENT_BYTES
"""How far a reader searches for the next line after damage. A power loss leaves zeros or old blocks, less than a
segment of them; anything longer is a file of another program, perhaps a sparse one of any size."""
MAX_STEP = 2**63 - 1
"""The largest int64: MLflow, TensorBoard and W&B store steps as int64."""
HOUSEKEEPING_S = 1.0
"""How often the training process checks its couriers and its sinks' ledgers, off the calling thread."""
MAX_UNREAD_CALLS = 10_000
"""Log calls whose values are not read from their device yet; the next call waits. A scalar takes 512 bytes of a GPU's
memory (the unit of torch's and CuPy's allocators), so the limit is 5 MB per metric of a call."""
READ_GRACE_S = 0.5
"""The least time that `finish` gives a device; it promises to return a second after its timeout."""
READ_AT_KILL_S = 5.0
"""How long the handler of SIGTERM waits for a device: SIGKILL follows after 30 s (Slurm, Kubernetes) or 10 s."""

MAX_SAMPLED_BYTES = 64 * MIB
"""Of copies of a watched model's tensors that wait for their histograms. Beyond, samples are skipped."""
MAX_SAMPLES = 100
"""Samples that wait: of a small model each takes some ms, most of it for writing files."""

# The environment of a run
CAPTURE_S = 60.0
"""How long git and the like may take, outside of training, to find out about the environment of a run. `git status` in
a repository of a million files takes about 10 s."""
HASHED_AT_ONCE_BYTES = MIB
"""What a log call hashes itself, in about 2 ms; more is hashed by a courier, or by another thread."""
HEAD_S = 1.0
"""How long the call of `log_environment` waits for git to name the commit, which takes 3 ms (measured)."""
MAX_SNAPSHOT_FILES = 10_000
"""How many untracked files are kept with a run. More than that is unpacked data, not code."""
MAX_PATCH_BYTES = 10 * MIB
"""A larger patch is left out: nobody reads it, and the tree is in the repository."""
MAX_LISTED = 1_000
"""Names of files in a list of a record, such as those that were left out; the rest is counted."""

# Delivery
READ_BYTES = MIB
"""Bytes that a lane reads from the journal at a time: about 10,000 points, ten full MLflow batches."""
WINDOW_CALLS = 16
WINDOW_ARTIFACTS = 16
WINDOW_ARTIFACT_BYTES = 8 * MIB
"""The part of a chunk that a lane delivers and commits at a time, and so sends again after a failure. Enough artifacts
to upload several in parallel. The points of a chunk are not divided: they go in one call."""
POLL_MIN_S = 0.01
POLL_MAX_S = 0.2
"""How often an idle lane looks for new lines: soon after the last one, then less often, five times a second at rest."""
REST_FOR_WORK = 20
"""A lane that has caught up pauses this many times as long as it worked, within the two bounds above, so it takes a
twentieth of a processor. Without the pause, at 300 points per second, MLflow took a third and four sinks two thirds
(measured)."""
CROWD_CALL_S = 0.01
"""What a crowd of runs that share a server may take of it for points: a request each 10 ms, all together. An MLflow
server answered 40 to 60 a second on two processors that its clients shared (`benchmarks/scale.py`)."""
CROWD_OPENING_S = 0.03
CROWD_OPENS_WITHIN_S = 30.0
"""How much time each run of a crowd adds to that within which all of them open their sinks, and its bound. To open one
takes five requests of an MLflow server. The default timeout of `finish` is twice the bound."""
CROWD_REST_MAX_S = 10.0
"""The longest rest of a lane between two rounds, however slow its server is. So long `finish` may wait for more."""
SLOW_ROUND_S = 1.0
REST_FOR_SLOWNESS = 4.0
"""A round that takes longer than a second is followed by a rest of four times as long as it took more. If N lanes share
a server that answers C requests a second, a request takes about N / 5 C seconds then, in place of N / C."""
RETRY_FIRST_S = 0.5
RETRY_MAX_S = 60.0
"""Exponential back-off with full jitter between half of the first and these, as in gRPC's and OpenTelemetry's
exporters: each pause is a random part of the longest one by then."""
RETRY_AFTER_SPREAD = 0.25
"""The part by which the pause that a backend names (`Retry-After`) is made longer at random: it tells all clients the
same, at the same time."""
IN_PLACE_TRIES = 6
"""How often one call is tried before it counts as failed: if every second request fails, one call in 64 does."""
IN_PLACE_FIRST_S = 0.02
IN_PLACE_MAX_S = 0.5
"""Pauses between those tries, doubled each time: after a brief fault, a server answers the next request at once."""
IN_PLACE_LASTS_S = 5.0
"""No try starts later than this after the first one: if the server does not answer, each takes the client's whole
timeout."""
IN_PLACE_WANTED_S = 60.0
"""How long tries go on if the backend names the pause itself, as a rate limit does with `Retry-After`."""
UNEXPECTED_TRIES = 3
"""How often an exception that a sink did not classify is retried before its record is blamed."""
MAX_CONSECUTIVE_REJECTS = 5
"""Unclassified failures of this many records in a row mean that the sink is broken, not the records."""
PARKED_RETRY_S = 300.0
"""How often a parked lane tries again, in case the cause has been fixed."""
NAMED_DAMAGES = 20
"""How many damaged places of a journal a ledger lists; all are counted. A ledger is rewritten at each commit."""
WRITERS_GRACE_S = 2.0
"""How long a lane waits at the end of a run for other processes that still log to it."""
REQUEST_GRACE_S = 10.0
"""How long after a log call a courier may begin with what the call has left to it, before lanes stop waiting for it: a
courier that is just starting on a busy machine takes seconds."""
ANSWER_GRACE_S = 30.0
"""How long an answer that is being worked on holds up the end of its run. What comes later ends the run once more."""
ANSWER_S = 1800.0
"""How long couriers whose training has ended go on with what log calls left to them: a dataset of a terabyte is read at
about 1 GB/s."""
OWNER_POLL_S = 1.0
"""How often a courier checks whether the processes that started its runs are alive."""
LINGER_S = 600.0
"""How long a courier whose owner is gone goes on trying: a restart of a server or a network takes minutes."""
LINGER_POLL_S = 1.0
"""How often such a courier checks whether its pause is over, and whether the run is still its own to deliver. It may
wait for hours, and waking up once a second has no measurable cost."""
HAND_OVER_S = 2.0
"""How long a process waits in a handover of a sink: `unitrack sync` for the courier that it asked to release it, that
courier before it takes the sink back, and a courier whose training has ended for an earlier courier. It is twice the
interval at which a courier checks."""
TAKE_UP_LOOK_S = 300.0
"""How often an idle courier looks for records that earlier runs left pending. With 1,000 complete runs a look takes
12 ms (measured)."""
TAKE_UP_FAILURES = 3
"""After this many failures in a row it looks again later: the backend is down, and each failure takes seconds."""
TAKE_UP_DEATHS = 2
"""A run during whose delivery this many couriers died is not taken up again, so that it kills no more of them."""
TERM_GRACE_S = 25.0
"""How long a courier goes on after SIGTERM while it has records to deliver. Slurm (`KillWait`) and Kubernetes send
SIGKILL after 30 s, and leaving may take `COURIER_LEAVES_WITHIN_S`."""
DRAIN_STALL_S = 15.0
"""How long a courier whose owner is gone waits for other processes that still log to a run that has ended."""
DRAIN_HUNG_STALLS = 20
"""How many times `DRAIN_STALL_S` it waits for a call that does not return. An upload may take long, but one of more
than five minutes is better left to a later sync."""
BEAT_S = 5.0
"""How often a process that logs renews its sign of life, off the calling thread: one `utime`."""
BEAT_FRESH_S = 20.0
"""The age up to which a sign of life proves life where neither pid nor lock can be checked."""
BEAT_GONE_S = 120.0
"""The silence after which a process of another machine counts as gone. A call may hold the interpreter's lock for
seconds, and a network file system may stall for a minute (NFS retries a request after 60 s)."""
MAX_COURIER_RESTARTS = 3
"""A courier that dies more often has a fault that no restart fixes: a segfault in an SDK, lack of memory."""
IMPORT_TURN_S = 5.0
"""How long a courier waits while others of its run import their SDKs. MLflow's import, the longest, takes 1.3 s
(measured), 4 s if Python caches no bytecode (PYTHONDONTWRITEBYTECODE)."""
HEARTBEAT_S = 1.0
"""How often a courier reports that it is healthy, and checks its memory and its log."""
COURIER_SILENT_S = 60.0
"""The silence after which a courier is killed and started again. Importing an SDK on a busy machine may hold the
interpreter's lock for seconds, not for a minute."""
SINK_HUNG_S = 1800.0
"""A call of a sink that takes longer counts as hung, and its courier is started again. Ten gigabytes, a very large file
to upload in one piece, take 14 minutes at 100 Mbit/s."""
COURIER_RSS_BYTES = 2048 * MIB
"""A larger courier leaks memory and is started again: MLflow's client takes 250 MB (measured), W&B's 200."""
COURIER_LEAVES_WITHIN_S = 5.0
"""How long a courier that is to be started again waits for its running calls."""
COURIER_LOG_BYTES = MIB
"""The size beyond which the output of a courier and its backend is cut to its last quarter."""

# Sweeps
PROGRAM_GRACE_S = 30.0
"""How long a trial's program may go on after SIGTERM, before SIGKILL: as long as W&B's agents, Slurm and Kubernetes
wait."""

# Waiting for delivery
CLEANUP_S = 0.5
"""How long `finish` waits for a thread of this process to remove the spool of a complete run: an interpreter that exits
at once would leave it there."""
FINISH_TIMEOUT_S = 60.0
"""The default timeout of `finish`: importing mlflow takes 5 to 8 s (measured), more on a slow disk."""
HOPELESS_ATTEMPTS = 4
"""A sink that failed this often in a row (1 to 8 s with back-off) is waited for only if the caller gave a timeout."""
EXIT_TIMEOUT_S = 10.0
"""The longest wait of an interpreter that exits without `finish()`; couriers go on without it."""
CONTAINER_TIMEOUT_S = 600.0
"""The longest wait of a process whose end stops its container, and so its couriers, while deliveries make progress."""
CONTAINER_STALL_S = 60.0
"""That wait ends if nothing is delivered for this long, which covers a cold start of an SDK and a slow request."""

# Sweeps
MAX_GRID = 1_000
"""Combinations of a grid that `unitrack.sweep` takes without `n=`. A larger one was most likely meant for a search."""
MAX_COMBINATIONS = 100
"""Combinations that `unitrack.run_sweep` takes, as the document of experiment management prints it."""
AGENT_BEAT_S = 60.0
"""How often an agent of a sweep renews the signs of life of its trials in the study, for agents on other machines."""
AGENT_GONE_S = 300.0
"""The silence after which they take over its trials. Five beats: a database may be away for minutes, clocks differ."""
TRIAL_RETRIES = 1
"""How often the params of a trial whose process died are tried again. A machine that stops is no fault of theirs; a
process that runs out of memory twice is."""
