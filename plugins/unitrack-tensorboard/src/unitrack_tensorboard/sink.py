"""The sink: a run as TensorBoard event files.

**Exactly once.** A checkpoint says how long the event files are that it covers, and what was in them. `open_run` cuts
off what came later and goes on in a new file, so what is delivered again is written once.

**No `SessionLog.START`.** At a restart it makes TensorBoard's Python reader hide the points of *all* tags from its step
on (measured: 10 points of another tag became 5), and nothing is left behind that it would have to hide.
"""

from __future__ import annotations

import shlex
import time
from pathlib import Path

import msgspec
from tensorboard.compat.proto.event_pb2 import Event

from unitrack import hookimpl
from unitrack.errors import RecordRejectedError
from unitrack.hookspecs import Checkpoint, Link, RunContext, convert
from unitrack.records import MAX_STEP, Artifact, Metrics, Params, RunEnd, RunStatus, Tags
from unitrack_tensorboard import layout, summaries
from unitrack_tensorboard.artifacts import keep
from unitrack_tensorboard.errors import classified
from unitrack_tensorboard.event_file import EventFile
from unitrack_tensorboard.model_graphs import graph_def
from unitrack_tensorboard.names import ARTIFACT, TagNames
from unitrack_tensorboard.options import DEFAULT_LOGDIR, TensorBoardOptions
from unitrack_tensorboard.overview import Overview
from unitrack_tensorboard.placement import Placement
from unitrack_tensorboard.projector import project
from unitrack_tensorboard.rewind import Aside, Withdrawal
from unitrack_tensorboard.views import add_view, dashboard_of, series


class _Committed(msgspec.Struct, frozen=True):
    """The checkpoint's fields."""

    part: int = 0
    """The start of the sink that wrote last; see `layout.part_path`."""
    lengths: dict[str, int] = {}
    """Bytes of that part's file in each folder, by the folder's number."""
    points: dict[str, list[int]] = {}
    """`Placement.state`."""
    media: dict[str, str] = {}
    """`TagNames.media`."""
    generation: int = 0
    """How often points were withdrawn."""


