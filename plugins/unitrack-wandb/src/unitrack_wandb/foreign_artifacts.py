"""W&B artifacts of offline runs that unitrack did not write: `run.log_artifact(wandb.Artifact(...))`.

The SDK keeps their files in its staging folder, outside of the run, until `wandb sync` moves them into its cache. The
run's file, which may be a stranger's, names them: so only a file of the size and the MD5 that were logged is taken.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit
from urllib.request import url2pathname

import msgspec

from unitrack.names import leads_out
from unitrack.records import Artifact
from unitrack_wandb.code import PREFIX as CODE
from unitrack_wandb.datasets import MARK as DATASET
from unitrack_wandb.offline_run import OfflineRun
from unitrack_wandb.sdk import pb
from unitrack_wandb.versions import MARK as VERSION

_SCHEME = "wandb-artifact"


class Entry(msgspec.Struct, frozen=True):
    """A file of an artifact, or a reference to data that stays where it is."""

    path: str
    digest: str
    """The MD5 in Base64; of a reference whatever its store gives."""
    size: int
    local_path: str
    reference: str


class LoggedArtifact(msgspec.Struct, frozen=True):
    """An artifact as the run's file tells of it."""

    name: str
    type: str
    entries: tuple[Entry, ...]


def logged_artifacts(run: OfflineRun) -> dict[str, LoggedArtifact]:
    """Return the artifacts of an offline run by their names; a later version of one has its number behind the name."""
    found: dict[str, LoggedArtifact] = {}
    for record in run.header.artifacts:
        if DATASET in record.metadata or VERSION in record.metadata:  # ours, which are among the files
            continue
        if record.type == "code" and record.name.startswith(CODE):  # ours as well
            continue
        entries = tuple(_entry(one) for one in record.manifest.contents if not leads_out(one.path))
        versions = sum(one.name == record.name for one in found.values())
        name = record.name if not versions else f"{record.name}-v{versions}"
        if entries and not leads_out(name):
            found[name] = LoggedArtifact(record.name, record.type, entries)
    return found


def artifacts(run: OfflineRun, time: int) -> Iterator[Artifact]:
    """Yield the artifacts of an offline run. Their `seq` is 0; W&B notes no time."""
    place = run.file.absolute().as_uri().removeprefix("file")
    for name, one in logged_artifacts(run).items():
        yield Artifact(
            seq=0,
            time=time,
            name=name,
            file=f"{_SCHEME}://{place}#{quote(name)}",
            type="model" if one.type == "model" else "folder",
            size=sum(entry.size for entry in one.entries),
        )


def is_one(artifact: Artifact) -> bool:
    """Return whether `fetch` can bring an artifact."""
    return artifact.file.startswith(f"{_SCHEME}:")


def fetch(artifact: Artifact, folder: Path) -> Path:
    """Bring the files of an artifact into `folder`, and return theirs. Raises `FileNotFoundError` if one is gone."""
    parts = urlsplit(artifact.file)
    one = logged_artifacts(OfflineRun(Path(url2pathname(parts.path)).parent)).get(unquote(parts.fragment))
    if one is None:
        raise FileNotFoundError(f"the run's file tells no more of the artifact {artifact.name!r}")
    target = folder / "artifact"
    for entry in one.entries:
        path = target / (f"{entry.path}.reference.json" if entry.reference else entry.path)
        path.parent.mkdir(parents=True, exist_ok=True)
        if entry.reference:
            told = {"reference": entry.reference, "digest": entry.digest, "size": entry.size}
            path.write_text(json.dumps(told), encoding="utf-8")
            continue
        source = _located(entry)
        if source is None or _md5(source) != entry.digest:
            raise FileNotFoundError(
                f"{entry.path!r} is no longer in the SDK's folders, which WANDB_DATA_DIR and WANDB_CACHE_DIR name"
            )
        shutil.copyfile(source, path)
    return target


def _entry(content: pb.ArtifactManifestEntry) -> Entry:
    return Entry(content.path, content.digest, content.size, content.local_path, content.ref)


def _located(entry: Entry) -> Path | None:
    """Return where a file lies: in the staging folder or, after `wandb sync`, in the cache; None if it is gone."""
    for path in (Path(entry.local_path or "/"), _cached(entry)):
        if path.is_file() and path.stat().st_size == entry.size:
            return path
    return None


def _cached(entry: Entry) -> Path:
    cache = Path(os.environ.get("WANDB_CACHE_DIR") or Path("~/.cache").expanduser() / "wandb")
    digest = base64.b64decode(entry.digest + "==").hex()
    return cache / "artifacts" / "obj" / "md5" / digest[:2] / digest[2:]


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return base64.b64encode(hashlib.file_digest(file, "md5").digest()).decode()
