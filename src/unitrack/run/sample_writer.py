"""The thread of one run that makes histograms and norms of watched models' tensors, and logs them."""

from __future__ import annotations

import math
import queue
import threading
import time
from typing import Any

from unitrack.errors import RunFinishedError, warn_from_thread
from unitrack.limits import MAX_SAMPLED_BYTES, MAX_SAMPLES, POLL_MIN_S
from unitrack.media.arrays import as_array
from unitrack.run.files import FileLog
from unitrack.run.metrics import MetricLog
from unitrack.run.model_watch import Sample

_SINGULAR = {"gradients": "gradient", "parameters": "parameter"}


class SampleWriter:
    """Logs one sample after the other."""

    def __init__(self, files: FileLog, metrics: MetricLog) -> None:
        self._files = files
        self._metrics = metrics
        self._samples: queue.SimpleQueue[tuple[Sample, int, bool]] = queue.SimpleQueue()
        self._idle = threading.Event()
        self._idle.set()
        self._open = 0
        self._bytes = 0
        self._lock = threading.Lock()
        self._is_lost = False
        self._has_warned = False
        threading.Thread(target=self._work, name="unitrack-model-watch", daemon=True).start()

    @property
    def is_full(self) -> bool:
        """Whether there are so many samples to log that no further one is to be taken."""
        return self._open >= MAX_SAMPLES or (self._open > 0 and self._bytes >= MAX_SAMPLED_BYTES)

    def put(self, sample: Sample, bins: int, *, norms: bool) -> None:
        """Queue a sample. Never blocks."""
        with self._lock:
            self._open += 1
            self._bytes += sample.bytes
            self._idle.clear()
        self._samples.put((sample, bins, norms))

    def wait(self, deadline: float) -> None:
        """Wait until all samples are logged, at most until `deadline` of the monotonic clock."""
        while not self._idle.wait(POLL_MIN_S) and time.monotonic() < deadline:
            pass

    def lose(self) -> int:
        """Drop the samples that are not logged yet; return how many there are."""
        self._is_lost = True
        return self._open

    def _work(self) -> None:
        while True:
            sample, bins, norms = self._samples.get()
            try:
                if not self._is_lost:
                    self._log(sample, bins, norms=norms)
            except RunFinishedError:
                self._is_lost = True
            except Exception as error:
                self._warn(error, sample.step)
            finally:
                with self._lock:
                    self._open -= 1
                    self._bytes -= sample.bytes
                    if not self._open:
                        self._idle.set()

    def _log(self, sample: Sample, bins: int, *, norms: bool) -> None:
        squares: dict[str, dict[str, float]] = {}
        while sample.tensors and not self._is_lost:
            (kind, name), (tensor, wait) = sample.tensors.popitem()
            wait()
            array = as_array(tensor, name).ravel()
            self._log_histogram(array, f"{kind}/{name}", sample.step, bins)
            if norms:
                squares.setdefault(kind, {})[name] = float((array.astype("float64") ** 2).sum())
        if squares:
            self._metrics.log_beside(_norms(squares), sample.step)

    def _log_histogram(self, array: Any, name: str, step: int, bins: int) -> None:
        import numpy as np  # noqa: PLC0415  # optional, and costs 90 ms; `as_array` has imported it

        finite = array[np.isfinite(array)]
        if finite.size:
            self._files.log_histogram(finite, name, step, bins=bins)

    def _warn(self, error: Exception, step: int) -> None:
        if not self._has_warned:
            self._has_warned = True
            warn_from_thread(f"a sample of a watched model at step {step} was not logged: {error}", UserWarning)


def _norms(squares: dict[str, dict[str, float]]) -> dict[str, float]:
    """Return the norms of tensors and of all together, under names that no parameter can take."""
    found = {}
    for kind, of_kind in squares.items():
        found[f"{_SINGULAR[kind]}_norm_total"] = math.sqrt(math.fsum(of_kind.values()))
        for name, square in of_kind.items():
            found[f"{_SINGULAR[kind]}_norm/{name}"] = math.sqrt(square)
    return found
