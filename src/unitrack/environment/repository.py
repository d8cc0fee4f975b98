"""The repository that a program's code is in: its commit, branch and remote, without changing or reading its files."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable
from urllib.parse import urlsplit, urlunsplit

import msgspec

from unitrack.environment.git import Git, GitError, GitTimeoutError
from unitrack.values.plain import plain_text

COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
"""SHA-1, or SHA-256 in repositories of that format."""


class Head(msgspec.Struct, frozen=True):
    """The place of a repository, and the commit in it."""

    root: str
    """The top folder of the work tree, as the system names it."""
    commit: str | None
    """None before the first commit."""


def find_head(folders: Iterable[str], seconds: float) -> Head:
    """Return the repository of the first of `folders` that is in one. Raises `GitError` with the first one's reason."""
    reason: GitError | None = None
    for folder in dict.fromkeys(folders):
        try:
            return head_of(Git(folder, seconds))
        except GitError as error:
            reason = reason or error
    raise reason or GitError("there is no folder to look in")


def commit_of(folders: Iterable[str], seconds: float) -> tuple[str | None, str]:
    """Return the commit of the first of `folders` that is in a repository, and why there is none: one call of git.

    Raises `GitTimeoutError` if git does not answer in time.
    """
    reason = ""
    for folder in dict.fromkeys(folders):
        try:
            commit = Git(folder, seconds).line("rev-parse", "--verify", "--quiet", "HEAD^{commit}", ok=(0, 1))
        except GitTimeoutError:
            raise
        except GitError as error:
            reason = reason or str(error)
            continue
        return commit or None, "" if commit else "the repository has no commit yet"
    return None, reason or "there is no folder to look in"


def head_of(git: Git) -> Head:
    """Return the repository of git's folder. Raises `GitError` if it is in none."""
    root = git.line("rev-parse", "--show-toplevel")
    if not root:
        raise GitError("the repository is bare: it has no work tree")
    commit = git.line("rev-parse", "--verify", "--quiet", "HEAD^{commit}", ok=(0, 1))
    return Head(root, commit or None)


def branch_of(git: Git) -> str | None:
    """Return the branch; None for a detached HEAD."""
    return plain_text(git.line("symbolic-ref", "--quiet", "--short", "HEAD", ok=(0, 1))) or None


def remote_of(git: Git, branch: str | None) -> str:
    """Return the URL of the branch's remote, else of origin or the only remote, without credentials; "" for none."""
    known = git.line("remote").splitlines()
    wanted = [git.line("config", "--get", f"branch.{branch}.remote", ok=(0, 1))] if branch else []
    wanted += ["origin"] if "origin" in known or len(known) != 1 else known
    for name in wanted:
        if name in known:
            return without_credentials(git.line("remote", "get-url", "--", name))
    return ""


def without_credentials(url: str) -> str:
    """Return the URL of a repository without user, password, token and query.

    The user of `git@host:path` and of ssh stays: it is the same for everybody.
    """
    url = plain_text(url)
    if "://" not in url:
        return re.sub(r"^([^/@:]+):[^/@]*@", r"\1@", url)  # user:password@host:path
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    host = parts.netloc.rpartition("@")[2]
    if parts.scheme.endswith("ssh") and "@" in parts.netloc:
        host = f"{parts.netloc.rpartition('@')[0].partition(':')[0]}@{host}"
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


def pushed_commit(git: Git, commit: str) -> str:
    """Return the newest ancestor of a commit that a remote branch has, as far as is known here; the commit itself if
    a remote has it, or if there is no remote branch.
    """
    with contextlib.suppress(GitError):
        unpushed = git.line("rev-list", "--max-count=1000", commit, "--not", "--remotes").split()
        if not unpushed or not git.line("for-each-ref", "--count=1", "refs/remotes"):
            return commit
        parent = git.line("rev-parse", "--verify", "--quiet", f"{unpushed[-1]}^", ok=(0, 1))
        if COMMIT.fullmatch(parent) and not git.line("rev-list", "--max-count=1", parent, "--not", "--remotes"):
            return parent
    return commit


def relative_to(path: str, root: str) -> str | None:
    """Return a path below a folder with slashes, "" for the folder itself; None if it lies elsewhere."""
    inside = os.path.relpath(os.path.realpath(path), os.path.realpath(root))
    if inside == os.curdir:
        return ""
    return None if inside == os.pardir or inside.startswith(os.pardir + os.sep) else plain_text(inside)
