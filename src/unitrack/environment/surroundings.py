"""What surrounds a process: chosen environment variables, the scheduler's job, the container."""

from __future__ import annotations

import contextlib
import fnmatch
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from unitrack.values.plain import plain_text
from unitrack.values.redaction import redact

_SCHEDULERS = (
    "SLURM_JOB_ID",
    "SLURM_JOB_NAME",
    "SLURM_ARRAY_JOB_ID",
    "SLURM_ARRAY_TASK_ID",
    "SLURM_STEP_ID",
    "SLURM_CLUSTER_NAME",
    "SLURM_JOB_PARTITION",
    "SLURM_JOB_ACCOUNT",
    "SLURM_JOB_NODELIST",
    "SLURM_NNODES",
    "SLURM_NTASKS",
    "SLURM_PROCID",
    "SLURM_RESTART_COUNT",
    "SLURMD_NODENAME",
    "PBS_JOBID",
    "LSB_JOBID",
    "FLUX_JOB_ID",
    "KUBERNETES_SERVICE_HOST",
    "POD_NAME",
    "POD_NAMESPACE",
    "POD_UID",
    "NODE_NAME",
    "JOB_NAME",
    "JOB_COMPLETION_INDEX",
    "RAY_JOB_ID",
    "RAY_ADDRESS",
    "AWS_BATCH_JOB_ID",
    "TORCHELASTIC_RUN_ID",
    "TORCHELASTIC_RESTART_COUNT",
    "DASK_SCHEDULER_ADDRESS",
    "GITHUB_RUN_ID",
    "CI_JOB_ID",
)
_UNRELATED = (
    "TF_CLI_",
    "TF_CLOUD_",
    "TF_DATA_DIR",
    "TF_ENCRYPTION",
    "TF_HTTP_",
    "TF_IN_AUTOMATION",
    "TF_PLUGIN_CACHE_",
    "TF_TOKEN_",
    "TF_VAR_",
    "TF_WORKSPACE",
)
"""How variables of Terraform begin, some of which hold credentials. Only a glob that begins so gets them.

https://developer.hashicorp.com/terraform/cli/config/environment-variables
"""
_MAX_VALUE = 10_000
"""Characters of a variable."""
_CONTAINER_ID = re.compile(r"[0-9a-f]{64}")
_POD = re.compile(r"kubepods.*?pod([0-9a-f]{8}[-_][0-9a-f_-]{27})")


def chosen_variables(
    globs: Sequence[str], environ: Mapping[str, str], redact_keys: Sequence[str] = (), patterns: Sequence[str] = ()
) -> dict[str, str]:
    """Return the variables whose names match a glob, with secrets redacted; Terraform's only by globs of their own."""
    exact = {glob for glob in globs if not any(sign in glob for sign in "*?[")}
    begins = tuple(glob[:-1] for glob in globs if glob.endswith("*") and not any(sign in glob[:-1] for sign in "*?["))
    rest = [
        glob for glob in globs if glob not in exact and glob[:-1] not in begins
    ]  # a pattern costs 0.5 ms to compile
    chosen = {
        plain_text(name): plain_text(value)[:_MAX_VALUE]
        for name, value in sorted(environ.items())
        if name in exact or name.startswith(begins) or any(fnmatch.fnmatchcase(name, glob) for glob in rest)
        if not name.startswith(_UNRELATED) or any(_is_meant(name, glob) for glob in globs)
    }
    clean: dict[str, str] = redact(chosen, "", redact_keys, patterns)
    return clean


def _is_meant(name: str, glob: str) -> bool:
    """Return whether a glob matches a variable of Terraform, and no others than Terraform's."""
    return glob.startswith(_UNRELATED) and fnmatch.fnmatchcase(name, glob)


def scheduler_ids(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what says which job this process is a part of, by variable; `RAY_...` also as Ray itself knows it."""
    is_kubernetes = "KUBERNETES_SERVICE_HOST" in environ
    found = {
        name: plain_text(environ[name])[:_MAX_VALUE]
        for name in _SCHEDULERS
        if environ.get(name) and (name not in ("JOB_NAME", "NODE_NAME") or is_kubernetes)
    }
    if is_kubernetes:
        found.setdefault("POD_NAME", plain_text(environ.get("HOSTNAME", "")))
        with contextlib.suppress(OSError):
            namespace = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace").read_text(encoding="utf-8")
            found.setdefault("POD_NAMESPACE", namespace.strip())
    clean: dict[str, str] = redact(found | _ray_ids())
    return clean


def _ray_ids() -> dict[str, str]:
    """Return the ids of Ray's job, task and node, if Ray is in use in this process."""
    ray: Any = sys.modules.get("ray")
    found: dict[str, str] = {}
    with contextlib.suppress(Exception):  # another version of Ray, or it is shutting down
        if ray is not None and ray.is_initialized():
            context = ray.get_runtime_context()
            for name in ("job", "task", "actor", "node"):
                if value := getattr(context, f"get_{name}_id")():
                    found[f"RAY_{name.upper()}_ID"] = str(value)
    return found


def container_of(environ: Mapping[str, str]) -> str:
    """Return the kind of the container that this process is in, and its id if that is known; "" outside one."""
    kind = _kind_of_container(environ)
    if not kind:
        return ""
    found = ""
    for file in ("/proc/self/cgroup", "/proc/self/mountinfo"):
        with contextlib.suppress(OSError):
            text = Path(file).read_text(encoding="utf-8", errors="replace")
            if pod := _POD.search(text):
                return f"{kind} pod {pod[1].replace('_', '-')}"
            if one := _CONTAINER_ID.search(text):
                found = found or one[0]
    image = environ.get("APPTAINER_CONTAINER") or environ.get("SINGULARITY_CONTAINER") or ""
    return " ".join(filter(None, (kind, plain_text(image) or found)))


def _kind_of_container(environ: Mapping[str, str]) -> str:
    if "KUBERNETES_SERVICE_HOST" in environ:
        return "kubernetes"
    if environ.get("APPTAINER_CONTAINER") or environ.get("SINGULARITY_CONTAINER"):
        return "apptainer"
    if os.path.exists("/run/.containerenv"):
        return "podman"
    if os.path.exists("/.dockerenv"):
        return "docker"
    return plain_text(environ.get("container", ""))  # systemd's word: "lxc", "systemd-nspawn", "oci"
