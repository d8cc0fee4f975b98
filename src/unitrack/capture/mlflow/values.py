"""MLflow's logging functions: of the active run, or of another one of this process."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from unitrack.capture.forwarding.mlflow_calls import Point
from unitrack.capture.mlflow.exceptions import MlflowException
from unitrack.capture.mlflow.runs import run_of
from unitrack.capture.session import session


def log_metric(key: str, value: Any, step: int | None = None, *args: Any, run_id: str | None = None, **kw: Any) -> None:
    """Log a point, at step 0 by default."""
    log_metrics({key: value}, step, run_id=run_id)


def log_metrics(
    metrics: Mapping[str, Any], step: int | None = None, *args: Any, run_id: str | None = None, **kwargs: Any
) -> None:
    """Log points at a step, 0 by default."""
    run = run_of(run_id)
    run.data.metrics.update({key: float(value) for key, value in metrics.items()})
    run.calls.metrics([Point(key, value, step) for key, value in metrics.items()])


def log_param(key: str, value: Any, *args: Any, run_id: str | None = None, **kwargs: Any) -> Any:
    """Log a param, and return its value. Raises `MlflowException` if it has another value already."""
    log_params({key: value}, run_id=run_id)
    return value


def log_params(params: Mapping[str, Any], *args: Any, run_id: str | None = None, **kwargs: Any) -> None:
    """Log params. Raises `MlflowException` if one has another value already."""
    run = run_of(run_id)
    texts = {key: str(value) for key, value in params.items()}
    for key, text in texts.items():
        if run.data.params.get(key, text) != text:
            raise MlflowException(
                f"Changing param values is not allowed. Param with key='{key}' was already logged with "
                f"value='{run.data.params[key]}' for run ID='{run.info.run_id}'. Attempted logging new value '{text}'."
            )
    run.data.params.update(texts)
    run.calls.params(texts)


def set_tag(key: str, value: Any, *args: Any, run_id: str | None = None, **kwargs: Any) -> None:
    """Set a tag."""
    set_tags({key: value}, run_id=run_id)


def set_tags(tags: Mapping[str, Any], *args: Any, run_id: str | None = None, **kwargs: Any) -> None:
    """Set tags."""
    run = run_of(run_id)
    run.data.tags.update({key: str(value) for key, value in tags.items()})
    run.calls.tags(tags)


def log_artifact(
    local_path: str | os.PathLike[str], artifact_path: str | None = None, run_id: str | None = None
) -> None:
    """Log a file or a folder below a folder."""
    run_of(run_id).calls.file(local_path, artifact_path)


def log_artifacts(
    local_dir: str | os.PathLike[str], artifact_path: str | None = None, run_id: str | None = None
) -> None:
    """Log the files of a folder below a folder."""
    run_of(run_id).calls.files(local_dir, artifact_path)


@contextlib.contextmanager
def _written(artifact_file: str, run_id: str | None) -> Iterator[Path]:
    """Give the path of a file to write; then log it."""
    run = run_of(run_id)
    with tempfile.TemporaryDirectory(prefix="unitrack-") as folder:
        path = Path(folder, os.path.basename(artifact_file))
        yield path
        run.calls.file(path, os.path.dirname(artifact_file) or None)


def log_text(text: str, artifact_file: str, run_id: str | None = None) -> None:
    """Log a text as a file."""
    with _written(artifact_file, run_id) as path:
        path.write_text(text, encoding="utf-8")


def log_dict(dictionary: Any, artifact_file: str, run_id: str | None = None) -> None:
    """Log nested data as a file: YAML if its name says so, else JSON."""
    captured = run_of(run_id).calls.captured
    captured.do("log_dict", captured.run.log_dict, dictionary, artifact_file)


def log_figure(figure: Any, artifact_file: str, *, save_kwargs: Any = None, run_id: str | None = None) -> None:
    """Log a figure of matplotlib or plotly."""
    captured = run_of(run_id).calls.captured
    captured.do("log_figure", captured.run.log_figure, figure, artifact_file)


def log_image(
    image: Any,
    artifact_file: str | None = None,
    key: str | None = None,
    step: int | None = None,
    *args: Any,
    run_id: str | None = None,
    **kwargs: Any,
) -> None:
    """Log an image as a file or, with `key`, as one of a series at a step."""
    captured = run_of(run_id).calls.captured
    captured.do(
        "log_image", captured.run.log_image, image, artifact_file or f"images/{key}", None if key is None else step or 0
    )


def log_table(data: Any, artifact_file: str, run_id: str | None = None) -> None:
    """Log a table: a dict of columns, or a frame."""
    captured = run_of(run_id).calls.captured
    captured.do("log_table", captured.run.log_table, data, artifact_file)


def log_input(dataset: Any = None, context: str | None = None, *args: Any, **kwargs: Any) -> None:
    """Log which dataset is used: a frame, an array or a path, whose content is hashed."""
    captured = run_of(None).calls.captured
    captured.do("log_input", captured.run.log_dataset, dataset, context=context or "training")


def autolog(*args: Any, **kwargs: Any) -> None:
    """Count it: nothing is logged by itself here."""
    session.report.miss("mlflow.autolog: use a callback of unitrack.integrations")


def enable_system_metrics_logging() -> None:
    """Do nothing: `logging.log_system_metrics` of unitrack's configuration does it."""


disable_system_metrics_logging = flush_async_logging = flush_artifact_async_logging = enable_system_metrics_logging
