"""The torch modules of a run: their layers, and samples of their gradients and parameters while they are trained."""

from __future__ import annotations

import numbers
from typing import TYPE_CHECKING, Any

from unitrack.errors import InvalidTypeError, InvalidValueError, warn_caller
from unitrack.limits import MAX_STEP
from unitrack.media import with_suffix
from unitrack.run.files import FileLog
from unitrack.run.metrics import MetricLog
from unitrack.run.recorder import JournalState, Recorder
from unitrack.validation import check_artifact_name
from unitrack.validation.arguments import as_flag
from unitrack.validation.messages import brief

if TYPE_CHECKING:
    from unitrack.run.model_watch import ModelWatch, Sample
    from unitrack.run.sample_writer import SampleWriter

KINDS = {"gradients": ("gradients",), "parameters": ("parameters",), "all": ("gradients", "parameters")}
"""What `Run.watch` samples, by its argument `log`."""


class ModelLog:
    """Logs models' layers, and watches models. A watch copies tensors in the training thread; another thread logs."""

    def __init__(self, recorder: Recorder, files: FileLog, metrics: MetricLog) -> None:
        self._recorder = recorder
        self._files = files
        self._metrics = metrics
        self._watches: list[ModelWatch] = []
        self._writer: SampleWriter | None = None
        self._skipped = 0

    def log_graph(self, model: Any, example: Any, name: str) -> None:
        """See `Run.log_graph`."""
        self._recorder.check_open()
        from unitrack.media.graphs import graph_bytes, graph_of, graph_text  # noqa: PLC0415  # only for models

        name = check_artifact_name(name)
        graph = graph_of(model, example)
        file = with_suffix(name, "graph", ".json")
        self._files.log_bytes(graph_bytes(graph), file, "graph")
        self._files.log_text(graph_text(graph), f"{file.removesuffix('.json')}.txt")

    def watch(self, model: Any, log: str, every: int, bins: int, *, norms: bool) -> None:
        """See `Run.watch`."""
        self._recorder.check_open()
        if log not in KINDS:
            raise InvalidValueError(f"watch: log must be one of {', '.join(map(repr, KINDS))}, got {brief(log)}")
        from unitrack.media.histograms import MAX_BINS  # noqa: PLC0415  # only for models

        every, bins = _as_count(every, "every"), _as_count(bins, "bins", MAX_BINS)
        norms = as_flag(norms, "watch: norms")
        from unitrack.run.model_watch import ModelWatch  # noqa: PLC0415  # only for models
        from unitrack.run.sample_writer import SampleWriter  # noqa: PLC0415  # queue costs 1 ms

        if self._writer is None:
            self._writer = SampleWriter(self._files, self._metrics)
        writer = self._writer
        known = [watch for watch in self._watches if watch.model is model]
        number = self._watches.index(known[0]) if known else len(self._watches)
        prefix = f"model{number}." if number else ""

        def submit(sample: Sample) -> None:
            writer.put(sample, bins, norms=norms)

        watch = ModelWatch(model, KINDS[log], every, prefix, self._next_sample_step, submit)
        self.unwatch(model)
        self._watches[number : number + 1] = [watch]

    def unwatch(self, model: Any) -> None:
        """See `Run.unwatch`."""
        for watch in self._watches:
            if watch.model is model or model is None:
                watch.close()

    def _next_sample_step(self) -> int | None:
        """Return the step of a sample that begins now; None if it can't be taken."""
        if self._recorder.state is JournalState.ENDED:
            self.unwatch(None)
            return None
        if self._writer is None or self._writer.is_full:
            self._skipped += 1
            return None
        return self._metrics.next_step

    # -- as `LateWork` ------------------------------------------------------------------------------------------------

    def wait(self, deadline: float) -> None:
        """Wait until the samples taken so far are logged, at most until `deadline` of the monotonic clock."""
        for watch in self._watches:
            watch.submit()
        if self._writer is not None:
            self._writer.wait(deadline)

    def warn_of_unfinished(self) -> None:
        """Warn about samples that were skipped, or not logged in time."""
        lost, skipped = (self._writer.lose() if self._writer is not None else 0), self._skipped
        self._skipped = 0
        self.unwatch(None)
        name = self._recorder.start.name
        if skipped:
            warn_caller(
                f"run {name!r}: {skipped} samples of watched models were skipped, as too many others waited for their "
                "histograms; pass a larger `every=` to `watch`"
            )
        if lost:
            warn_caller(
                f"run {name!r} ends without {lost} samples of its watched models: there was no time to log them"
            )

    def continue_in_child(self) -> None:
        """Watch nothing in a forked child: the thread that logs is the parent's."""
        self.unwatch(None)
        self._watches, self._writer = [], None


def _as_count(value: Any, what: str, most: int = MAX_STEP) -> int:
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise InvalidTypeError(f"watch: {what} must be an integer, got {type(value).__name__} {brief(value)}")
    number = int(value)
    if not 1 <= number <= most:
        raise InvalidValueError(f"watch: {what} must be an integer in 1 ... {most}, got {brief(value)}")
    return number
