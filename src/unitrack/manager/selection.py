"""The runs of a copy as replays: each one by itself, or all merged into one."""

from __future__ import annotations

import hashlib
import itertools
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from unitrack.errors import ArtifactStoreError, ConfigError, SourceError
from unitrack.manager.record_edits import RUN_NAME, Editor, Edits
from unitrack.manager.replay import Replay
from unitrack.reading.stored_run import StoredRun
from unitrack.records import COPIED_FROM, PARENT, AnyRecord, Artifact, RunEnd, RunStart, RunStatus
from unitrack.system.files import is_inside, link_or_copy
from unitrack.values.redaction import redact_text

_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,63}")
_WORST: Sequence[RunStatus] = ("running", "failed", "killed", "pruned", "finished")
"""The status of several runs as one is the first of these that one of them has."""


class Selected:
    """Stored runs that become one run of the destination: one, or several that are merged.

    `links`: whether files of it may be hard links in the run folder: only if that is temporary, as the program that
    owns the files may change them in place.
    """

    def __init__(
        self, runs: Sequence[StoredRun], edits: Edits, ids: Mapping[str, str], name: str | None, *, links: bool
    ) -> None:
        self.runs = runs
        self.edits = edits
        self.name = runs[0].name if name is None else name
        self.editors = [Editor(edits, run.name) for run in runs]
        self._ids = ids
        self._is_merged = name is not None
        self._links = links
        self._found: dict[str, tuple[StoredRun, Artifact]] = {}
        self.run_id = f"merged-{_digest(name, *sorted(map(copy_id, runs)))}" if self._is_merged else copy_id(runs[0])

    @property
    def started(self) -> int:
        """When the first of them began, in milliseconds since the epoch."""
        return min(run.started for run in self.runs)

    @property
    def is_changed(self) -> bool:
        """Whether the copy differs from its source on purpose."""
        return self._is_merged or self.edits != Edits()

    def replay(self, show: Callable[[int], None], run_id: str | None = None) -> Replay:
        """Return the replay of it, under its own id or another one."""
        self.run_id = self.run_id if run_id is None else run_id
        self.editors = [Editor(self.edits, run.name) for run in self.runs]
        return Replay(
            run_id=self.run_id,
            name=self.name,
            started=self.started,
            origin=", ".join(map(origin_of, self.runs)),
            edits=msgspec.json.encode(self.edits, order="sorted").decode(),
            brief=_digest(*map(_brief, self.runs)),
            records=self.records,
            fetch=self._fetch,
            show=show,
        )

    def records(self) -> Iterator[AnyRecord]:
        """Yield the records as they are to be written: one `RunStart` first, and the `RunEnd`, if any, last."""
        sources = [iter(run.records()) for run in self.runs]
        starts = [self._start_of(run, next(records, None)) for run, records in zip(self.runs, sources, strict=True)]
        first = min(starts, key=lambda start: start.time)
        tags = _common_tags(self.runs, starts) if self._is_merged else first.tags
        tags |= {COPIED_FROM: ", ".join(map(origin_of, self.runs))} | dict(self.edits.tags)
        yield msgspec.structs.replace(
            first, run_id=self.run_id, unitrack_id="", name=self.name, tags=tags, project=starts[0].project
        )
        ends: list[RunEnd | None] = []
        trouble: ArtifactStoreError | None = None
        for run, editor, records in zip(self.runs, self.editors, sources, strict=True):
            ends.append(None)
            try:
                for record in records:
                    if isinstance(record, RunEnd):
                        ends[-1] = record
                    elif (kept := self._edited(run, editor, record)) is not None:
                        yield kept
            except ArtifactStoreError as error:  # comes after all other records
                trouble = error
        if None not in ends:
            last = max((end for end in ends if end), key=lambda end: end.time)
            status = min((end.status for end in ends if end), key=_WORST.index)
            yield msgspec.structs.replace(last, status=status)
        if trouble is not None:
            raise trouble

    def _edited(self, run: StoredRun, editor: Editor, record: AnyRecord) -> AnyRecord | None:
        kept = editor.apply(record)
        if isinstance(kept, Artifact):
            assert isinstance(record, Artifact)
            self._found[kept.name] = run, record
        return kept

    def _start_of(self, run: StoredRun, record: AnyRecord | None) -> RunStart:
        if not isinstance(record, RunStart):
            raise SourceError(f"can't read run {run.id!r} of {str(run.location)!r}: its records begin without RunStart")
        tags = dict(record.tags)
        if parent := tags.get(PARENT):
            tags[PARENT] = self._ids.get(parent, parent)
        return msgspec.structs.replace(record, tags=tags)

    def _fetch(self, artifact: Artifact, folder: Path) -> Path:
        run, original = self._found[artifact.name]
        if not (os.path.isabs(original.file) and os.path.exists(original.file)):
            return run.fetch(original, folder)
        content = Path(os.path.realpath(original.file))
        for path in content.rglob("*"):
            if path.is_symlink() and not is_inside(path, content):
                raise SourceError(f"{path} is a symbolic link that leads out of artifact {original.name!r}")
        target = folder / Path(original.file).name
        if content.is_dir():
            shutil.copytree(content, target, copy_function=self._put)
        else:
            self._put(content, target)
        return target

    def _put(self, source: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
        if self._links:
            link_or_copy(os.path.realpath(source), target)
        else:
            shutil.copy2(source, target)

    def require_distinct_names(self) -> None:
        """Raise `ConfigError` if metrics, params or artifacts of different names would get one."""
        if not self._is_merged and not self.edits.rename:
            return
        for what, names in (
            ("metrics", [list(run.summary) for run in self.runs]),
            ("params", [list(run.params) for run in self.runs]),
            ("artifacts", [[one.name for one in run.artifacts] for run in self.runs]),
        ):
            self._require_distinct(what, names)

    def _require_distinct(self, what: str, names: Sequence[Sequence[str]]) -> None:
        taken: dict[str, list[tuple[StoredRun, str]]] = {}
        for run, editor, olds in zip(self.runs, self.editors, names, strict=True):
            for old in dict.fromkeys(olds):
                if (new := editor.name(old)) is not None:
                    taken.setdefault(new, []).append((run, old))
        clashing = {new: olds for new, olds in taken.items() if len(olds) > 1}
        if what == "params":  # the same value in all of them is no clash
            clashing = {new: olds for new, olds in clashing.items() if not _all_equal([r.params[o] for r, o in olds])}
        if clashing:
            shown = "; ".join(
                f"{new!r} from {', '.join(f'{old!r} of {run.name!r}' for run, old in olds[:3])}"
                for new, olds in itertools.islice(clashing.items(), 5)
            )
            more = f" and {len(clashing) - 5} more" if len(clashing) > 5 else ""
            raise ConfigError(
                f"{what} would get the same name: {shown}{more}; rename them apart, for example with "
                f"--rename '*={RUN_NAME}/*'"
            )


def copy_id(run: StoredRun) -> str:
    """Return the id that a copy of a run gets: its id in unitrack or in its backend, or a form of that with a hash."""
    given = run.unitrack_id or run.id
    return given if _RUN_ID.fullmatch(given) else hashed_id(given, given)


def hashed_id(readable: str, *parts: str) -> str:
    """Return an id that begins like `readable` and ends with a hash of `parts`."""
    begin = re.sub(r"[^A-Za-z0-9_.\-]+", "-", readable).strip("-._")[:40]
    return f"{begin or 'run'}-{_digest(*parts)}"


def origin_of(run: StoredRun) -> str:
    """Return where a run is read from: the location, without secrets, a space, and its id there."""
    return f"{redact_text(str(run.location))} {run.id}"


def _brief(run: StoredRun) -> str:
    known = run.at_hand
    told = known.status, known.ended, known.params, known.tags, known.last, known.metrics, run.name, run.description
    return _digest(*map(repr, told))


def _digest(*parts: object) -> str:
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()[:12]


def _common_tags(runs: Sequence[StoredRun], starts: Sequence[RunStart]) -> dict[str, str]:
    """Return tags that are the same in all runs, and the others under the run's name."""
    tags: dict[str, str] = {}
    for run, start in zip(runs, starts, strict=True):
        for name, value in start.tags.items():
            is_common = all(other.tags.get(name) == value for other in starts)
            tags[name if is_common else f"{run.name}/{name}"] = value
    return tags


def _all_equal(values: Sequence[object]) -> bool:
    return all(type(value) is type(values[0]) and value == values[0] for value in values)