class TensorBoardSink:
    """One run in one TensorBoard folder."""

    _run: RunContext
    _root: Path
    """The run's own folder."""
    _overview: Overview
    _saved: Overview | None
    _committed: _Committed
    _part: int
    """The number of this start; see `layout.part_path`."""
    _files: dict[int, EventFile]
    """Of this start, by folder."""
    _placement: Placement
    _names: TagNames
    _tags: dict[str, str]
    """The tags of metrics that this start has seen, by name."""
    _link: Link
    _aside: Aside
    _generation: int
    _kept_generation: int
    """That of the last `flush`: what it covers is put back after a crash."""

    def __init__(self, options: TensorBoardOptions) -> None:
        """Touch no file before `open_run`."""
        self._options = options

    @hookimpl
    def open_run(self, run: RunContext, checkpoint: Checkpoint | None) -> Link:
        """Roll back to `checkpoint` and show the run."""
        self._run = run
        logdir = Path(self._options.logdir).absolute() if self._options.logdir else _default_logdir(run)
        with classified(logdir):
            # In a folder of its own also for a logdir of one: HParams shows no metrics of a run named ".".
            self._root = run.claim_folder(logdir, _writer)
        name = self._root.name
        with classified(self._root):
            self._take_up(name)
            self._aside = Aside(run.notes, self._root)
            self._open_part(convert(checkpoint or {}, _Committed))
            self._save_overview()
        self._link = Link(id=name, location=str(logdir), open_with=f"tensorboard --logdir {shlex.quote(str(logdir))}")
        return self._link

    @hookimpl
    def can_rewind(self) -> bool:
        """Return True."""
        return True

    @hookimpl
    def rewind(self, steps: dict[str, int]) -> None:
        """Write the event files anew without the points that training went back behind."""
        with classified(self._root, reopen=True):
            self._withdraw({self._names.of_metric(name): step for name, step in steps.items()})

    @hookimpl
    def log_metrics(self, metrics: list[Metrics]) -> None:
        """Points, each in the first folder where TensorBoard shows it at its step."""
        tags = self._tags_of(metrics)  # first, as it may reject: then nothing of the batch is written
        place = self._placement.place
        for record in metrics:
            events: dict[int, Event] = {}
            for name, value in record.values().items():
                tag = tags[name]
                folder, order = place(tag, record.step)
                event = events.get(folder)
                if event is None:
                    event = events[folder] = Event(wall_time=record.time / 1000, step=record.step)
                summaries.add_scalar(event.summary, tag, value, order if folder else None)
            for folder, event in events.items():
                self._append(folder, event)

    @hookimpl
    def log_params(self, params: list[Params]) -> None:
        """Hyperparameters: the HParams dashboard and a table."""
        self._overview = self._overview.with_params(params)

    @hookimpl
    def set_tags(self, tags: list[Tags]) -> None:
        """Tags: a table."""
        self._overview = self._overview.with_tags(tags)

    @hookimpl
    def log_artifacts(self, artifacts: list[Artifact]) -> None:
        """Store each artifact as a file, and write events for those that a dashboard shows."""
        with classified(self._root):
            directory = self._root / layout.ARTIFACTS
            # first, as it may reject: then no event of the batch is written
            kept = [keep(self._run.locate(artifact), directory, artifact.name) for artifact in artifacts]
        with classified(self._root, reopen=True):  # an event of the batch may be written
            for artifact, path in zip(artifacts, kept, strict=True):
                self._append_artifact(artifact, path)

    @hookimpl
    def end_run(self, status: RunStatus, time: int) -> None:
        """The status for the HParams dashboard."""
        self._overview = self._overview.with_end(RunEnd(seq=0, time=time, status=status))
        with classified(self._root):
            self._aside.forget()

    @hookimpl
    def flush(self) -> Checkpoint:
        """Write everything; see the module's guarantee."""
        with classified(self._root):
            for file in self._files.values():
                file.flush()
            self._save_overview()
        lengths = {str(folder): file.length for folder, file in self._files.items() if file.length}
        if lengths:
            self._committed = _Committed(self._part, lengths)
        self._kept_generation = self._generation
        checkpoint: Checkpoint = msgspec.to_builtins(self._committed)
        state = {"points": self._placement.state(), "media": self._names.media, "generation": self._generation}
        return {**checkpoint, **state}

    @hookimpl
    def close(self) -> None:
        """Do nothing: no file is open between calls."""

    def _take_up(self, name: str) -> None:
        start = self._run.start
        self._saved = found = Overview.load(self._root)
        if found is None:
            self._overview = Overview(id=name, start=start, layout=self._options.layout)
        else:
            # as running: if it has ended since, that comes again
            self._overview = msgspec.structs.replace(found, start=start, end=None, layout=self._options.layout)

    def _open_part(self, committed: _Committed) -> None:
        self._generation = self._kept_generation = committed.generation
        self._aside.restore(committed.generation)
        found = [part for _, part, _ in layout.parts(self._root)]
        lengths = {int(folder): length for folder, length in committed.lengths.items()}
        layout.roll_back(self._root, committed.part, lengths)
        self._committed = committed
        # Above all that were ever there, as a TensorBoard that runs may still hold a deleted one open.
        self._part = max(time.time_ns() // 1_000_000, committed.part + 1, *(part + 1 for part in found))
        self._placement = Placement(committed.points)
        self._names = TagNames(committed.points, committed.media)
        self._tags = {}
        self._files = {}

    def _withdraw(self, steps: dict[str, int]) -> None:
        for file in self._files.values():
            file.flush()
        if self._generation == self._kept_generation:
            self._aside.put(self._generation)
            self._generation += 1
        withdrawal = Withdrawal(self._root, steps)
        withdrawal.apply()
        others = {tag: numbers for tag, numbers in self._placement.state().items() if tag not in steps}
        self._placement = Placement(others | withdrawal.placed)
        self._part = max(time.time_ns() // 1_000_000, self._part + 1)  # what is written anew is final
        self._committed = _Committed(self._part)
        self._files = {}

    def _append(self, folder: int, event: Event) -> None:
        file = self._files.get(folder)
        if file is None:
            path = layout.part_path(self._root, folder, self._part)
            file = self._files[folder] = EventFile(path, self._run.start.time / 1000)
        file.append(event)

    def _append_artifact(self, artifact: Artifact, path: Path) -> None:
        dashboard = dashboard_of(artifact.type)
        tag = self._names.of_artifact(series(artifact), artifact.type, dashboard)
        step = self._placement.revision(tag) if artifact.step is None else artifact.step
        own = Event(wall_time=artifact.time / 1000, step=step)
        summaries.add_own(own.summary, ARTIFACT, msgspec.json.encode(artifact))
        self._append(0, own)
        view = Event(wall_time=artifact.time / 1000, step=step)
        if add_view(view.summary, tag, artifact, path):
            self._names.show(tag, dashboard)
            folder, _ = self._placement.place(tag, step)
            self._append(folder, view)
            self._files[folder].spill()
        if artifact.type == "embedding":
            project(self._root, artifact, path)
        elif artifact.type == "graph" and (graph := graph_def(path)) is not None:
            self._append(0, Event(wall_time=artifact.time / 1000, graph_def=graph))

    def _tags_of(self, metrics: list[Metrics]) -> dict[str, str]:
        known = self._tags
        for record in metrics:
            if not -MAX_STEP <= record.step <= MAX_STEP:
                raise RecordRejectedError(f"step {record.step} is no int64")
            for name in record.values():
                if name not in known:
                    known[name] = _checked(self._names.of_metric(name), name)
        return known

    def _save_overview(self) -> None:
        if self._overview != self._saved:
            self._overview.save(self._root)
            self._saved = self._overview


def _default_logdir(run: RunContext) -> Path:
    """Return one folder for all runs under a root, so that TensorBoard shows them in one view.

    A run that has one in its own folder goes on there, where it was the default once. So does a run beside one that is
    called "tensorboard", as a run folder is no place for others.
    """
    own, shared = run.folder / DEFAULT_LOGDIR, run.folder.parent / DEFAULT_LOGDIR
    is_run_folder = (shared / ".unitrack").is_dir()
    return own if own.is_dir() or is_run_folder else shared


def _writer(root: Path) -> str | None:
    """The id of the run that unitrack wrote to a folder."""
    found = Overview.load(root)
    return found.start.run_id if found else None


def _checked(tag: str, name: str) -> str:
    try:
        tag.encode()
    except UnicodeEncodeError as error:  # a lone surrogate
        raise RecordRejectedError(f"metric name {name!r} can't be written as UTF-8") from error
    return tag
