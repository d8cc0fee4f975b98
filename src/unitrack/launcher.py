"""What the launcher of several processes tells each of them: its rank, how many there are, what their job is called."""

from __future__ import annotations

import itertools
import os
import re
import zlib
from collections.abc import Mapping

from unitrack.errors import ConfigError
from unitrack.owner import boot_id, pid_namespace, process_start

RANK_VARIABLES = ("UNITRACK_RANK", "RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK", "PMI_RANK")
"""Who sets them: the user, torchrun (and DeepSpeed), Slurm, Open MPI, MPICH and Intel MPI. The first one counts."""

WORLD_SIZE_VARIABLES = ("WORLD_SIZE", "SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE")
"""Of Slurm that of the step: a script that `sbatch` runs is alone, whatever the job's number of tasks."""

RUN_ID_VARIABLES = ("UNITRACK_RUN_ID", "TORCHELASTIC_RUN_ID", "SLURM_JOB_ID")
"""What is the same in all ranks and new for each job."""

RESTART_VARIABLES = ("TORCHELASTIC_RESTART_COUNT", "SLURM_RESTART_COUNT")
"""How often the job was started again; torchrun always sets its own, Slurm only after a requeue."""

_NO_ID = "none"
"""What torchrun calls a job that was given no `--rdzv-id`: the same for all such jobs."""

_shared_runs = itertools.count(1)


def find_rank(configured: int | None, environ: Mapping[str, str] | None = None) -> int | None:
    """The rank of this process, read now and not at import; None where nothing tells of several processes."""
    if configured is not None:
        return configured
    variables = os.environ if environ is None else environ
    for variable in RANK_VARIABLES:
        if (text := variables.get(variable, "").strip()).isdecimal():
            return int(text)
    return None


def find_world_size(environ: Mapping[str, str] | None = None) -> int:
    """How many ranks there are, as the launcher says it; 1 where none does."""
    variables = os.environ if environ is None else environ
    for variable in WORLD_SIZE_VARIABLES:
        if (text := variables.get(variable, "").strip()).isdecimal():
            return int(text)
    return 1


def is_restart(environ: Mapping[str, str] | None = None) -> bool:
    """Return whether the launcher says that it has started this job before: torchrun or Slurm counts restarts."""
    variables = os.environ if environ is None else environ
    counts = (variables.get(variable, "").strip() for variable in RESTART_VARIABLES)
    return any(count.isdecimal() and int(count) > 0 for count in counts)


def _id_of_agent(variables: Mapping[str, str]) -> str | None:
    """An id for a torchrun job without one: its agent, the parent of all ranks and of their restarts, on one node."""
    world, local = variables.get("WORLD_SIZE"), variables.get("LOCAL_WORLD_SIZE")
    if variables.get("TORCHELASTIC_RUN_ID", "").strip() != _NO_ID or not world or world != local:
        return None
    parent = os.getppid()
    told = f"{boot_id()} {pid_namespace()} {parent} {process_start(parent)} {os.uname().nodename}"
    return f"torchrun-{zlib.crc32(told.encode()):08x}-{parent}"


def shared_run_id(environ: Mapping[str, str] | None = None) -> str:
    """A run id that all ranks of this job come to by themselves; a process's second run gets "<id>-2".

    Raises `ConfigError` if the environment holds none.
    """
    variables = os.environ if environ is None else environ
    found = (variables.get(variable, "").strip() for variable in RUN_ID_VARIABLES)
    given = next((text for text in found if text and text != _NO_ID), None)
    given = given or _id_of_agent(variables)
    if given is None:
        raise ConfigError(
            "tracking.ranks: all needs a run id that all ranks know: pass run_id= to start_run, or set UNITRACK_RUN_ID"
        )
    number = next(_shared_runs)
    safe = re.sub(r"[^A-Za-z0-9_.\-]", "-", given).lstrip("_.-")[:56] or "job"
    return safe if number == 1 else f"{safe}-{number}"
