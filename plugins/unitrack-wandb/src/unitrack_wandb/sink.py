"""The W&B sink: each metrics record is one row of history, at W&B's own step 0, 1, 2 and so on.

W&B drops a row whose step is below the last one and merges rows of one step, so its step can't be the user's. That one
stands in the column `step`, which `define_metric` makes the x-axis of every curve. Row n is always the n-th record of
the run, and that makes redelivery harmless: what the server already has is skipped by number.

Nothing is durable before the run has ended (the SDK's log loses everything on SIGKILL), so `flush` has no checkpoint to
give until then. An attempt that died is removed and written anew; see `attempts`.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from unitrack import hookimpl
from unitrack.errors import RecordRejectedError, SinkUnavailableError
from unitrack.hookspecs import Checkpoint, Link, RunContext
from unitrack.records import Artifact, Metrics, Params, RunStatus, Tags, definition_for, metric_definitions
from unitrack_wandb import account, code, datasets
from unitrack_wandb.attempts import Attempt, Attempts
from unitrack_wandb.checkpoint import Delivered
from unitrack_wandb.confirmation import confirm_offline, confirm_online
from unitrack_wandb.errors import sink_error
from unitrack_wandb.files import link, media_files, place
from unitrack_wandb.media import is_shown, viewable
from unitrack_wandb.names import ARTIFACTS, STEP, file_name, flat_tags, metric_key, wandb_id
from unitrack_wandb.offline_run import OfflineRun
from unitrack_wandb.options import WandbOptions
from unitrack_wandb.session import Session
from unitrack_wandb.version_log import VersionLog

EXIT_CODES: dict[RunStatus, int] = {"running": 1, "finished": 0, "failed": 1, "killed": 137, "pruned": 0}
"""W&B knows a run's end by its exit code; 137 is what a shell reports after SIGKILL."""
_UNNAMED: tuple[RunStatus, ...] = ("running", "pruned")
"""What W&B has no word for, so the config keeps it: a pruned run, and the copy of one that goes on elsewhere."""


