"""Several processes, one run: the ranks of a distributed training, and workers that were handed the run.

One process owns a run: it starts it, has it delivered, and ends it. Others write journals of their own into its spool,
from which the owner's couriers deliver them as well.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from unitrack import lifecycle
from unitrack.config import Settings
from unitrack.delivery.elsewhere import DeliveredElsewhere
from unitrack.delivery.report import DeliveryReport
from unitrack.ending import check_status, with_grace
from unitrack.errors import ConfigError, JournalError
from unitrack.journal import JournalWriter
from unitrack.manifest import Manifest
from unitrack.metric_definitions import Definition
from unitrack.owner import Owner
from unitrack.plugins import installed
from unitrack.records import ArtifactType, EndStatus, RunStart
from unitrack.run import Run
from unitrack.runfolder import RunFolder, find_run
from unitrack.system.life import Life
from unitrack.validation import ValidationChain

_JOIN_TIMEOUT_S = 60.0
"""How long another rank waits for rank 0 to start the run: nodes load their Python at different speeds."""
_JOIN_POLL_S = 0.05


def join_as_rank(root: Path, run_id: str, rank: int, settings: Settings) -> JoinedRun:
    """Join the run that rank 0 starts, or has started, under `root`; wait for it for at most a minute.

    Raises `ConfigError` if it does not appear: it was not started, or `root` is another folder there, or it has ended
    already because rank 0 did not know of this one.
    """
    deadline = time.monotonic() + _JOIN_TIMEOUT_S
    folder = None
    while True:
        folder = folder or find_run(root, run_id)
        joined = folder and _join_if_open(folder, rank, settings)
        if joined:
            return joined
        if time.monotonic() >= deadline:
            if folder:
                raise ConfigError(
                    f"rank {rank} found run {run_id!r} in {folder.path} only after its end, and waited "
                    f"{_JOIN_TIMEOUT_S:.0f} s for rank 0 to go on with it; where WORLD_SIZE says how many ranks there "
                    "are, rank 0 waits for all; a new job needs a run id of its own, or resume='allow'"
                )
            raise ConfigError(
                f"rank {rank} has waited {_JOIN_TIMEOUT_S:.0f} s for rank 0 to start run {run_id!r} under {root}; "
                "is that folder the same for all ranks?"
            )
        time.sleep(_JOIN_POLL_S)


def _join_if_open(folder: RunFolder, rank: int, settings: Settings) -> JoinedRun | None:
    with contextlib.suppress(JournalError), folder.spool_lock():
        manifest: Manifest = folder.read_manifest()
        if not folder.spool.exists() or folder.ended_file.exists() or folder.life_of(manifest.owner) is Life.GONE:
            return None  # what an earlier job has left: rank 0 will take it up
        journal = JournalWriter(folder.spool)
        folder.rank_file(rank).write_bytes(msgspec.json.encode(Owner.current(journal.writer)))
        return JoinedRun(manifest.run, folder, settings, rank=rank, journal=journal)
    return None


def rejoin(start: RunStart, folder: str, settings: Settings, rank: int) -> JoinedRun:
    """What unpickling a `Run` gives: a handle for another process."""
    return JoinedRun(start, RunFolder(Path(folder)), settings, rank=rank)


def for_others(settings: Settings) -> Settings:
    """The settings without what a pickle should not hold: options of sinks, of which only the names are needed."""
    tracking = msgspec.structs.replace(
        settings.tracking,
        backend=None,
        tracking_uri=None,
        artifact_location=None,
        sinks=tuple({sink.backend: {"name": sink.name}} for sink in settings.sinks),
    )
    return msgspec.structs.replace(settings, tracking=tracking)


class JoinedRun(Run):
    """A run that another process owns. It logs into a journal of its own; ending it ends only that.

    What rank 1 logs has its name below "rank1": metric `rank1/loss`, param `rank1.lr`, artifact `rank1/model.pt`. So
    two ranks that log the same name make two curves, in every backend. A worker that was handed the run logs under the
    names of the rank that it belongs to.
    """

    def __init__(
        self,
        start: RunStart,
        folder: RunFolder,
        settings: Settings,
        *,
        rank: int = 0,
        journal: JournalWriter | None = None,
    ) -> None:
        validation = ValidationChain(settings.safeguards, installed().validators())
        super().__init__(start, folder, settings, journal, DeliveredElsewhere(), validation)  # type: ignore[arg-type]
        self._pump = None
        self._pid = -1  # never the owner
        self._rank = rank
        self._ranked_in = os.getpid() if journal else None
        if journal is None:
            self._continue_in_child()
        else:
            self.set_tags({"host": os.uname().nodename, "pid": os.getpid()})
        lifecycle.watch(self)

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log one number per name at a step; see `Run.log_metrics`."""
        if self._rank and isinstance(metrics, Mapping):
            metrics = {self._named(name): value for name, value in metrics.items()}
        super().log_metrics(metrics, step)

    def log_params(self, params: Any) -> None:
        """Log hyperparameters; see `Run.log_params`."""
        super().log_params({f"rank{self._rank}": self._validation.params(params)} if self._rank else params)

    def set_tags(self, tags: Mapping[str, Any] | Sequence[str]) -> None:
        """Set tags; see `Run.set_tags`."""
        checked = self._validation.tags(tags)
        super().set_tags({f"rank{self._rank}.{tag}": value for tag, value in checked.items()} if self._rank else tags)

    def define_metric(self, name: str, *, step_metric: str | None = None, summary: str | None = None) -> None:
        """Say how a metric is shown; see `Run.define_metric`."""
        definition = Definition.of(name, self._named(step_metric), summary)
        super().set_tags(definition.as_tag(self._named(name)))

    def _own_params(self) -> dict[str, Any]:
        params: dict[str, Any] = self._params.get(f"rank{self._rank}", {}) if self._rank else self._params
        return params

    def _log_staged(
        self,
        staged: Path,
        name: str,
        kind: ArtifactType,
        size: int,
        step: int | None,
        annotations: dict[str, Any] | None,
    ) -> None:
        super()._log_staged(staged, self._named(name), kind, size, step, annotations)

    def _named(self, name: Any) -> Any:
        return f"rank{self._rank}/{name}" if self._rank and isinstance(name, str) and name else name

    def finish(self, status: EndStatus = "finished", timeout: float | None = None) -> DeliveryReport:
        """End what this process logs. The run goes on until its owner ends it, so the account is empty."""
        check_status(status)
        if self._report is None:
            with contextlib.suppress(JournalError):  # the disk is full, which the owner hears of
                self._end_part(status, with_grace(self._deadline(timeout)))
            self._report = DeliveryReport({})
            lifecycle.forget(self)
            if self._ranked_in == os.getpid():  # a forked child ends only its own part
                with contextlib.suppress(OSError):  # the owner did not wait, and the spool is gone
                    self._folder.rank_ended_file(self._rank).touch()
            self._warn_of_unread()
            self._raise_late_failure()
        return self._report

    def _end_at_exit(self, status: EndStatus, deadline: float) -> None:
        """It waits for nothing, so `finish` does."""
        self.finish(status, timeout=max(0.0, deadline - time.monotonic()))

    def _ends_at_once(self, status: EndStatus) -> bool:
        return not (self._device_reader is not None and self._device_reader.unread)
