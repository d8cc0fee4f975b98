"""Every key of the configuration: its type, bounds, default and meaning.

The JSON Schema and the tables of docs/reference/configuration.md are generated from this file and `limits.Limits`: the
text under a field is its description there.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from unitrack.config.sinks import DEFAULT_BACKEND, SinkSettings, name_sinks, read_sinks
from unitrack.limits import CONTAINER_TIMEOUT_S, FINISH_TIMEOUT_S, LINGER_S, MIB, Limits

Text = Annotated[str, msgspec.Meta(min_length=1)]
Count = Annotated[int, msgspec.Meta(ge=1)]
Linger = Annotated[float, msgspec.Meta(ge=0)] | Literal["forever"]
Seed = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]
SinkEntry = Text | Annotated[dict[Text, dict[str, Any] | None], msgspec.Meta(min_length=1, max_length=1)]


VARIABLES = (
    "CUDA_*",
    "CUBLAS_*",
    "CUDNN_*",
    "HIP_*",
    "HSA_*",
    "JAX_*",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "MKL_*",
    "NCCL_*",
    "NVIDIA_VISIBLE_DEVICES",
    "OMP_*",
    "OPENBLAS_*",
    "PYTHON*",
    "PYTORCH_*",
    "ROCR_VISIBLE_DEVICES",
    "TF_*",
    "TOKENIZERS_PARALLELISM",
    "TORCH_*",
    "VIRTUAL_ENV",
    "WORLD_SIZE",
    "XLA_*",
)
"""Variables that change what a training computes, or how fast."""


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of the sections."""


class Experiment(Section, frozen=True):
    """What is being tracked."""

    name: Text | None = None
    """The run's name. Not set: two words, such as "brave-otter"."""
    project: Text | None = None
    """The project that runs are grouped by: an experiment in MLflow, a project in W&B. Not set: the name of the git \
repository, else of the working directory."""
    description: str = ""
    """What the run is for, in free text."""
    parent: Text | None = None
    """The id of the run that this one is a part of: shown below it in MLflow."""
    group: Text | None = None
    """The group of runs that it belongs to: a group in W&B."""
    job_type: Text | None = None
    """What the run does in its group, such as "train" or "evaluate": a job type in W&B."""
    tags: dict[Text, str] = {}
    """Labels to find runs by. Those of the file, the environment and the call are merged."""


class Tracking(Section, frozen=True):
    """Where runs go, and how."""

    backend: Text | None = None
    """Short for `sinks: [backend]`, for a single backend without options."""
    sinks: Annotated[tuple[SinkEntry, ...], msgspec.Meta(min_length=1)] | None = None
    """The backends that receive the data: names, or one-key mappings `name: {options}`. Not set: mlflow if there is a \
`tracking_uri`, otherwise local. The option `name` renames a sink, for two of one backend."""
    tracking_uri: Text | None = None
    """For mlflow sinks whose options don't say otherwise: the tracking server or database."""
    artifact_location: Text | None = None
    """For local and mlflow sinks whose options do not say otherwise: where artifacts go, `s3://bucket/artifacts` for \
example. MLflow takes it for a new experiment."""
    root: Text = "experiments"
    """The folder that run folders are made in, relative to the working directory; `~` is the home folder."""
    delivery: Literal["process", "thread", "inline"] = "process"
    """Who feeds the sinks: courier processes, a thread of the training process, or the log call itself."""
    mode: Literal["enabled", "disabled"] = "enabled"
    """`disabled` turns every call into a no-op: nothing is written."""
    ranks: Literal["zero", "all"] = "zero"
    """Which ranks of a distributed training log: rank 0 alone, or each into a journal of its own in the same run."""
    rank: Annotated[int, msgspec.Meta(ge=0)] | None = None
    """The rank of this process. Not set: UNITRACK_RANK, RANK, SLURM_PROCID, OMPI_COMM_WORLD_RANK or PMI_RANK."""
    crowd: Count | None = None
    """How many runs start together and log to the same server: their sinks are opened one after the other and rest \
longer between two calls, so that the server is not overrun. Not set: SLURM_ARRAY_TASK_COUNT, times the number of \
processes if `rank: 0` is set here, or 1."""
    on_sink_error: Literal["warn", "raise"] = "warn"
    """Whether a sink in trouble only warns, or also makes `flush()` and `finish()` raise."""
    finish_timeout: Annotated[float, msgspec.Meta(ge=0)] = FINISH_TIMEOUT_S
    """Seconds that `finish()` waits for the sinks; what is pending then is delivered later."""
    linger: Linger = LINGER_S
    """Seconds that couriers go on trying after training has exited, counted from the last thing that a backend took. \
`0`: until the first failure that lasts; `forever`: until everything has arrived."""
    take_up: bool = True
    """Whether couriers also deliver what earlier runs under the same root left pending for the same backend and \
options, once their own runs have everything."""
    courier_nice: Annotated[int, msgspec.Meta(ge=0, le=19)] = 10
    """How far couriers step back behind training for the processor, as by the command `nice`: 0 not at all, 19 most. \
The first run of a process decides, as all share the couriers."""
    announce: bool = True
    """Whether the address of the run's page in a backend is printed to standard error, once it is known."""
    container_timeout: Annotated[float, msgspec.Meta(ge=0)] = CONTAINER_TIMEOUT_S
    """The same where the end of the process ends its container: seconds at most, as long as delivery progresses."""
    ends_container: bool | None = None
    """Whether the end of the process ends its container. Not set: if it, or its parent in a container, is PID 1."""


