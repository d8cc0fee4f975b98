"""`wandb.Artifact`: files that are gathered, then logged as a version."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from unitrack.capture.wandb.errors import UsageError
from unitrack.capture.wandb.table import Table


class Artifact:
    """An artifact. What is added is copied at once."""

    def __init__(
        self,
        name: str,
        type: str,
        description: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        incremental: bool = False,
        use_as: str | None = None,
        storage_region: str | None = None,
        digest_algorithm: str = "MD5",
    ) -> None:
        self.name, self.type, self.description = name, type, description
        self.metadata = dict(metadata or {})
        self.aliases: list[str] = []
        self.version = ""
        self.files_by_name: dict[str, Path] = {}
        self.references: dict[str, str] = {}
        self._folder = Path(tempfile.mkdtemp(prefix="unitrack-artifact-"))
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)

    def add_file(self, local_path: str | os.PathLike[str], name: str | None = None, *args: Any, **kwargs: Any) -> None:
        """Add a file. Raises `ValueError` if it is not one."""
        source = Path(local_path)
        if not source.is_file():
            raise ValueError(f"Path is not a file: {str(local_path)!r}")
        shutil.copyfile(source, self._place(name or source.name))

    def add_dir(self, local_path: str | os.PathLike[str], name: str | None = None, *args: Any, **kwargs: Any) -> None:
        """Add the files of a folder, below the folder `name`. Raises `ValueError` if it is not one."""
        folder = Path(local_path)
        if not folder.is_dir():
            raise ValueError(f"Path is not a directory: {str(local_path)!r}")
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                inner = file.relative_to(folder).as_posix()
                shutil.copyfile(file, self._place(f"{name}/{inner}" if name else inner))

    @contextlib.contextmanager
    def new_file(self, name: str, mode: str = "x", encoding: str | None = None) -> Iterator[IO[Any]]:
        """Open a file of the artifact for writing."""
        with open(self._place(name), mode.replace("x", "w"), encoding=encoding) as file:
            yield file

    def add(self, obj: Any, name: str, overwrite: bool = False) -> None:
        """Add a table as JSON. Raises `UsageError` for anything else."""
        if not isinstance(obj, Table):
            raise UsageError(f"unitrack's wandb can't add a {type(obj).__name__} to an artifact: add a file of it")
        content = {"columns": obj.columns, "data": obj.data}
        self._place(f"{name}.table.json").write_text(json.dumps(content, default=str), encoding="utf-8")

    def add_reference(self, uri: Any, name: str | None = None, *args: Any, **kwargs: Any) -> None:
        """Add the address of data that stays where it is."""
        self.references[name or str(uri)] = str(uri)

    def _place(self, name: str) -> Path:
        place = (self._folder / name).resolve()
        if not place.is_relative_to(self._folder.resolve()):
            raise ValueError(f"{name!r} leads out of the artifact")
        place.parent.mkdir(parents=True, exist_ok=True)
        self.files_by_name[name] = place
        return place

    def wait(self, timeout: int | None = None) -> Artifact:
        """Return it: there is no server to wait for."""
        return self

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: `log_artifact` logs it."""

    def download(self, root: str | os.PathLike[str] | None = None, *args: Any, **kwargs: Any) -> str:
        """Copy its files to a folder, `./artifacts/<name>` by default, and return the folder."""
        target = Path(root) if root is not None else Path("artifacts", self.name)
        for name, place in self.files_by_name.items():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(place, target / name)
        return str(target)

    def file(self, root: str | None = None) -> str:
        """Return the path of its only file, which is copied as `download` does. Raises `ValueError` if it has more."""
        if len(self.files_by_name) != 1:
            raise ValueError("file() works only for an artifact with a single file")
        return os.path.join(self.download(root), next(iter(self.files_by_name)))
