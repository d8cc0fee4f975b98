"""The SHA-256 of the files of a run's artifacts, wherever the backend keeps them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from unitrack.blobs.content import file_digest
from unitrack.errors import SourceError, UnitrackError
from unitrack.reading.fetching import locate_content
from unitrack.reading.guard import GuardedSource
from unitrack.records import Artifact


def digests_of(source: GuardedSource, run_id: str, artifacts: Iterable[Artifact]) -> dict[str, str]:
    """Return the SHA-256 of each file, in hexadecimal, by its name among the run's artifacts.

    A folder gives its files, named "folder/file". What is not on this machine is fetched, hashed and removed, one
    artifact at a time. Raises `SourceError` if one can't be read.
    """
    return dict(sorted(pair for artifact in artifacts for pair in _digests(source, run_id, artifact)))


def _digests(source: GuardedSource, run_id: str, artifact: Artifact) -> Iterator[tuple[str, str]]:
    try:
        with tempfile.TemporaryDirectory(prefix="unitrack-") as scratch:
            content = locate_content(source, run_id, artifact, Path(scratch))
            if not content.is_dir():
                yield artifact.name, file_digest(content)
                return
            for file in sorted(content.rglob("*")):
                if file.is_file():
                    yield f"{artifact.name}/{file.relative_to(content).as_posix()}", file_digest(file)
    except UnitrackError:
        raise
    except OSError as error:
        raise SourceError(f"can't read {artifact.name!r} of {str(source.location)!r}: {error}") from error