class Logging(Section, frozen=True):
    """How often things are logged."""

    log_frequency: Count = 1
    """Of each metric every n-th point is kept, and always the first and the last; 1 keeps all."""
    log_system_metrics: bool = False
    """Whether the machine's load (CPU, memory and the like) is logged beside the run's metrics."""
    system_metrics_interval: Annotated[float, msgspec.Meta(gt=0)] = 10.0
    """Seconds between two samples of the system metrics."""


class Artifacts(Section, frozen=True):
    """Which outputs are stored."""

    save_model: bool = True
    """Whether `log_model` stores models."""
    save_plots: bool = True
    """Whether `log_figure` and `log_image` store their pictures."""
    save_config: bool = False
    """Whether the resolved configuration is stored with the run."""
    quota_bytes: Count | None = None
    """Bytes that named artifacts may take under one root, such as `50GB`: what would go beyond is an error, before \
anything is written. Not set: no limit."""


class Reproducibility(Section, frozen=True):
    """What it takes to run it again."""

    random_seed: Seed = 42
    """The seed of `random`, and of NumPy, torch and TensorFlow where they are imported, set at the start of a run if \
it is given here. 32 bits, as NumPy takes."""
    log_git_hash: bool = False
    """Whether the commit, and whether the work tree differs from it, are logged."""
    log_environment: bool = False
    """Whether the environment is logged: Python, platform, machine, packages, command line and code; see \
docs/how-to/reproduce.md."""
    log_git_tree: bool = True
    """Whether the environment has the exact tree, files that are not committed included: the repository keeps it as \
`refs/unitrack/<run id>`."""
    log_patch: bool = True
    """Whether the environment has the changes since the last commit as a patch among the run's artifacts."""
    max_file_bytes: Count = 10 * MIB
    """Bytes of one changed file; a larger one is neither in the tree nor in the patch, and is listed."""
    max_tree_bytes: Count = 100 * MIB
    """Bytes of all changed files, the smallest of which are kept."""
    variables: tuple[Text, ...] = VARIABLES
    """The environment variables that are part of the environment, as globs. What looks like a secret is redacted.
    `TF_*` leaves out those of Terraform, such as `TF_VAR_*`."""


class Alerts(Section, frozen=True):
    """Conditions over the run's metrics, and what happens when one becomes true."""

    rules: dict[Text, Text] = {}
    """Conditions by name, such as `diverged: mean(loss, 100) > 2 * min(loss)` or `stuck: stalled(10m)`. An alert is \
shown in the terminal, becomes a tag of the run, and goes to plugins that notify."""
    command: tuple[Text, ...] = ()
    """A program and its arguments that each alert starts; `{name}`, `{text}`, `{step}`, `{run}` and `{run_id}` are \
filled in."""


class Safeguards(Limits, frozen=True):
    """What a log call accepts, and what happens to the rest."""

    non_finite: Literal["raise", "warn", "drop", "keep"] = "raise"
    """What happens to a metric that is NaN or infinite: an error, kept with a warning, left out silently, or kept."""
    on_invalid: Literal["reject", "keep_rest"] = "reject"
    """Whether a call with one bad metric is refused whole, or keeps its good ones."""
    on_full_history: Literal["drop", "raise"] = "drop"
    """What happens to the points of a metric that has reached `max_points_per_metric`."""
    redact: tuple[Text, ...] = ()
    """More keys whose values are secret, as globs such as `*_pin`; beside the built-in ones."""
    redact_patterns: tuple[Text, ...] = ()
    """More texts that are secret, as regular expressions such as `ACME-[0-9]{8}`; what they find is replaced."""


class Settings(Section, frozen=True):
    """The configuration of unitrack: unitrack.yaml, or the table tool.unitrack of pyproject.toml."""

    experiment: Experiment = Experiment()
    tracking: Tracking = Tracking()
    logging: Logging = Logging()
    artifacts: Artifacts = Artifacts()
    reproducibility: Reproducibility = Reproducibility()
    alerts: Alerts = Alerts()
    safeguards: Safeguards = Safeguards()

    @property
    def sinks(self) -> tuple[SinkSettings, ...]:
        """The sinks that these settings mean, named and with their options complete.

        Raises `ConfigError` if two sinks have one name.
        """
        tracking = self.tracking
        entries = tracking.sinks or (tracking.backend or DEFAULT_BACKEND,)
        return name_sinks(read_sinks(entries))
