"""Where the SDK writes a run, and how that becomes the run's folder.

An attempt at a delivery is written to `<dir>/wandb/.unitrack/<id>.<sink>.part/`. Once it is whole it moves to
`<dir>/wandb/offline-run-...`. So nothing that `wandb sync` takes (0.31: `<dir>/wandb/*/*.wandb`, and what its arguments
name) is torn, whenever a process dies. A note says which folder it became, so that the next attempt replaces it.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import msgspec

from unitrack.errors import SinkUnavailableError
from unitrack.hookspecs import RunContext, decode
from unitrack.names import escape

STAGES = ".unitrack"
"""The folder in the SDK's `wandb` that holds attempts which are not whole."""


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One delivery of a run. Of `folder` and `replaces` the last part counts: the run folder may have moved.

    Earlier versions noted an attempt when it began: then `complete` is false, `folder` None until it was known, and
    `before` the folders of this id that were there.
    """

    before: list[str] = []
    folder: str | None = None
    replaces: str | None = None
    complete: bool = False


class Attempts:
    """The attempts of one sink: its stage, and the note in `<run folder>/.unitrack/<sink>/`."""

    def __init__(self, run: RunContext, root: Path, wandb_id: str) -> None:
        self._note = run.notes / "wandb-attempt.json"
        self._folder = root / "wandb"
        self.stage = self._folder / STAGES / f"{wandb_id}.{escape(run.sink_name, 'A-Za-z0-9_-')}.part"
        """What the SDK gets as its `dir`."""
        self._id = wandb_id

    def last(self) -> Attempt | None:
        """The attempt before, if one was noted."""
        try:
            return decode(self._note.read_bytes(), Attempt)
        except (OSError, msgspec.DecodeError):
            return None

    def place_for(self, staged: Path) -> Path:
        """The folder that a staged one will become. The SDK names folders by the second, so its name may be taken."""
        place, number = self._folder / staged.name, 1
        while place.exists():
            place, number = self._folder / f"{staged.name}-{number}", number + 1
        return place

    def publish(self, staged: Path, place: Path, replaced: Path | None = None) -> None:
        """Move a whole folder to its place, and remove the one that it replaces. Safe to repeat.

        Raises `SinkUnavailableError` if the disk fails.
        """
        try:
            self._write(Attempt(folder=place.name, replaces=replaced.name if replaced else None, complete=True))
            if staged.exists():
                os.rename(staged, place)
        except OSError as error:
            raise SinkUnavailableError(f"can't move {staged} to {place}: {error}") from error
        self.clear_stage()
        if replaced is not None:
            self._remove(replaced.name)

    def clear_stage(self) -> None:
        """Remove what is not whole."""
        shutil.rmtree(self.stage, ignore_errors=True)

    def discard(self, attempt: Attempt | None, keep: Path | None = None) -> None:
        """Remove what `attempt` and any that is not whole left behind, except `keep`."""
        self.clear_stage()
        if attempt is None:
            return
        if attempt.folder is not None:
            left = [Path(folder).name for folder in (attempt.folder, attempt.replaces) if folder]
        else:
            before = {Path(folder).name for folder in attempt.before}
            left = [folder.name for folder in self._folders() if folder.name not in before]
        for name in left:
            if keep is None or name != keep.name:
                self._remove(name)

    def find(self, folder: str | None) -> Path | None:
        """The folder of this run that a note or a checkpoint speaks of, wherever the run lies now."""
        path = self._folder / Path(folder).name if folder else None
        return path if path in self._folders() else None

    def _remove(self, name: str) -> None:
        """Remove a folder of this run; anything else is left alone."""
        if (folder := self.find(name)) is not None:
            shutil.rmtree(folder, ignore_errors=True)

    def _folders(self) -> list[Path]:
        """The SDK's folders of this run: `[offline-]run-<date>_<time>-<id>`, with a count if two fall in one second."""
        name = re.compile(rf"(?:offline-)?run-\d{{8}}_\d{{6}}-{re.escape(self._id)}((?:-\d+)*)")
        return [folder for folder in sorted(self._folder.glob("*run-*")) if self._is_ours(folder, name)]

    def _is_ours(self, folder: Path, name: re.Pattern[str]) -> bool:
        found = name.fullmatch(folder.name)
        if found is None or folder.is_symlink() or not folder.is_dir():
            return False
        # "-a-1" is a second folder of run "a" or the first one of run "a-1": the file in it tells.
        return not found[1] or (folder / f"run-{self._id}.wandb").exists()

    def _write(self, attempt: Attempt) -> None:
        self._note.parent.mkdir(parents=True, exist_ok=True)
        part = self._note.with_suffix(".part")
        part.write_bytes(msgspec.json.encode(attempt))
        os.replace(part, self._note)
