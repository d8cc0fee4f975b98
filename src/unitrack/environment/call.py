"""The first half of a capture, in the call of `log_environment`: what may be different a moment later."""

from __future__ import annotations

import contextlib
import os
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from unitrack.environment.command import describe_command, script_path
from unitrack.environment.git import GitTimeoutError
from unitrack.environment.machine import describe_host
from unitrack.environment.record import Environment, Git, Python
from unitrack.environment.repository import commit_of
from unitrack.environment.request import Secrecy
from unitrack.environment.seeds import as_started
from unitrack.environment.surroundings import chosen_variables, container_of, scheduler_ids
from unitrack.limits import HEAD_S

LATER = "git had no time to name the commit"
"""The reason at the call why there is no commit yet."""


def capture_call(variables: Sequence[str], secrecy: Secrecy, seeds: Mapping[str, Any]) -> Environment:
    """Return what the process itself knows of its environment. `variables`: globs of the names to record."""
    try:
        commit, reason = commit_of(search_folders(), HEAD_S)
    except GitTimeoutError:
        commit, reason = None, LATER
    return Environment(
        captured_at=time.time_ns() // 1_000_000,
        python=Python(
            version=sys.version,
            implementation=platform.python_implementation(),
            executable=sys.executable or "",
            prefix=sys.prefix,
            base_prefix=sys.base_prefix,
        ),
        platform=platform.platform(),
        machine=describe_host(),
        git=Git(commit=commit) if commit else None,
        git_note=reason,
        command=describe_command(secrecy.keys, secrecy.patterns),
        variables=chosen_variables(variables, as_started(os.environ), secrecy.keys, secrecy.patterns),
        scheduler=scheduler_ids(os.environ),
        container=container_of(os.environ),
        seeds=dict(seeds),
    )


def search_folders() -> tuple[str, ...]:
    """Return where the repository of the program is looked for: where it works, then where its file lies."""
    folders = []
    with contextlib.suppress(OSError):  # it was deleted
        folders.append(os.getcwd())
    script = script_path()
    if script and not os.path.realpath(script).startswith(
        os.path.realpath(sys.prefix) + os.sep
    ):  # an installed command
        folders.append(os.path.dirname(script))
    return tuple(folders)
