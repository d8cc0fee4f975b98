"""The files of an artifact, as trackio keeps them: by their SHA-256 in `artifacts/<project>/blobs`.

trackio's own reader looks in the folder that TRACKIO_DIR named when it was imported, and notes that a run has used the
artifact. Copying the files takes any folder, and writes nothing to the project.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from unitrack.names import leads_out
from unitrack_trackio.database import Database

_DIGEST = re.compile(r"[0-9a-f]{64}")


def copy_files(database: Database, name: str, version: int, target: Path) -> None:
    """Copy the files of a version of an artifact into the folder `target`.

    Raises `FileNotFoundError` if the version or one of its files is not on this machine.
    """
    manifest = database.manifest(name, version)
    if manifest is None:
        raise FileNotFoundError(f"{database.path} has no artifact {name}:v{version}: it was deleted")
    blobs = database.path.parent / "artifacts" / database.path.stem / "blobs" / "sha256"
    for entry in manifest:
        path, digest = entry["path"], entry["digest"]
        if leads_out(path):
            raise ValueError(f"{name}:v{version} has a file {path!r}, which leads out of the artifact's folder")
        if "ref" in entry:
            raise FileNotFoundError(
                f"{path!r} in {name}:v{version} is a reference to {entry['ref']}: fetch it from there"
            )
        blob = blobs / digest[:2] / digest
        if not _DIGEST.fullmatch(digest) or not blob.is_file():
            raise FileNotFoundError(
                f"{path!r} in {name}:v{version} is not in {blobs}: copy it from where it was logged"
            )
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(blob, target / path)
