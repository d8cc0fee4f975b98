"""The plugin manual: what a plugin declares, the hooks of a sink, and what a source answers.

A plugin is a module that is named in the entry-point group `unitrack` of its distribution::

    [project.entry-points.unitrack]
    mybackend = "unitrack_mybackend"

Read on in this order:

1. `PluginSpec`, the hooks of that module, and what they return: `Backend`, `Validators`, `Middleware`. They are
   functions of the module, marked with `@unitrack.hookimpl`. The training process imports the module, so it must be
   cheap to import and must not import the SDK of the backend.
2. `SinkSpec`, the hooks of a sink: one object that delivers one run to one backend. `Backend.sink` names its class as
   "module:Class". It is imported only in the courier, a process that serves all sinks of one backend. In it each sink
   has a *lane*: a thread, an offset in the journal, and a plugin manager of its own. No lane affects another one, or
   training.
3. `Source`, which reads what a backend holds; `Backend.source` names its class. It is imported only to read.
   A plugin may have sources alone: for the files of another program, or an export.

A plugin imports from `unitrack`, and from `unitrack.hookspecs`, `.records` (what a sink gets and a source yields),
`.errors`, `.names` (escaping and shortening) and, in its tests, `.testing`. Everything else may change at any time.

Sinks of one courier run in threads. `decode` and `convert` are those of msgspec, safe among threads: use them for your
own structs.
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import msgspec
import pluggy

from unitrack.errors import ArtifactStoreError, RecordRejectedError
from unitrack.names import escape
from unitrack.query.conditions import Condition as Condition
from unitrack.query.conditions import Field as Field
from unitrack.records import (
    AnyRecord,
    Artifact,
    ArtifactType,
    ArtifactVersion,
    Metrics,
    Params,
    RunStart,
    RunStatus,
    Tags,
)
from unitrack.system.files import UnsafePathError, locate_inside
from unitrack.system.installation import install_command as install_command
from unitrack.values.codec import convert as convert
from unitrack.values.codec import decode as decode
from unitrack.values.columns import Columns as Columns
from unitrack.values.columns import columns_of as columns_of
from unitrack.values.retries import retry_in_place as retry_in_place
from unitrack.values.run_summary import MetricSummary as MetricSummary
from unitrack.values.run_summary import RunSummary as RunSummary

hookspec = pluggy.HookspecMarker("unitrack")
hookimpl = pluggy.HookimplMarker("unitrack")

Checkpoint = dict[str, Any]
"""The state that a sink needs after a crash, as JSON values; see `SinkSpec.flush`."""


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule has found in a run, or what `Run.alert` was called with."""

    name: str
    """Of the rule."""
    text: str
    """Why: the rule, and the values in it."""
    step: int | None
    """Of the points that made the rule true; None if time did, or a call."""
    time: int
    """Milliseconds since the epoch."""
    run_id: str
    run_name: str
    project: str


class PluginSpec:
    """The hooks of a plugin's module. All are optional."""

    @hookspec
    def register_backends(self) -> Iterable[Backend]:
        """Return the backends that this plugin serves.

        **When**: once, at the first `start_run` or CLI command of a process. **Where**: the training process.
        **Raising** disables this plugin alone; `unitrack plugins` shows why.
        """
        raise NotImplementedError

    @hookspec
    def register_validators(self) -> Validators:
        """Return checks for the log calls of every run.

        **When**: at `start_run`. **Where**: the training process. **Raising** fails `start_run`: a run
        without a safeguard that was asked for is worse than no run.
        """
        raise NotImplementedError

    @hookspec
    def register_middleware(self) -> Iterable[Middleware]:
        """Return middleware that the options of any sink may name.

        **When**: once, with `register_backends`. **Where**: the training process. **Raising** disables this plugin.
        """
        raise NotImplementedError

    @hookspec
    def notify(self, alert: Alert) -> None:
        """Send an alert on: by mail, to a chat.

        **When**: a rule of a run has become true, or `Run.alert` was called. **Where**: a courier, in a thread of its
        own; a thread of the training process with other ways of delivery. **Raising** is noted in the courier's log,
        and stops no other plugin.
        """


class SinkOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The base class of a backend's options.

    Declare fields with types, bounds as `msgspec.Meta`, and defaults. They are the whole validation: a key that is
    unknown or has another type raises `ConfigError` at `start_run`, with the key and the nearest known one.
    """

    def anchored(self, directory: Path) -> Self:
        """Return these options with relative paths made absolute from `directory`, where training was started.

        A courier, or `unitrack sync`, may run in another one. Override it if an option can hold a path.
        """
        return self

    def is_disabled(self) -> bool:
        """Return whether the sink is switched off by its options, so that the run goes on without it."""
        return False

    def is_shared(self) -> bool:
        """Return whether the sink writes to a server, which other machines use at the same time.

        In a job of many nodes, the sinks of such a server are opened one after the other and rest longer between two
        calls. Files, and a database in a file, are not shared.
        """
        return False

    @classmethod
    def at(cls, place: str) -> Self:
        """Return the options of a sink that writes where a `Source` with this location reads.

        So `unitrack copy` takes a location as its destination. Raises `ValueError` for a place that is none, and
        `NotImplementedError`, as the default does, if the options do not say where a sink writes.
        """
        raise NotImplementedError

    def store(self) -> str:
        """Return what is the same for two sinks that deliver to one place; by default all options.

        It is for `Backend.lanes_at_once`.
        """
        return msgspec.json.encode(self).decode()


class Variable(msgspec.Struct, frozen=True):
    """An environment variable of the backend's own SDK, as the lowest layer of the configuration.

    It is read once, at `start_run`, and kept with the run, so that a later `unitrack sync` delivers to the same place.
    """

    name: str
    """Such as MLFLOW_TRACKING_URI."""
    option: str = ""
    """The sink's option that it sets, if the configuration does not."""
    key: str = ""
    """A key of the configuration, such as "experiment.group": one that means the same in all backends. The variable
    sets it if there is no `option`, and else counts only where the key is not configured."""
    words: Mapping[str, str] = {}
    """Values of the variable that the option knows under another name: {"dryrun": "offline"}."""


class Backend(msgspec.Struct, frozen=True, kw_only=True):
    """A backend as its plugin declares it. The rest of unitrack goes by these declarations, never by its name."""

    name: str
    """How configuration names it: `sinks=["mlflow"]`."""
    summary: str
    """One line for `unitrack plugins`."""
    sink: str | None = None
    """The sink's class as "module:Class"; called with the options, in the courier. Without it the backend can only be
    read."""
    options: type[SinkOptions] = SinkOptions
    source: str | None = None
    """The reading twin as "module:Class", a `Source`; called with a location. Without it the backend only writes."""
    shared_options: tuple[str, ...] = ()
    """Keys of the configuration's section `tracking` that are options of its sinks as well: "tracking_uri",
    "artifact_location". They hold for each sink of the backend whose own options do not set them."""
    variables: tuple[Variable, ...] = ()
    """Environment variables of the backend's SDK that hold for its sinks as well."""
    stores: tuple[str, ...] = ()
    """Globs of files that lie in the folder where the backend by default keeps runs beside the code: with
    "mlruns/*/meta.yaml", `log_artifact` and `log_code` leave out a folder `mlruns` that holds such a file."""
    requires: tuple[str, ...] = ()
    """Modules that must be installed. `start_run` looks for them and imports none."""
    install: str = ""
    """What to `pip install` when one of them is missing: a requirement, as `install_command` takes it."""
    rewinds: bool = False
    """Whether a sink with default options can withdraw points after a resume behind the log; see `SinkSpec.rewind`."""
    keeps_run_folder: bool = False
    """Whether the run folder itself is where a sink of it keeps the run, as local files are: a copy to a location of
    the backend is then a run folder there, and its options need no `SinkOptions.at`."""
    once_per_run: bool = False
    """Whether two sinks of it in one run would write to the same place, so that only one is allowed."""
    native: Mapping[str, str] = {}
    """The kinds of records that the backend shows, and as what: {"metrics": "scalars", "image": "images"}. The keys are
    `records.KINDS`; a kind that is not here arrives as a file among the artifacts."""
    keeps_annotations: bool = False
    """Whether it keeps what an artifact was logged with beside its files (`Artifact.annotations`): captions, boxes, the
    version that it is. `verify` states a difference where it does not."""
    exact_floats: bool = True
    """Whether a float64 can be read back bit for bit through the source."""
    non_finite: Literal["exact", "marked"] = "exact"
    """Whether NaN and infinity are held as such, or in a marked form that the source turns back."""
    kinds_in_order: bool = True
    """Whether params, points, tags and artifacts must arrive in the order in which they were logged. If not, a sink
    gets records of one kind together, in their order: the points between twenty texts in one batch."""
    lanes_at_once: int | None = None
    """How many lanes of one store (`SinkOptions.store`) may be in a call at the same time; None: all. A database has a
    pool of connections, a server a rate limit."""
    confirms: Literal["flush", "end"] = "flush"
    """When the backend can say that records are durable: after each batch, or at the end of the run only."""
    check: str | None = None
    """"module:function", called by `unitrack doctor` with the options, in a process of its own under a time limit;
    it yields `Finding`s on the package, the server, credentials and the like."""


