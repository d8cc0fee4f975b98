"""The plugin manual: every hook, when it fires, in which process, what it may raise.

A plugin is a module that is named in the entry-point group `unitrack` of its distribution::

    [project.entry-points.unitrack]
    mybackend = "unitrack_mybackend"

It implements hooks of `PluginSpec` as module-level functions marked with `@unitrack.hookimpl`. That module is
imported by the training process, so it must be cheap to import and must not import a backend's SDK; the sink and the
source, which do, are named as "module:Class" and are imported only where they run.

A sink is a class whose methods implement `SinkSpec`. One courier process serves all sinks of one backend. In it each
sink has a lane: its own thread, its own offset in the journal, its own plugin manager. What happens in one lane can't
be felt in another one, or in training.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Protocol, Self, TypeVar

import msgspec
import pluggy

from unitrack import limits
from unitrack.errors import RecordRejectedError, SinkUnavailableError
from unitrack.installation import install_command as install_command
from unitrack.learned import learned
from unitrack.names import escape
from unitrack.records import AnyRecord, Artifact, Metrics, Params, RunStart, RunStatus, Tags
from unitrack.safe_files import UnsafePathError, locate_inside

hookspec = pluggy.HookspecMarker("unitrack")
hookimpl = pluggy.HookimplMarker("unitrack")

Checkpoint = dict[str, Any]
"""What a sink must remember across a crash, as JSON values; see `SinkSpec.flush`."""


class SinkOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of a backend's options. Fields with types and `msgspec.Meta` bounds are all the validation it needs:
    an unknown or ill-typed key raises at `start_run`, naming the key and the nearest right one.
    """

    def anchored(self, directory: Path) -> Self:
        """These options with relative paths made absolute from `directory`, the one that training started in.

        A courier or a later `unitrack sync` may run elsewhere. Override it where an option can hold a path.
        """
        return self

    def is_disabled(self) -> bool:
        """Return whether the sink is switched off by its options, so that the run goes on without it."""
        return False

    def store(self) -> str:
        """What two sinks share that go to the same place, for `Backend.lanes_at_once`: by default all the options."""
        return msgspec.json.encode(self).decode()


class Finding(msgspec.Struct, frozen=True):
    """One thing that `unitrack doctor` looked at."""

    ok: bool
    subject: str
    """What was looked at: "package", "server", "credentials"."""
    message: str
    """What was found and, where it is wrong, how to mend it."""


class Variable(msgspec.Struct, frozen=True):
    """An environment variable that teams have set for the backend's own SDK: the lowest layer of the configuration.

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
    """What some of its values are called here: {"dryrun": "offline"}."""


class Backend(msgspec.Struct, frozen=True, kw_only=True):
    """What a plugin declares about the backend it serves. Plain data: nothing here imports an SDK."""

    name: str
    """How configuration names it: `sinks=["mlflow"]`."""
    summary: str
    """One line for `unitrack plugins`."""
    sink: str
    """The sink's class as "module:Class"; called with the options, in the courier."""
    options: type[SinkOptions] = SinkOptions
    source: str | None = None
    """The reading twin as "module:Class", a `Source`; called with a location."""
    variables: tuple[Variable, ...] = ()
    """Environment variables of the backend's own SDK that also hold for its sinks."""
    stores: tuple[str, ...] = ()
    """Globs that tell a folder in which the backend keeps runs beside the code by default: "mlruns/*/meta.yaml" is the
    folder `mlruns` that holds such a file. `log_artifact` and `log_code` of a project leave it out."""
    requires: tuple[str, ...] = ()
    """Modules that must be importable. Looked for, never imported, at `start_run`."""
    install: str = ""
    """What to `pip install` when one of them is missing: a requirement, as `install_command` takes it."""
    rewinds: bool = False
    """Whether the sink can withdraw points after a resume behind the log; see `SinkSpec.rewind`."""
    once_per_run: bool = False
    """Whether two sinks of it in one run would write to the same place, so that only one is allowed."""
    native: Mapping[str, str] = {}
    """What the backend shows by itself, and as what: {"metrics": "scalars", "image": "images"}. The keys are
    `records.KINDS`; a kind that is not here arrives as a file among the artifacts."""
    exact_floats: bool = True
    """Whether a float64 can be read back bit for bit through the source."""
    non_finite: Literal["exact", "marked"] = "exact"
    """Whether NaN and infinity are held as such, or in a marked form that the source turns back."""
    kinds_in_order: bool = True
    """Whether params, points, tags and artifacts must arrive in the order in which they were logged. If not, a sink
    gets what is alike together: the points between twenty texts in one batch. Records of one kind are in order."""
    lanes_at_once: int | None = None
    """How many lanes of one store (`SinkOptions.store`) may be in a call at the same time; None: all. A database has a
    pool of connections, a server a rate limit."""
    confirms: Literal["flush", "end"] = "flush"
    """When the backend can say that records are durable: after each batch, or at the end of the run only."""
    check: str | None = None
    """"module:function", called by `unitrack doctor` with the options, in a process of its own under a time limit;
    it yields `Finding`s on reachability, credentials and whatever else can be wrong."""


