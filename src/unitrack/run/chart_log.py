"""Data that backends draw by themselves: precision-recall curves and embeddings, logged as tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from unitrack.media import with_suffix
from unitrack.records import DIMENSIONS
from unitrack.run.files import FileLog
from unitrack.run.recorder import Recorder
from unitrack.validation import ValidationChain, check_artifact_name


class ChartLog:
    """Logs curves and embeddings. The methods of the same names in `Run` document the arguments and errors."""

    def __init__(self, recorder: Recorder, validation: ValidationChain, files: FileLog) -> None:
        self._recorder = recorder
        self._validation = validation
        self._files = files

    def log_pr_curve(self, labels: Any, predictions: Any, name: str, step: int | None, thresholds: int) -> None:
        """See `Run.log_pr_curve`."""
        self._recorder.check_open()
        from unitrack.media.pr_curves import pr_curve_bytes  # noqa: PLC0415  # encoders of media cost up to 2 ms each

        name = check_artifact_name(name)
        data = pr_curve_bytes(labels, predictions, name, thresholds)
        self._files.log_bytes(data, with_suffix(name, "pr_curve", ".json"), "pr_curve", step)

    def log_embedding(
        self, vectors: Any, name: str, step: int | None, labels: Any, columns: Sequence[str] | None
    ) -> None:
        """See `Run.log_embedding`."""
        self._recorder.check_open()
        from unitrack.media.embeddings import embedding_bytes  # noqa: PLC0415  # encoders of media cost up to 2 ms each

        name = check_artifact_name(name)
        data, dimensions = embedding_bytes(vectors, labels, name, columns, self._validation.redacted)
        file = with_suffix(name, "embedding", ".json")
        self._files.log_bytes(data, file, "embedding", step, {DIMENSIONS: dimensions})
