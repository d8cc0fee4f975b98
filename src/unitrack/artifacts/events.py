"""What happens to the versions of one artifact, as lines of its log, and the state that these lines come to.

The log only grows, so a number never comes to mean another version, whatever is removed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

import msgspec

from unitrack.artifacts.names import LATEST
from unitrack.records import ArtifactType, Reference


class RunRef(msgspec.Struct, frozen=True, omit_defaults=True):
    """A run that made or used a version."""

    id: str
    name: str = ""
    folder: str = ""
    """The name of its folder under the root."""


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="event"):
    """What all events share: `time` is in milliseconds since the epoch."""

    time: int


class Made(Event, frozen=True, tag="made"):
    """A run has logged new content. A second one of a number has replaced its content."""

    number: int
    key: str
    """Which log call it was: the run's id, and the place of its copy in the spool."""
    digest: str
    size: int
    files: int
    file: str
    """The name of the file or folder in the version's folder; empty for a reference."""
    run: RunRef
    type: ArtifactType = "file"
    step: int | None = None
    metric: float | None = None
    overwrites: bool = False
    aliases: tuple[str, ...] = ()
    reference: Reference | None = None
    is_copy: bool = False
    """Whether it was logged under another root, and copied here. See `State` for what that means to aliases."""


class Again(Event, frozen=True, tag="again"):
    """A run has logged content that is a version already."""

    number: int
    key: str
    run: RunRef
    aliases: tuple[str, ...] = ()
    is_copy: bool = False


class Moved(Event, frozen=True, tag="alias"):
    """An alias was moved to a version; to none if `number` is None."""

    alias: str
    number: int | None


class Used(Event, frozen=True, tag="used"):
    """A run has used a version."""

    number: int
    digest: str
    run: RunRef


class Removed(Event, frozen=True, tag="removed"):
    """The content of a version was removed. Its number stays taken."""

    number: int


AnyEvent = Made | Again | Moved | Used | Removed

_decoder = msgspec.json.Decoder(AnyEvent)


class Version(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One version of an artifact, as its log tells it."""

    number: int
    digest: str
    size: int
    """Bytes."""
    files: int
    time: int
    """Milliseconds since the epoch."""
    type: ArtifactType
    file: str
    key: str
    """Which log call it was, as in `Made`."""
    made_by: RunRef
    also_made_by: list[RunRef] = []
    """Runs that have logged the same content later."""
    used_by: list[RunRef] = []
    aliases: list[str] = []
    step: int | None = None
    metric: float | None = None
    overwrites: bool = False
    reference: Reference | None = None
    replaced: int = 0
    """How often its content was replaced."""
    removed: bool = False

    @property
    def label(self) -> str:
        """Such as "v3"."""
        return f"v{self.number}"


class State(msgspec.Struct, kw_only=True):
    """All versions of one artifact.

    A version that is copied here takes the aliases that are free, or that an older copied version has got: it never
    takes one that was given here.
    """

    versions: dict[int, Version] = {}
    aliases: dict[str, int] = {}
    copied_aliases: dict[str, int] = {}
    """Aliases that copied versions have got, with the time of the version."""
    keys: dict[str, int] = {}
    """The number that each log call has got."""

    @classmethod
    def of(cls, lines: Iterable[bytes]) -> State:
        """Return the state that the lines of a log come to. A line that is cut off or damaged is passed over."""
        state = cls()
        for line in lines:
            with contextlib.suppress(msgspec.MsgspecError):
                state.add(_decoder.decode(line))
        for alias, number in state.aliases.items():
            state.versions[number].aliases.append(alias)
        return state

    def add(self, event: AnyEvent) -> None:
        """Add the next event; one that speaks of an unknown version does nothing."""
        if isinstance(event, Made):
            self._make(event)
            return
        number = event.number
        if number is not None and number not in self.versions:
            return
        match event:
            case Again():
                self.keys[event.key] = event.number
                self._name(event)
                version = self.versions[event.number]
                if event.run.id not in (version.made_by.id, *(run.id for run in version.also_made_by)):
                    version.also_made_by.append(event.run)
            case Moved(number=None):
                self.aliases.pop(event.alias, None)
                self.copied_aliases.pop(event.alias, None)
            case Moved(number=int(moved)):
                self.aliases[event.alias] = moved
                self.copied_aliases.pop(event.alias, None)
            case Used():
                version = self.versions[event.number]
                if event.run.id not in (run.id for run in version.used_by):
                    version.used_by.append(event.run)
            case Removed():
                self.versions[event.number].removed = True
                self.aliases = {alias: one for alias, one in self.aliases.items() if one != event.number}
                if kept := [one.number for one in self.versions.values() if not one.removed]:
                    self.aliases.setdefault(LATEST, max(kept))

    def _make(self, event: Made) -> None:
        before = self.versions.get(event.number)
        self.versions[event.number] = Version(
            number=event.number,
            digest=event.digest,
            size=event.size,
            files=event.files,
            time=event.time,
            type=event.type,
            file=event.file,
            key=event.key,
            made_by=event.run,
            used_by=before.used_by if before else [],
            step=event.step,
            metric=event.metric,
            overwrites=event.overwrites,
            reference=event.reference,
            replaced=before.replaced + 1 if before else 0,
        )
        self.keys[event.key] = event.number
        self._name(event)

    def _name(self, event: Made | Again) -> None:
        for alias in (LATEST, *event.aliases):
            if not event.is_copy:
                self.aliases[alias] = event.number
                self.copied_aliases.pop(alias, None)
            elif alias not in self.aliases or self.copied_aliases.get(alias, event.time) < event.time:
                self.aliases[alias] = event.number
                self.copied_aliases[alias] = event.time

    @property
    def next_number(self) -> int:
        """The number of the next version."""
        return max(self.versions, default=-1) + 1

    def find_content(self, digest: str) -> Version | None:
        """Return the version with this content, the newest of several; None if there is none."""
        kept = (one for one in reversed(self.versions.values()) if not one.removed and not one.overwrites)
        return next((one for one in kept if one.digest == digest), None)

    def overwritten_by(self, run_id: str) -> Version | None:
        """Return the version that a run overwrites, or None."""
        of_run = (one for one in self.versions.values() if one.overwrites and one.made_by.id == run_id)
        return next((one for one in of_run if not one.removed), None)
