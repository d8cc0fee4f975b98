"""The versions of artifacts that copied runs have made and used, added to the artifacts of the root they lie under."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from unitrack.artifacts.copied import take_copy, take_use
from unitrack.artifacts.events import RunRef
from unitrack.artifacts.registry import Registry
from unitrack.errors import UnitrackError
from unitrack.local.source import ARTIFACTS
from unitrack.reading import StoredRun, runs
from unitrack.records import USED, Artifact, ArtifactVersion, later_alias
from unitrack.system.files import UnsafePathError, locate_inside

_LATEST = "latest"


class CopiedVersions:
    """Fills the artifacts of a root. What is there already is left as it is, so it may be done again."""

    def __init__(self, root: Path) -> None:
        self._registry = Registry(root)
        self._known: dict[Path, Registry] = {}

    def take_made(self, folder: Path, originals: Sequence[StoredRun]) -> list[str]:
        """Add the versions that the run in a folder has made, and return what a reader of the report should know.

        Raises `UnitrackError` if it can't be read, and `OSError`.
        """
        if (copy := self._open(folder)) is None:
            return []
        notes = []
        maker = RunRef(copy.unitrack_id or copy.id, copy.name, folder.name)
        for record in sorted(copy.artifacts, key=lambda one: one.time):
            if (version := record.version) is None or version.number is None:
                continue
            content = self._content(folder, record)
            if content is None:
                notes.append(
                    f"{version.name}:{version.label} is no version there: its content is not in the run folder"
                )
                continue
            aliases = self._aliases(record, version, originals, copy.tags)
            found = take_copy(self._registry, copy.project, maker, record, content, aliases)
            if found is not None and found.number != version.number:
                notes.append(f"{version.name}:{version.label} is {version.name}:{found.label} there")
        return notes

    def take_used(self, folder: Path) -> None:
        """Note what the run in a folder has used. Raises `UnitrackError` if it can't be read, and `OSError`."""
        if (copy := self._open(folder)) is None:
            return
        user = RunRef(copy.unitrack_id or copy.id, copy.name, folder.name)
        for tag, text in copy.tags.items():
            if tag.startswith(USED):
                take_use(self._registry, copy.project, user, copy.started, tag, text)

    @staticmethod
    def _open(folder: Path) -> StoredRun | None:
        return next(iter(runs(folder)), None)

    @staticmethod
    def _content(folder: Path, record: Artifact) -> Path | None:
        """Return the file or folder of an artifact; None if it is kept elsewhere, or is refused."""
        try:
            path = locate_inside(folder, f"{ARTIFACTS}/{record.name}")
        except (UnsafePathError, OSError):
            return None
        return path if path.exists() else None

    def _aliases(
        self, record: Artifact, version: ArtifactVersion, originals: Sequence[StoredRun], tags: Mapping[str, str]
    ) -> tuple[str, ...]:
        """Return the aliases that a version has by the artifacts of the root it comes from, else by its run."""
        for original in originals:
            if (known := self._artifacts_beside(original)) is not None:
                with contextlib.suppress(OSError):
                    there = known.artifact(original.project, version.name).read().versions.get(version.number or 0)
                    if there is not None and there.digest == version.digest:
                        return tuple(alias for alias in there.aliases if alias != _LATEST)
        return tuple(_told_aliases(version, tags))

    def _artifacts_beside(self, original: StoredRun) -> Registry | None:
        """Return the artifacts of the root that an original lies under; None if it is in no folder of runs."""
        try:
            folder = original.folder
        except UnitrackError:
            return None
        if folder is None:
            return None
        registry = self._known.setdefault(folder.parent, Registry(folder.parent))
        return registry if registry.folder.is_dir() else None


def _told_aliases(version: ArtifactVersion, tags: Mapping[str, str]) -> Iterator[str]:
    """Yield the aliases that a version was logged with, as the tags of its run have changed them."""
    aliases = dict.fromkeys(version.aliases)
    for tag, text in tags.items():
        if (change := later_alias(tag, text)) is not None and change[0] == version.name:
            _, alias, label, has_it = change
            aliases.pop(alias, None)
            if has_it and label == version.label:
                aliases[alias] = None
    yield from aliases
