"""Checkpoints of a run: states that are saved as versions of an artifact, of which the best or the last are kept."""

from __future__ import annotations

import contextlib
import math
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from unitrack.delivery.ledger import Ledger
from unitrack.errors import InvalidTypeError, InvalidValueError, JournalError
from unitrack.journal import Position
from unitrack.records import ArtifactVersion
from unitrack.run.artifact_log import ArtifactLog
from unitrack.run.files import FileLog
from unitrack.run.rank_names import RankNames
from unitrack.run.recorder import Recorder
from unitrack.validation import check_step
from unitrack.validation.arguments import as_path
from unitrack.validation.messages import brief
from unitrack.validation.metrics import to_float

if TYPE_CHECKING:
    from unitrack.artifacts.events import Version
    from unitrack.artifacts.finding import FoundArtifact

Mode = Literal["min", "max"]
_KEEP = re.compile(r"(best|last):([1-9]\d{0,8})")


class Keep(msgspec.Struct, frozen=True):
    """How many checkpoints are kept, and which."""

    what: Literal["all", "best", "last"]
    number: int = 0

    @classmethod
    def parse(cls, text: object) -> Keep:
        """Return what "best:3", "last:2" or "all" means. Raises `InvalidValueError`."""
        if isinstance(text, str) and text == "all":
            return cls("all")
        if isinstance(text, str) and (found := _KEEP.fullmatch(text)):
            return cls("best" if found[1] == "best" else "last", int(found[2]))
        raise InvalidValueError(
            f"log_checkpoint: keep must be 'all', 'last:N' or 'best:N' with N from 1, got {brief(text)}"
        )


class Checkpoint(msgspec.Struct, frozen=True):
    """A checkpoint that was saved."""

    artifact: FoundArtifact
    """The version that it is."""
    step: int
    metric: float | None = None
    """The value by which the best are kept."""

    @property
    def path(self) -> Path:
        """Its file, or its folder."""
        return Path(os.fspath(self.artifact))

    def load(self) -> Any:
        """Return the state, with tensors on the CPU. Raises `SourceError` for a file that was saved elsewhere."""
        from unitrack.media.states import load_state  # noqa: PLC0415  # only to resume

        return load_state(self.path)


