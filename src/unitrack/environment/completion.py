"""The second half of a capture, outside of training: what takes time. Packages, GPUs, the git tree."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import msgspec

from unitrack.environment.git import GitError
from unitrack.environment.machine import describe_machine
from unitrack.environment.packages import installed_packages, requirements_of
from unitrack.environment.record import Command, Environment, Part
from unitrack.environment.repository import relative_to
from unitrack.environment.request import EnvironmentRequest
from unitrack.environment.work_tree import Code, capture_code
from unitrack.limits import CAPTURE_S


class Completion(Part, frozen=True, kw_only=True):
    """What the second half found."""

    environment: Environment
    patch: bytes
    requirements: str


def complete(request: EnvironmentRequest, scratch: Path) -> Completion:
    """Return the whole environment; what can't be found out is a note in it. `scratch`: for temporary files."""
    call = request.call
    notes = list(call.notes)
    with tempfile.TemporaryDirectory(prefix="environment-", dir=scratch) as own:
        code = _code(request, Path(own))
    if code.git is not None and call.git is not None and call.git.commit not in (None, code.git.commit):
        notes.append(f"the commit was {call.git.commit} at the call, and another one when the tree was taken")
    packages = installed_packages([os.fsdecode(entry) for entry in request.import_path], seconds=CAPTURE_S)
    whole = msgspec.structs.replace(
        call,
        is_complete=True,
        machine=describe_machine(call.machine.cores),
        packages=packages,
        git=code.git,
        git_note=code.reason,
        command=_placed(call.command, code.git.root) if code.git else call.command,
        notes=tuple(notes),
    )
    return Completion(environment=whole, patch=code.patch, requirements=requirements_of(packages, whole.python.number))


def _code(request: EnvironmentRequest, scratch: Path) -> Code:
    try:
        return capture_code(
            map(os.fsdecode, request.folders),
            request.terms,
            request.secrecy.patterns,
            request.call.captured_at,
            scratch,
        )
    except GitError as error:
        return Code(git=None, reason=str(error))


def _placed(command: Command, root: str) -> Command:
    """Return the command with its places in the repository."""
    return msgspec.structs.replace(
        command,
        script_in_repository=(relative_to(command.script, root) or "") if command.script else "",
        cwd_in_repository=relative_to(command.cwd, root) if command.cwd else None,
    )