class WandbSink:
    """Delivers one run through the SDK. Not thread-safe: a lane has one thread."""

    def __init__(self, options: WandbOptions) -> None:
        self._options = options
        self._session: Session | None = None
        self._api: Any = None
        self._checkpoint: Checkpoint | None = None
        self._ended: RunStatus | None = None

    @hookimpl
    def open_run(self, run: RunContext, checkpoint: Checkpoint | None) -> Link:
        """Open a fresh offline folder, or create or resume the run on the server."""
        self.close()
        self._run = run
        self._checkpoint = None
        self._state = Delivered.restored(checkpoint, run.start)
        self._committed_rows = self._state.rows
        root = Path(self._options.dir) if self._options.dir else run.folder
        self._id = wandb_id(run.start.run_id)
        self._attempts = Attempts(run, root.absolute(), self._id)
        last = self._attempts.last()
        base = self._committed_folder(last) if checkpoint else None
        self._attempts.discard(last, keep=base)
        if not self._offline:
            self._api = account.connect(self._options)
        self._replaced: Path | None = None
        self._synced: Path | None = None
        """The files of the offline folder that `wandb sync` has uploaded, if there is one."""
        self._start_session()
        self._there = 0 if self._offline else int(self._live().run.starting_step)
        """How many rows the server has already."""
        self._first = self._state.rows if self._offline else 0
        """The first row in the offline folder."""
        if self._offline and base:
            self._go_on_from(base)
        return self._link()

    def _start_session(self) -> None:
        run, stage = self._run, self._attempts.stage
        self._session = session = Session(self._options, run, self._id, stage, self._state.config(run.start))
        self._versions = VersionLog(run, self._options, session.run, self._api)
        self._ended = None
        self._changed = False
        self._positioned = False
        self._path = str(session.run.path)
        self._staged = session.folder
        self._state.folder = str(self._attempts.place_for(session.folder))

    @hookimpl
    def can_rewind(self) -> bool:
        """Return whether the whole run is in an offline folder: what a server has stays."""
        return self._offline and not self._first

    @hookimpl
    def must_repeat(self) -> bool:
        """Return whether rows are there that are not committed: they are known by their numbers."""
        return not self._state.rows == self._there == self._committed_rows

    @hookimpl
    def rewind(self, steps: dict[str, int]) -> None:
        """Write the offline folder anew without the points; it will have the name that `open_run` said."""
        folder, place, versions = self._staged, self._state.folder, self._versions
        self._live().finish(EXIT_CODES["killed"])
        confirm_offline(folder, self._state.rows, self._options.finish_timeout)
        self._start_session()
        self._versions.go_on_from(versions)
        self._state.folder = place
        self._copy(OfflineRun(folder), without={metric_key(name): step for name, step in steps.items()})
        shutil.rmtree(folder, ignore_errors=True)

    @hookimpl
    def log_params(self, params: list[Params]) -> None:
        """Nested config keys, merged over what was logged before."""
        changed: dict[str, Any] = {}
        for record in params:
            changed |= self._state.merge_params(record.params)
        self._configure(changed)

    @hookimpl
    def set_tags(self, tags: list[Tags]) -> None:
        """Flat labels for W&B's filters, and the exact tags in config."""
        for record in tags:
            self._state.tags |= record.tags
            self._versions.note_tags(record)
        self._live().run.tags = flat_tags(self._state.tags)
        self._live().definitions = metric_definitions(self._state.tags)
        self._configure(self._state.identity(self._run.start))

    @hookimpl
    def log_metrics(self, metrics: list[Metrics]) -> None:
        """Log one row for each record."""
        for record in metrics:
            values = record.values()
            self._define(values)
            row = {metric_key(name): value for name, value in values.items()}
            row[STEP] = record.step
            row["_timestamp"] = record.time / 1000
            self._log(row)

    @hookimpl
    def log_artifacts(self, artifacts: list[Artifact]) -> None:
        """Files of the run under their own names; what W&B can show is shown at its step as well.

        A version of a named artifact is a W&B artifact too.
        """
        run = self._live().run
        for artifact in artifacts:
            placed = place(self._run.locate(artifact), artifact.name, Path(run.dir))
            for name in placed:
                self._save(Path(run.dir), name)
            self._versions.take(self._state.record(artifact, placed))
            self._log_native(run.dir, artifact.name, artifact.type)
            if is_shown(artifact):
                self._show(artifact)
        self._changed = True

    @hookimpl
    def end_run(self, status: RunStatus, time: int) -> None:
        """End the run with an exit code and let the SDK write or upload the rest."""
        if self._ended == status and self._checkpoint is not None:
            return
        session = self._live()
        self._state.status = status if status in _UNNAMED else ""
        if self._changed or self._state.status:
            self._configure(self._state.identity(self._run.start))
        if self._offline:
            self._versions.write(self._state.artifacts, self._state.tags, Path(self._state.folder), self._synced)
        else:
            self._versions.finish(self._state.artifacts, self._state.tags)
        session.finish(EXIT_CODES[status])
        self._ended = status

    @hookimpl
    def flush(self) -> Checkpoint | None:
        """A checkpoint once the run has ended and was found to be whole where it went; None before."""
        if self._ended is None or self._checkpoint is not None:
            return self._checkpoint
        timeout = self._options.finish_timeout
        if self._offline:
            confirm_offline(self._staged, self._state.rows - self._first, timeout)
        else:
            files = self._state.files() | media_files(self._staged / "files")
            confirm_online(self._api, self._path, self._state.rows, files, timeout)
        self._attempts.publish(self._staged, Path(self._state.folder), self._replaced)
        self._checkpoint = self._state.checkpoint()
        return self._checkpoint

    @hookimpl
    def close(self) -> None:
        """Let go of the SDK's run. One that has not ended leaves nothing offline, and on the server what arrived."""
        session, self._session = self._session, None
        if session is None or self._ended is not None:
            return
        session.abandon()
        self._attempts.clear_stage()

    @property
    def _offline(self) -> bool:
        return self._options.mode == "offline"

    def _live(self) -> Session:
        if self._session is None:
            raise SinkUnavailableError("the W&B run is not open", reopen=True)
        return self._session

    def _define(self, names: Iterable[str]) -> None:
        """Tell W&B what `define_metric` said of metrics, each by its name: of globs that overlap W&B may take any."""
        if known := self._live().definitions:
            self._live().define({name: found for name in names if (found := definition_for(name, known))})

    def _log(self, row: dict[str, Any]) -> None:
        step, self._state.rows = self._state.rows, self._state.rows + 1
        if step < self._there:
            return
        # The SDK counts rows by itself; saying the step each time costs 40 us a row (0.31, measured).
        first, self._positioned = not self._positioned, True
        try:
            self._live().run.log(row, step=step if first else None, commit=True)
        except Exception as error:
            raise sink_error(error, "logging to W&B", reopen=True) from error

    def _show(self, artifact: Artifact) -> None:
        """A row with the picture or sound or table itself, which the UI shows over the steps.

        A row that the server has is skipped, but its file may not have arrived, so that is placed again.
        """
        value = viewable(artifact, self._run.locate(artifact), self._live().run, self._state.rows)
        row = {ARTIFACTS + artifact.name: value, "_timestamp": artifact.time / 1000}
        if artifact.step is not None:
            row[STEP] = artifact.step
        self._log(row)

    def _configure(self, changed: dict[str, Any]) -> None:
        try:
            self._live().run.config.update(changed, allow_val_change=True)
        except (TypeError, ValueError) as error:
            raise RecordRejectedError(f"W&B's config can't hold {sorted(changed)}: {error}") from error

    def _save(self, base: Path, name: str) -> None:
        self._live().run.save(str(base / name), base_path=str(base), policy="now", glob=False)

    def _committed_folder(self, last: Attempt | None) -> Path | None:
        """The offline folder that holds at least what the checkpoint says."""
        found = self._attempts.find(self._state.folder)
        if found is None and last and last.complete:
            found = self._attempts.find(last.folder)  # the checkpoint after the one we have was not committed
        return found

    def _go_on_from(self, folder: Path) -> None:
        """Continue a run that ended in `folder`, so that `wandb sync` makes one whole run of what is there.

        If it was synced, the server appends what comes now. If not, its rows and files move into the new folder.
        """
        base = OfflineRun(folder)
        if base.synced:
            self._synced = base.files_folder
            self._there = self._first = max(self._first, base.header.first_row + base.header.rows)
            return
        self._replaced = folder
        self._first = base.header.first_row if base.header.rows else self._state.rows
        self._copy(base)

    def _copy(self, base: OfflineRun, without: Mapping[str, int] | None = None) -> None:
        """Log the rows and the files of another folder again, except the points of some columns from a step on."""
        rows, self._state.rows = self._state.rows, self._first
        for row in itertools.islice(base.logged(), rows - self._first):
            kept = {key: value for key, value in row.items() if key not in ("_step", "_runtime")}
            if not without or (kept := _without(kept, without)):
                self._log(kept)
        run_files = Path(self._live().run.dir)
        for name in base.header.files:
            if (base.files_folder / name).is_file():
                link(base.files_folder / name, run_files / name)
                self._save(run_files, name)
        for artifact in self._state.artifacts.values():
            self._log_native(self._live().run.dir, artifact.name, artifact.type)

    def _log_native(self, folder: str, name: str, kind: str) -> None:
        """Log a dataset or code as an artifact of W&B's type for it; nothing for other kinds."""
        try:
            if kind == "dataset":
                datasets.log(self._live().run, Path(folder, file_name(name)))
            elif kind == "code":
                code.log(self._live().run, Path(folder, file_name(f"{name}/x")).parent, name)
        except Exception as error:
            raise sink_error(error, f"logging the {kind} {name!r} to W&B", reopen=True) from error

    def _link(self) -> Link:
        session = self._live()
        if self._offline:
            folder = self._state.folder
            return Link(id=session.id, location=folder, open_with=f"wandb sync {folder}")
        return Link(id=session.id, location=self._path, url=session.run.url)


def _without(row: dict[str, Any], points: Mapping[str, int]) -> dict[str, Any]:
    """A row without the columns that are withdrawn at its step; empty if only its step and time are left."""
    kept = {key: value for key, value in row.items() if key not in points or row[STEP] < points[key]}
    return kept if len(kept) == len(row) or kept.keys() - {STEP, "_timestamp"} else {}
