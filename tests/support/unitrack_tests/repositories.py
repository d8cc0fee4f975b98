"""A repository of git for tests."""

from __future__ import annotations

import subprocess
from pathlib import Path


class Repository:
    """A work tree with one commit."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        self.git("init", "-q", "-b", "main")
        self.git("config", "user.name", "Tester")
        self.git("config", "user.email", "tester@example.org")
        self.write("train.py", "print('hello')\n")
        self.write("lib/model.py", "depth = 4\n")
        self.write(".gitignore", "*.log\ndata/\n")
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "first")

    def git(self, *arguments: str, check: bool = True) -> str:
        """Return what git prints."""
        done = subprocess.run(["git", *arguments], cwd=self.folder, capture_output=True, check=False)
        assert not check or done.returncode == 0, done.stderr
        return done.stdout.decode("utf-8", "surrogateescape").strip()

    def write(self, name: str | bytes, text: str | bytes) -> None:
        """Write a file, with its folders."""
        path = Path(self.folder, name if isinstance(name, str) else name.decode("utf-8", "surrogateescape"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)

    def files(self, tree: str) -> dict[str, str]:
        """Return the content of each file of a tree."""
        names = self.git("ls-tree", "-r", "-z", "--name-only", tree).split("\0")
        return {name: self.git("show", f"{tree}:{name}") for name in names if name}

    def state(self) -> dict[str, object]:
        """Return what must never change: index, branches, stash, HEAD, reflogs, work tree."""
        top = Path(self.git("rev-parse", "--absolute-git-dir"))
        return {
            "index": (top / "index").read_bytes() if (top / "index").exists() else None,
            "refs": self.git("for-each-ref", "refs/heads", "refs/tags", "refs/remotes", "refs/stash"),
            "head": (top / "HEAD").read_bytes(),
            "logs": {path.name: path.read_bytes() for path in sorted(top.glob("logs/**/*")) if path.is_file()},
            "status": self.git(
                "-c", "core.fsmonitor=false", "--no-optional-locks", "status", "--porcelain=v2", "--branch", "-z"
            ),
            "config": (top / "config").read_bytes() if (top / "config").exists() else None,
        }