class Finding(msgspec.Struct, frozen=True):
    """The result of one check of `unitrack doctor`."""

    ok: bool
    subject: str
    """What was checked: "package", "server", "credentials"."""
    message: str
    """What was found and, if something is wrong, how to mend it."""


class Validators(msgspec.Struct, frozen=True, kw_only=True):
    """Checks that follow the built-in ones in each log call: in the training process, before anything is written.

    Each is a pure function. It returns the value to log (changed or not) and refuses one by raising `ValueError`
    or `TypeError` with a message that says what to do.
    """

    metric: tuple[Callable[[str, float, int], float], ...] = ()
    """Called with name, value and step."""
    param: tuple[Callable[[str, Any], Any], ...] = ()
    """Called with the dotted name and the value of each leaf."""
    artifact: tuple[Callable[[Path, str], object], ...] = ()
    """Called with the file on disk and the artifact's name. What it returns is ignored."""


class Middleware(msgspec.Struct, frozen=True, kw_only=True):
    """A change to what one sink receives: it renames, filters, thins out or redacts."""

    name: str
    """The option of a sink that switches it on: `every` in `wandb: {every: 10}`."""
    wrapper: str
    """"module:Class" of an object with hook wrappers, `@hookimpl(wrapper=True)`, of `SinkSpec`; called with the value
    of that key, in the courier. A wrapper edits the list that it is given in place, then yields."""
    option: Any = Any
    """The type of that value, checked at `start_run`."""


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """Where a run lies in a backend: what `run.links()` returns for a sink."""

    id: str
    """The run's id in the backend."""
    location: str
    """Where a `Source` of the backend finds it: a folder, a tracking URI."""
    url: str | None = None
    """The run's page, where there is one."""
    open_with: str | None = None
    """The command that shows it: "tensorboard --logdir ..."."""


class UsedArtifact(msgspec.Struct, frozen=True, kw_only=True):
    """A version of an artifact that a run has used, as it lies under the root on this machine."""

    version: ArtifactVersion
    type: ArtifactType
    time: int
    """When it was logged, in milliseconds since the epoch."""
    made_by: str
    """The id of the run that logged it."""
    path: Path | None
    """Its file or folder, read only; None of a reference."""
    step: int | None = None


def _nothing_used(tag: str, text: str) -> UsedArtifact | None:
    return None


