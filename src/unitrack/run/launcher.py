"""The launcher's environment variables: the rank of this process, the number of ranks, the id of their job."""

from __future__ import annotations

import itertools
import os
import re
import zlib
from collections.abc import Mapping

from unitrack.errors import ConfigError
from unitrack.system.processes import boot_id, pid_namespace, process_start

RANK_VARIABLES = ("UNITRACK_RANK", "RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK", "PMI_RANK")
"""Set by the user, torchrun (and DeepSpeed), Slurm, Open MPI, MPICH and Intel MPI. The first one set is used."""

WORLD_SIZE_VARIABLES = ("WORLD_SIZE", "SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE")
"""For Slurm, the number of tasks of the step: a script that `sbatch` runs is alone, however many the job has."""

CROWD_VARIABLES = ("SLURM_ARRAY_TASK_COUNT",)
"""The number of jobs that start together, each with runs of its own: for Slurm, the tasks of a job array."""

RUN_ID_VARIABLES = ("UNITRACK_RUN_ID", "TORCHELASTIC_RUN_ID", "SLURM_JOB_ID")
"""Variables with the same value in all ranks, and another one for each job."""

RESTART_VARIABLES = ("TORCHELASTIC_RESTART_COUNT", "SLURM_RESTART_COUNT")
"""The number of restarts of the job. Torchrun always sets its variable, Slurm only after a requeue."""

_NO_ID = "none"
"""The id that torchrun gives to every job without `--rdzv-id`."""

_shared_runs = itertools.count(1)


def find_rank(configured: int | None, environ: Mapping[str, str] | None = None) -> int | None:
    """Return the rank of this process, read at each call; None without a launcher of several processes."""
    if configured is not None:
        return configured
    variables = os.environ if environ is None else environ
    for variable in RANK_VARIABLES:
        if (text := variables.get(variable, "").strip()).isdecimal():
            return int(text)
    return None


def find_world_size(environ: Mapping[str, str] | None = None) -> int:
    """Return the number of ranks that the launcher reports; 1 without a launcher."""
    variables = os.environ if environ is None else environ
    for variable in WORLD_SIZE_VARIABLES:
        if (text := variables.get(variable, "").strip()).isdecimal():
            return int(text)
    return 1


def find_crowd(rank: int | None, environ: Mapping[str, str] | None = None) -> int:
    """Return how many runs start together as far as the launcher tells; 1 if it tells nothing.

    `rank`: the one that is configured. With `rank: 0` each of the launcher's processes has a run of its own.
    """
    variables = os.environ if environ is None else environ
    counts = [text for name in CROWD_VARIABLES if (text := variables.get(name, "").strip()).isdecimal()]
    jobs = max(1, int(counts[0])) if counts else 1
    return jobs * find_world_size(variables) if rank == 0 else jobs


def is_restart(environ: Mapping[str, str] | None = None) -> bool:
    """Return whether the launcher (torchrun or Slurm) reports that it has restarted this job."""
    variables = os.environ if environ is None else environ
    counts = (variables.get(variable, "").strip() for variable in RESTART_VARIABLES)
    return any(count.isdecimal() and int(count) > 0 for count in counts)


def _id_of_agent(variables: Mapping[str, str]) -> str | None:
    """Return an id for a torchrun job without one, on one node; None otherwise.

    It is made from the agent, which is the parent of all ranks and of their restarts.
    """
    world, local = variables.get("WORLD_SIZE"), variables.get("LOCAL_WORLD_SIZE")
    if variables.get("TORCHELASTIC_RUN_ID", "").strip() != _NO_ID or not world or world != local:
        return None
    parent = os.getppid()
    agent = f"{boot_id()} {pid_namespace()} {parent} {process_start(parent)} {os.uname().nodename}"
    return f"torchrun-{zlib.crc32(agent.encode()):08x}-{parent}"


def shared_run_id(environ: Mapping[str, str] | None = None) -> str:
    """Return a run id that is the same in all ranks of this job; the second run of a process gets "<id>-2".

    Raises `ConfigError` if the environment holds no id.
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