class Validators(msgspec.Struct, frozen=True, kw_only=True):
    """Checks to run on each log call after the built-in ones, in the training process, before anything is written.

    Each is a pure function. It returns the value to log (changed or not) and refuses one by raising `ValueError`
    or `TypeError` with a message that says what to do.
    """

    metric: tuple[Callable[[str, float, int], float], ...] = ()
    """Called with name, value and step."""
    param: tuple[Callable[[str, Any], Any], ...] = ()
    """Called with the dotted name and the value of each leaf."""
    artifact: tuple[Callable[[Path, str], object], ...] = ()
    """Called with the file on disk and the artifact's name. What it returns is ignored."""


class PluginSpec:
    """Hooks of a plugin module."""

    @hookspec
    def register_backends(self) -> Iterable[Backend]:
        """The backends that this plugin serves.

        **When**: once, at the first `start_run` or CLI command of a process. **Where**: the training process.
        **Raising** disables this plugin alone; `unitrack plugins` shows why.
        """
        raise NotImplementedError

    @hookspec
    def register_validators(self) -> Validators:
        """Validators to add to the chain of every run.

        **When**: at `start_run`. **Where**: the training process. **Raising** fails `start_run`: a safeguard that
        silently is not there is worse than no run.
        """
        raise NotImplementedError

    @hookspec
    def register_middleware(self) -> Iterable[Middleware]:
        """Middleware that a sink's options may ask for by name.

        **When**: once, with `register_backends`. **Where**: the training process. **Raising** disables this plugin.
        """
        raise NotImplementedError


class Middleware(msgspec.Struct, frozen=True, kw_only=True):
    """Something that changes what one sink receives: renames, filters, thins out, redacts."""

    name: str
    """The key among a sink's options that asks for it: `wandb: {every: 10}`."""
    wrapper: str
    """"module:Class" of an object with hook wrappers, `@hookimpl(wrapper=True)`, of `SinkSpec`; called with the value
    of that key, in the courier. A wrapper edits the list that it is given in place, then yields."""
    option: Any = Any
    """The type of that value, checked at `start_run`."""


@learned
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


class RunContext(msgspec.Struct, frozen=True, kw_only=True):
    """The run that a sink serves."""

    start: RunStart
    folder: Path
    """The run folder, absolute."""
    sink_name: str
    """What the run calls this sink; two sinks of one backend have different names."""

    @property
    def notes(self) -> Path:
        """A folder for the sink's own notes. It may not exist yet."""
        return self.folder / ".unitrack" / escape(self.sink_name, r"\w\-")

    def locate(self, artifact: Artifact) -> Path:
        """The file or folder on disk that an artifact record speaks of.

        Raises `RecordRejectedError` if it lies outside of the run folder or is a symbolic link: a journal may come from
        a stranger. The lane has looked, too, before it hands over the record.
        """
        try:
            return locate_inside(self.folder, artifact.file)
        except UnsafePathError as error:
            raise RecordRejectedError(f"the file of artifact {artifact.name!r} is refused: {error}") from error


_Answer = TypeVar("_Answer")


def pause_in_place(error: SinkUnavailableError, failures: int, lasted: float) -> float | None:
    """Seconds until the same call is made again, after so many failures in a row in `lasted` seconds; None: no more."""
    if error.reopen:
        return None
    if (wanted := error.retry_after) is not None:
        goes_on = lasted + wanted <= limits.IN_PLACE_WANTED_S
    else:
        goes_on = lasted <= limits.IN_PLACE_LASTS_S and failures < limits.IN_PLACE_TRIES
    if not goes_on:
        return None
    from random import uniform  # not imported by training, which imports this module

    ceiling = min(limits.IN_PLACE_MAX_S, limits.IN_PLACE_FIRST_S * 2.0 ** min(failures - 1, 16))
    return (wanted or 0.0) + ceiling * uniform(0.5, 1)


def retry_in_place(request: Callable[[], _Answer]) -> _Answer:
    """Make a request; if it raises `SinkUnavailableError`, again, after a short pause or the one that it asks for.

    For sinks that make several requests in one call, so that one that fails does not cost those before it. The request
    must be safe to repeat. Bounded by tries and time (`limits.IN_PLACE_...`); raises what the last one raised.
    """
    begun = time.monotonic()
    for failures in itertools.count(1):
        try:
            return request()
        except SinkUnavailableError as error:
            pause = pause_in_place(error, failures, time.monotonic() - begun)
            if pause is None:
                raise
            time.sleep(pause)
    raise AssertionError("count() has no end")