class RunContext(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The run that a sink serves."""

    start: RunStart
    folder: Path
    """The run folder, absolute."""
    sink_name: str
    """What the run calls this sink; two sinks of one backend have different names."""
    find_used: Callable[[str, str], UsedArtifact | None] = _nothing_used
    """Returns the version that a tag of the run, its name and its text, says was used (see `records.USED`). None if it
    says no such thing, or if this content is not under the root (any more)."""

    @property
    def notes(self) -> Path:
        """The folder for files that the sink keeps beside the run. It may not exist yet."""
        return self.folder / ".unitrack" / escape(self.sink_name, r"\w\-")

    @contextlib.contextmanager
    def transferring(self, name: str, total: int) -> Iterator[Callable[[int], None]]:
        """Tell those who wait how far a long upload is: yield a function to call with the bytes since its last call.

        `name` is what is uploaded, `total` its size in bytes. The function may be called from any thread.
        """
        from unitrack.system.transfers import TransferNote, transfer_file  # noqa: PLC0415  # for sinks only

        note = TransferNote(transfer_file(self.folder, self.sink_name), name, total)
        try:
            yield note.advance
        finally:
            note.remove()

    def claim_folder(self, store: Path, holder: Callable[[Path], str | None] = lambda folder: None) -> Path:
        """Return the folder in a shared store that belongs to this sink of the run; make and claim it if need be.

        It is called like the run folder or, where another run has that name, like the run folder and the run's id. The
        same run finds the same folder each time. `holder` gives the id of the run that a folder without a claim belongs
        to, if the store's own files tell. Raises `OSError`, and `SinkMisconfiguredError` if all names are taken.
        """
        from unitrack.system.claims import Claim, claim_folder  # noqa: PLC0415  # 1 ms, for sinks only

        return claim_folder(store, self.folder.name, Claim(self.start.run_id, self.sink_name), holder)

    def locate(self, artifact: Artifact) -> Path:
        """Return the file or folder of an artifact record.

        Raises `RecordRejectedError` if it lies outside of the run folder or is a symbolic link, as a journal may come
        from anybody. The lane checks that as well before it hands over the record.
        """
        try:
            return locate_inside(self.folder, artifact.file)
        except UnsafePathError as error:
            raise RecordRejectedError(f"the file of artifact {artifact.name!r} is refused: {error}") from error


class SinkSpec:
    """Hooks of a sink: one object for one run in one backend.

    **The order of calls** is `open_run`; then any of `log_params`, `log_metrics`, `set_tags` and `log_artifacts` in the
    order of the journal, with `flush` after each batch, and `rewind` where training went back; then `end_run` and
    `flush` once the run has ended; then `close`. A sink implements the hooks that it needs. All calls come from one
    thread.

    **Batches** are lists of consecutive records of one kind. The list belongs to the call: a hook wrapper
    (`@hookimpl(wrapper=True)`) may change it in place before it yields, which is how middleware filters and renames.

    **Redelivery**: after a crash, what came since the last committed `flush` comes again, and delivering twice must
    leave what delivering once leaves: by keys that the backend itself merges, or by rolling back in `open_run` to what
    the checkpoint says.

    **Failures**: every hook but `close` may raise `SinkUnavailableError` (the lane makes the same call again a few
    times, then closes the sink, backs off, opens it again and goes on from the last commit), `SinkMisconfiguredError`
    (the lane parks until it is mended; with `ArtifactStoreError` only artifacts wait) or `RecordRejectedError`
    (the lane bisects the batch, tries the culprit again once the sink has taken others, and keeps it as a dead letter).
    Raise `RecordRejectedError` only for an answer that is about the record. Anything else is retried a few times; then
    a record that fails while others pass becomes a dead letter, and a sink that fails for all parks. No failure reaches
    training code. A hook that makes several requests wraps each in `retry_in_place`.
    """

    @hookspec(firstresult=True)
    def open_run(self, run: RunContext, checkpoint: Checkpoint | None) -> Link | None:
        """Create the run in the backend, or find it again, and return where it lies.

        **When**: before anything else, again after a failure, and after each restart of the courier. `checkpoint` is
        what the last committed `flush` returned: roll back to exactly that. None: nothing was ever committed. An
        earlier attempt may still have left traces, so creating must be safe to repeat. The name and the description in
        `run.start` may have changed since; the backend is to show the new ones.
        """

    @hookspec(firstresult=True)
    def can_rewind(self) -> bool:
        """Return whether the sink can withdraw points, as it is open now: for `rewind`.

        **When**: between `open_run` and `close`, where training went back to a checkpoint. Without this hook the answer
        is no. Then the points that the backend has stay, and the lane holds new points back up to where they are above
        those. Points that are superseded before they were delivered do not come, unless the sink answers `must_repeat`.
        """
        raise NotImplementedError

    @hookspec(firstresult=True)
    def must_repeat(self) -> bool:
        """Return whether what came since the last commit must come again just as it was.

        **When**: with `can_rewind`, of a sink that can't. Without this hook the answer is no. It is for a backend that
        knows a redelivery by the number of a row: a point that is left out would shift the numbers of all later rows.
        """
        raise NotImplementedError

    @hookspec
    def rewind(self, steps: dict[str, int]) -> None:
        """Withdraw the points of each of these metrics from its step on; those come again, from that step on.

        **When**: after a resume, or `Run.load_state_dict`, before the first point that is not above all earlier ones of
        its metric, if `can_rewind` says yes. **Redelivery**: `open_run` with a checkpoint from before undoes it. A
        wrapper that renames metrics must rename them in `steps` as well.
        """

    @hookspec
    def log_params(self, params: list[Params]) -> None:
        """Take hyperparameters, nested as logged; `records.flatten` makes one level of them."""

    @hookspec
    def log_metrics(self, metrics: list[Metrics]) -> None:
        """Take points. Each must be readable at its own step, also if it comes out of order."""

    @hookspec
    def set_tags(self, tags: list[Tags]) -> None:
        """Take tags. Those that the run started with are in `RunContext.start`."""

    @hookspec
    def log_artifacts(self, artifacts: list[Artifact]) -> None:
        """Take files and folders. `RunContext.locate` gives the run's copy, which is gone once the run is complete."""

    @hookspec(firstresult=True)
    def flush(self) -> Checkpoint | None:
        """Make everything handed over durable, and return what `open_run` needs to come back to exactly this point.

        **When**: after each batch, and after `end_run`. The lane commits the offset and the checkpoint together. None
        means "accepted, but not yet durable": the offset stays and the records count as pending, as for a backend that
        confirms only at the end.
        """

    @hookspec
    def end_run(self, status: RunStatus, time: int) -> None:
        """End the run, at `time` in milliseconds since the epoch. Comes again after a crash or a resume."""

    @hookspec
    def close(self) -> None:
        """Close files and connections. **When**: last, whether or not the run ended. What it raises is ignored."""


class Source(ABC):
    """The reading twin of a sink: what a backend holds, as the records that a journal would hold. Derive from it.

    It is constructed with a location (`local:PATH` gives PATH) and reads through the backend's own public reader, also
    runs that unitrack did not write. It never writes to the backend and never unpickles. It raises `FileNotFoundError`
    in its constructor if nothing is there, in words that say what to give instead; any other error that it raises
    reaches the user as a `SourceError` with its words.

    **A source must have `runs` and `records`.** All other methods have a default that is right for every backend, most
    of them built on `records`. Override one where the backend answers it with less work; the answer must be the same.
    What a later version wants to ask, such as runs that match a query, becomes another method with such a default; the
    methods here get no further arguments. So a source goes on working that knows nothing of it.

    **Run ids.** Each method takes the run's id in the backend (`RunStart.run_id` of `runs`), or the one that unitrack
    gave it (`RunContext.start.run_id`), and raises `KeyError` if there is no such run: at the call, or, where it
    returns an iterator, at the first record.
    """

    @abstractmethod
    def __init__(self, location: str) -> None: ...

    @abstractmethod
    def runs(self) -> Iterator[RunStart]:
        """Yield the runs that lie there. `RunStart.run_id` is the id in the backend."""

    @abstractmethod
    def records(self, run_id: str) -> Iterator[AnyRecord]:
        """Yield the records of one run, streaming, with the names that were logged.

        The `RunStart` comes first and the `RunEnd`, if the run has ended, last; points of one metric come in the order
        of logging. `Artifact.file` is an absolute path where the file lies on this machine, else a URI that `fetch`
        understands. If only artifacts can't be listed, raise `ArtifactStoreError` after everything else.
        """

    def summary(self, run_id: str) -> RunSummary:
        """Return the run without its points.

        The default reads all records. Override it where the backend has params, tags and last values at hand, so that
        listing a thousand runs does not read all their points; leave the fields None that it does not have at hand.
        """
        return RunSummary.of(self.records(run_id))

    def history(self, run_id: str, metrics: Collection[str]) -> Iterator[Metrics]:
        """Yield the points of these metrics and no others, those of one metric in the order of logging.

        None is left out and none is averaged. A name that the run does not have is no error. The default reads all
        records. Override it where the backend reads one metric without the others.
        """
        wanted = frozenset(metrics)
        for record in self._points(run_id):
            values = record.values()
            points = {name: value for name, value in values.items() if name in wanted}
            if points:
                yield record if len(points) == len(values) else record.with_values(points)

    def summaries(self, conditions: Sequence[Condition] = ()) -> Iterator[tuple[RunStart, RunSummary]]:
        """Yield each run with its summary, as `runs` and `summary` give them.

        Override it where the backend answers for many runs at once. Runs for which a condition is false may be left
        out, so that the backend can do the search; all of them are checked again by the caller, so that leaving out
        none is right as well. The default does.
        """
        for start in self.runs():
            yield start, self.summary(start.run_id)

    def columns(self, run_id: str, metrics: Collection[str] | None = None) -> Mapping[str, Columns]:
        """Return every point of these metrics, or of all, by metric; one that has no points is left out.

        Points stand in the order of logging, as in `records`. Override it where the backend has them by metric, or in
        a form that needs no record a point. The default builds them from `history` or `records`.
        """
        return columns_of(self._points(run_id) if metrics is None else self.history(run_id, metrics))

    def fetch(self, run_id: str, artifact: Artifact, folder: Path) -> Path:
        """Bring an artifact that `records` gave into `folder`, and return where it lies: there, or where it was before.

        It is called for an artifact that has no path on this machine (`Artifact.file`). `folder` exists and is empty.
        The default raises `FileNotFoundError`.
        """
        raise FileNotFoundError(f"{artifact.name!r} is not on this machine, and its backend has no way to bring it")

    def links(self, run_id: str) -> Mapping[str, Link]:
        """Return where the run lies in each backend that it was delivered to, by the name of the sink.

        Override it where that is recorded. The default returns none.
        """
        return {}

    def folder(self, run_id: str) -> Path | None:
        """Return the folder on this machine that is the run's own, or None, as the default does."""
        return None

    def _points(self, run_id: str) -> Iterator[Metrics]:
        with contextlib.suppress(ArtifactStoreError):  # comes after all points
            yield from (record for record in self.records(run_id) if isinstance(record, Metrics))
