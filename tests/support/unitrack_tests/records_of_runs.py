"""A repository with a program, and what a run of it records."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from unitrack.environment.record import Command, Environment, Git, Machine, Python
from unitrack.rerun.git import run_git


def commit(folder: Path) -> str:
    """Commit everything in a work tree, and return the commit."""
    run_git(folder, "add", "-A")
    run_git(folder, "commit", "-qm", "state")
    return run_git(folder, "rev-parse", "HEAD")


def record(root: Path, **changes: Any) -> Environment:
    """What `python train.py` records in a work tree: here a commit, as no file differs from it."""
    head = run_git(root, "rev-parse", "HEAD")
    usual: dict[str, Any] = {
        "captured_at": 0,
        "is_complete": True,
        "python": Python(version=sys.version, implementation="CPython", executable=sys.executable, prefix=sys.prefix),
        "platform": "Linux",
        "machine": Machine(host=""),
        "git": Git(commit=head, dirty=False, root=str(root)),
        "command": Command(
            argv=("train.py", "--lr", "0.1"),
            script=str(root / "train.py"),
            script_in_repository="train.py",
            cwd=str(root),
            cwd_in_repository="",
        ),
    }
    return Environment(**usual | changes)
