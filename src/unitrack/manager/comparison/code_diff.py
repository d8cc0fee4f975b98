"""How the code of two runs differs: their git commits, and the files that `log_code` has kept."""

from __future__ import annotations

import difflib
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from unitrack.reading import StoredRun

_CODE = "code"
"""The artifact, or the folder of artifacts, that `log_code` writes by default."""
_GIT_TIMEOUT_S = 30


def diff_code(before: StoredRun, after: StoredRun) -> str:
    """Return the difference of the code as a unified diff, with lines that begin with "#" for what can't be compared.

    Files that `log_code` has kept are fetched and compared; without them, the git commits are, if the repository in the
    working directory has both. Raises `SourceError` if files can't be fetched.
    """
    with tempfile.TemporaryDirectory(prefix="unitrack-") as scratch:
        old, new = _files(before, Path(scratch, "before")), _files(after, Path(scratch, "after"))
        if old and new:
            return "".join(_of_files(old, new)) or "# the code is the same\n"
    return _of_commits(before, after)


def _files(run: StoredRun, folder: Path) -> dict[str, Path]:
    for artifact in run.artifacts:
        if artifact.name.partition("/")[0] == _CODE:
            run.fetch(artifact, folder)
    return {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}


def _of_files(old: dict[str, Path], new: dict[str, Path]) -> Iterator[str]:
    for name in sorted({*old, *new}):
        before = _lines(old[name]) if name in old else []
        after = _lines(new[name]) if name in new else []
        for line in difflib.unified_diff(before, after, f"a/{name}", f"b/{name}"):
            yield line if line.endswith("\n") else f"{line}\n"


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)


def _of_commits(before: StoredRun, after: StoredRun) -> str:
    commits = [str(run.params.get("git_hash", "unknown")) for run in (before, after)]
    if "unknown" in commits:
        return "# neither files of the code nor the commits of both runs are known: see log_code and log_environment\n"
    notes = "".join(
        f"# {run.name} ran with changes that are not in its commit\n"
        for run in (before, after)
        if run.params.get("git_dirty")
    )
    if commits[0] == commits[1]:
        return f"{notes}# both ran commit {commits[0]}\n"
    try:
        done = subprocess.run(
            ["git", "diff", "--no-color", "--no-ext-diff", "--end-of-options", *commits],
            capture_output=True,
            text=True,
            errors="replace",
            check=True,
            timeout=_GIT_TIMEOUT_S,
        )
    except (OSError, subprocess.SubprocessError):
        return f"{notes}# commits {commits[0]} and {commits[1]}: the repository in this folder does not have both\n"
    return notes + done.stdout