class CheckpointLog:
    """Saves checkpoints, and removes those that are not to be kept once every sink has them."""

    def __init__(self, recorder: Recorder, files: FileLog, artifacts: ArtifactLog) -> None:
        self._recorder = recorder
        self._files = files
        self._artifacts = artifacts
        self._written: dict[str, tuple[str, Position]] = {}
        """By the place of a checkpoint's copy in the spool: the writer and the end of its record in the journal."""
        self._rules: dict[str, tuple[Keep, Mode]] = {}
        """By the name of the artifact: what was asked for last."""

    def log(
        self, state: Any, step: int, *, keep: str, metric: str | float | None, mode: Mode, name: str, aliases: list[str]
    ) -> None:
        """See `Run.log_checkpoint`."""
        from unitrack.artifacts.names import check_name  # noqa: PLC0415  # only for checkpoints

        rule = Keep.parse(keep)
        if not isinstance(mode, str) or mode not in ("min", "max"):
            raise InvalidValueError(f"log_checkpoint: mode must be 'min' or 'max', got {brief(mode)}")
        if rule.what == "best" and metric is None:
            raise InvalidValueError(f"log_checkpoint: keep={keep!r} needs metric=: the best by which one?")
        step = check_step(step)
        self._recorder.check_open()
        version = ArtifactVersion(
            check_name(name),
            aliases=self._artifacts.checked_aliases(aliases),
            is_checkpoint=True,
            metric=self._value(metric),
        )
        file = self._save(state, step, version)
        journal = self._recorder.open()
        self._written[file] = journal.writer, journal.position
        self._rules[name] = rule, mode
        self.prune()

    def latest(self, name: str) -> Checkpoint | None:
        """See `Run.latest_checkpoint`."""
        from unitrack.artifacts.finding import describe  # noqa: PLC0415  # only to resume
        from unitrack.artifacts.names import check_name  # noqa: PLC0415
        from unitrack.artifacts.settling import settle_pending  # noqa: PLC0415

        artifact = self._artifacts.registry.artifact(self._recorder.start.project, check_name(name))
        settle_pending(artifact)
        own = self._own(name)
        if not own:
            return None
        newest = own[-1]
        return Checkpoint(describe(artifact, newest), newest.step or 0, newest.metric)

    def prune(self) -> None:
        """Remove the checkpoints that are not to be kept and that every sink has. What can't be removed stays."""
        for name, (rule, mode) in self._rules.items():
            if rule.what != "all":
                with contextlib.suppress(OSError, JournalError):
                    self._prune(name, rule, mode)

    def _save(self, state: Any, step: int, version: ArtifactVersion) -> str:
        """Write the state into the spool, log it, and return the place of the copy."""
        from unitrack.media.states import (  # noqa: PLC0415  # only for checkpoints
            as_state,
            least_bytes,
            save_state,
            suffix_of,
        )

        if isinstance(state, str | os.PathLike):
            source = as_path(state, "log_checkpoint: state")
            record = self._artifacts.log_file(
                source, f"{version.name}/step-{step}{source.suffix}", version, "model", step
            )
            return Path(record.file).parent.name
        plain = as_state(state)
        if self._artifacts.has_quota:
            self._artifacts.require_room(least_bytes(plain))
        made = self._files.new_file(f"step-{step}{suffix_of(plain)}")
        try:
            save_state(plain, made)
        except BaseException as error:
            self._files.discard(made)
            if isinstance(error, OSError):
                why = f"the checkpoint of step {step} was not stored ({error.strerror or error})"
                raise JournalError(error.errno or 0, f"{why}; what was logged before is safe", str(made)) from error
            raise
        self._artifacts.log_made(made, f"{version.name}/{made.name}", version, step)
        return made.parent.name

    def _value(self, metric: str | float | None) -> float | None:
        if metric is None:
            return None
        if isinstance(metric, str):
            return self._last_value(metric)
        try:
            value = to_float("metric", metric)
        except (TypeError, ValueError):
            raise InvalidTypeError(
                f"log_checkpoint: metric must be the name of a metric or a number, got {type(metric).__name__}"
            ) from None
        return value if math.isfinite(value) else None

    def _last_value(self, metric: str) -> float | None:
        from unitrack.journal.backwards import last_value  # noqa: PLC0415  # only for checkpoints

        found = last_value(self._recorder.folder.spool, self._recorder.open().writer, metric)
        if found is None:
            raise InvalidValueError(
                f"log_checkpoint: no value of the metric {metric!r} was logged lately in this process: log it before "
                "the checkpoint, or give its value in place of its name"
            )
        return found if math.isfinite(found) else None

    def _own(self, name: str) -> list[Version]:
        """Return the checkpoints of this run that are kept, the oldest first."""
        state = self._artifacts.registry.artifact(self._recorder.start.project, name).read()
        run_id = self._recorder.start.run_id
        return [one for one in state.versions.values() if one.made_by.id == run_id and not one.removed]

    def _prune(self, name: str, rule: Keep, mode: Mode) -> None:
        from unitrack.artifacts.retention import remove_version  # noqa: PLC0415  # only for checkpoints

        own = self._own(name)
        kept = {one.number for one in _kept(own, rule, mode)}
        going = [one for one in own if one.number not in kept and not _named_by_hand(one)]
        if not going:
            return
        from unitrack.local.source import ARTIFACTS  # noqa: PLC0415  # reading costs 20 ms, and only a removal needs it

        ledgers = self._ledgers()
        artifact = self._artifacts.registry.artifact(self._recorder.start.project, name)
        inside = RankNames(self._recorder.rank).path(name)
        for version in going:
            place = version.key.partition("/")[2]
            copy = self._recorder.folder.files / place
            if self._is_delivered(place, copy, ledgers):
                view = self._recorder.folder.path / ARTIFACTS / inside / version.label
                remove_version(artifact, version.number, [copy, view])
                self._written.pop(place, None)

    def _is_delivered(self, place: str, copy: Path, ledgers: list[Ledger]) -> bool:
        """Return whether every sink has a checkpoint. An earlier session's copy goes only with the whole spool."""
        if not copy.exists():
            return True
        writer, end = self._written.get(place, ("", Position()))
        return bool(writer) and all(
            ledger.positions.get(writer, Position()) >= end and not ledger.waiting for ledger in ledgers
        )

    def _ledgers(self) -> list[Ledger]:
        folder = self._recorder.folder
        return [Ledger.load(folder.ledger_file(sink.name)) for sink in folder.read_manifest().sinks]


def _kept(own: list[Version], rule: Keep, mode: Mode) -> list[Version]:
    """Return the checkpoints that are kept: the newest always is, since a resume needs it."""
    if rule.what == "last":
        return own[-rule.number :]
    known = [one for one in own if one.metric is not None]
    best = sorted(known, key=lambda one: (one.metric or 0.0) if mode == "min" else -(one.metric or 0.0))
    return [*best[: rule.number], *own[-1:]]


def _named_by_hand(version: Version) -> bool:
    return any(alias != "latest" for alias in version.aliases)
