"""Which folder the SDK writes for a run, remembered so that an attempt that died is not synced as well later."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import msgspec

from unitrack.hookspecs import RunContext
from unitrack.learned import learned


@learned
class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One try at delivering a run. `before`: the folders of this id that were there; `folder` is None until known.
    `replaces` is a folder of the same try that is being copied into `folder`.
    """

    before: list[str] = []
    folder: str | None = None
    replaces: str | None = None
    complete: bool = False


class Attempts:
    """The note of the current attempt, in `<run folder>/.unitrack/<sink>/`, and the folders it speaks of."""

    def __init__(self, run: RunContext, root: Path, wandb_id: str) -> None:
        self._note = run.notes / "wandb-attempt.json"
        self._root = root / "wandb"
        self._id = wandb_id

    def last(self) -> Attempt | None:
        """The attempt before, if one was noted."""
        try:
            return msgspec.json.decode(self._note.read_bytes(), type=Attempt)
        except (OSError, msgspec.DecodeError):
            return None

    def begin(self, replacing: Attempt | None = None) -> Attempt:
        """Note, before the SDK makes its folder, that one will come, perhaps instead of one of the same try."""
        folders = [str(folder) for folder in self._folders()]
        replaced = replacing.folder if replacing else None
        return self._write(Attempt(before=[folder for folder in folders if folder != replaced], replaces=replaced))

    def opened(self, attempt: Attempt, folder: Path) -> Attempt:
        """Note which folder it became."""
        return self._write(msgspec.structs.replace(attempt, folder=str(folder)))

    def alone(self, attempt: Attempt) -> Attempt:
        """Note that what it replaced is gone."""
        return self._write(msgspec.structs.replace(attempt, replaces=None))

    def completed(self, attempt: Attempt) -> Attempt:
        """Note that the folder holds the whole run."""
        return self._write(msgspec.structs.replace(attempt, complete=True))

    def discard(self, attempt: Attempt, keep: Path | None = None) -> None:
        """Remove what `attempt` left behind, except `keep`."""
        if attempt.folder is not None:
            left = [Path(folder) for folder in (attempt.folder, attempt.replaces) if folder]
        else:  # it died between `begin` and `opened`
            left = [folder for folder in self._folders() if str(folder) not in attempt.before]
        for folder in left:
            if folder != keep:
                self.remove(folder)

    def remove(self, folder: Path) -> None:
        """Remove a folder of this run; anything else is left alone."""
        if folder in self._folders():
            shutil.rmtree(folder, ignore_errors=True)

    def _folders(self) -> list[Path]:
        """The SDK's folders of this run: `[offline-]run-<date>_<time>-<id>`, with a count if two fall in one second."""
        name = re.compile(rf"(?:offline-)?run-\d{{8}}_\d{{6}}-{re.escape(self._id)}(-\d+)?")
        return [folder for folder in sorted(self._root.glob("*run-*")) if self._is_ours(folder, name)]

    def _is_ours(self, folder: Path, name: re.Pattern[str]) -> bool:
        found = name.fullmatch(folder.name)
        if found is None or folder.is_symlink() or not folder.is_dir():
            return False
        # "-a-1" is a second folder of run "a" or the first one of run "a-1": the file in it tells.
        return found[1] is None or (folder / f"run-{self._id}.wandb").exists()

    def _write(self, attempt: Attempt) -> Attempt:
        self._note.parent.mkdir(parents=True, exist_ok=True)
        part = self._note.with_suffix(".part")
        part.write_bytes(msgspec.json.encode(attempt))
        os.replace(part, self._note)
        return attempt