class SinkSpec:
    """Hooks of a sink: one object for one run in one backend.

    **The order of calls** is `open_run`; then any of `log_params`, `log_metrics`, `set_tags` and `log_artifacts` in the
    order of the journal, with `flush` after each batch, and `rewind` where training went back; then `end_run` and
    `flush` once the run has ended; then `close`. A sink implements those that it has a use for. All calls come from one
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
        """Create the run in the backend, or find it again, and say where it lies.

        **When**: before anything else, again after a failure, and after each restart of the courier. `checkpoint` is
        what the last committed `flush` returned: roll back to exactly that. None: nothing was ever committed, though
        an attempt before may have left traces, so creating must be safe to repeat.
        """

    @hookspec(firstresult=True)
    def rewind(self, steps: dict[str, int]) -> Link | None:
        """Training went back to a checkpoint: withdraw the points of each metric from its step on, of those delivered
        so far, and say where the run lies then. They come again, from that step on. None: the backend can't take points
        back; then what it has stays, and the lane holds new points back up to where they are above it.

        **When**: after a resume, or `Run.load_state_dict`, before the first point that is not above all earlier ones of
        its metric. With an empty mapping it is a question only: may points that are superseded before they were
        delivered be left out from now on (None), or shall all come (a link)? **Redelivery**: `open_run` with a
        checkpoint from before undoes it. A wrapper that renames metrics renames them here, too.
        """

    @hookspec
    def log_params(self, params: list[Params]) -> None:
        """Hyperparameters, nested as logged; `records.flatten` makes one level of them."""

    @hookspec
    def log_metrics(self, metrics: list[Metrics]) -> None:
        """Points. Every one must be readable at its own step, those that come out of order included."""

    @hookspec
    def set_tags(self, tags: list[Tags]) -> None:
        """Tags. Those that the run started with are in `RunContext.start`."""

    @hookspec
    def log_artifacts(self, artifacts: list[Artifact]) -> None:
        """Files and folders; `RunContext.locate` gives the copy to take. It is gone once the run is complete."""

    @hookspec(firstresult=True)
    def flush(self) -> Checkpoint | None:
        """Make everything handed over durable, and return what `open_run` needs to come back to exactly this point.

        **When**: after each batch, and after `end_run`. The lane commits the offset and the checkpoint together. None
        means "accepted, but not yet durable": the offset stays and the records count as pending, as for a backend that
        confirms only at the end.
        """

    @hookspec
    def end_run(self, status: RunStatus, time: int) -> None:
        """The run ended, at `time` in milliseconds since the epoch. May come again after a crash or a resume."""

    @hookspec
    def close(self) -> None:
        """Let go of files and connections. **When**: last, whether or not the run ended. What it raises is ignored."""


class RunSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A run without its points and its files: what listing, filtering and comparing runs asks for."""

    params: Mapping[str, Any] = {}
    """By the names that `records.flatten` gives; of several values of one the last."""
    tags: Mapping[str, str] = {}
    """Of several values of one the last."""
    last: Mapping[str, float] = {}
    """Of each metric the value at its highest step, of several there the one logged last."""
    status: RunStatus = "running"
    ended: int | None = None
    """Milliseconds since the epoch."""


class Source(Protocol):
    """The reading twin of a sink: what a backend holds, as the records that a journal would hold.

    Constructed with a location (`local:PATH` gives PATH), it reads through the backend's own public reader, also runs
    that unitrack did not write. It never unpickles.
    """

    def __init__(self, location: str) -> None: ...

    def runs(self) -> Iterator[RunStart]:
        """The runs that lie there. `RunStart.run_id` is the id in the backend."""

    def records(self, run_id: str) -> Iterator[AnyRecord]:
        """The records of one run, streaming, original names restored; points of one metric in order of logging.

        `run_id` is the run's id in the backend, or the one that unitrack gave it (`RunContext.start.run_id`).

        `Artifact.file` is an absolute path where the file lies on this machine, else a URI that `fetch` understands.
        Raises `KeyError` if there is no such run.

        A source may have more methods. `fetch(run_id, artifact, folder) -> Path` brings an artifact that is elsewhere
        into a folder, or says where it lies. `folder(run_id) -> Path` is the folder on this machine that is the run's
        own. `summary(run_id) -> RunSummary` is for a backend that has what is in it at hand: it must come to what
        `records` come to, without reading all points.
        """
