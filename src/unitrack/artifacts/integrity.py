"""Whether the content of versions is what was logged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from unitrack.artifacts.events import Version
from unitrack.artifacts.references import changed_elsewhere, local_path, problem_of
from unitrack.artifacts.registry import NamedArtifact
from unitrack.artifacts.settling import settle_pending
from unitrack.blobs.content import differences


class IntegrityCheck(msgspec.Struct, frozen=True, kw_only=True):
    """One version, read as a whole and compared with what was logged."""

    project: str
    name: str
    version: str
    files: int
    size: int
    """Bytes."""
    problems: tuple[str, ...] = ()
    """What is wrong; empty if it is whole."""
    note: str = ""
    """What was not looked at, and why."""

    @property
    def ok(self) -> bool:
        """Whether it is whole, as far as it was looked at."""
        return not self.problems


def check_versions(artifacts: Iterable[NamedArtifact], number: int | None = None) -> Iterator[IntegrityCheck]:
    """Yield the check of each version that is kept, of one number alone if it is given. Raises `OSError`."""
    for artifact in artifacts:
        settle_pending(artifact)
        for version in artifact.read().versions.values():
            if not version.removed and number in (None, version.number):
                yield _check(artifact, version)


def _check(artifact: NamedArtifact, version: Version) -> IntegrityCheck:
    note = ""
    try:
        if version.reference is not None:
            if local_path(version.reference.uri) is None:
                problem, note = changed_elsewhere(version.reference)
            else:
                problem = problem_of(version.reference)
            problems = [problem] if problem else []
        else:
            problems = differences(artifact.path_of(version.number) / version.file, artifact.read_files(version.number))
    except FileNotFoundError as error:
        problems = [f"{error.filename or 'its content'} is gone"]
    except (OSError, ValueError) as error:
        problems = [str(error)]
    return IntegrityCheck(
        project=artifact.project,
        name=artifact.name,
        version=version.label,
        files=version.files,
        size=version.size,
        problems=tuple(problems),
        note=note,
    )
