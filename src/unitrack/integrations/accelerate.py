"""Accelerate: a tracker. Once this is imported, `Accelerator(log_with="unitrack")` stands for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import unitrack
from unitrack.integrations.attached_run import AttachedRun
from unitrack.integrations.frameworks import missing

try:
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS, GeneralTracker, on_main_process
except ImportError as error:
    raise missing(__name__, error) from error

__all__ = ["UnitrackTracker"]


class UnitrackTracker(GeneralTracker):  # type: ignore[misc]  # Accelerate's types are not read
    """Log what `accelerator.log` gets, on the main process.

    A run of its own begins with `init_trackers`, and ends with `end_training`: as "failed" or "killed" where that is
    called while an exception is handled, as in a `finally` block. Else it ends with the process.
    """

    name = "unitrack"
    requires_logging_directory = False
    main_process_only = True

    def __init__(self, project: str | None = None, *, run: unitrack.Run | None = None, **start: Any) -> None:
        """`run`, and `project` and `start`, arguments of `unitrack.start_run`: see `AttachedRun`.

        `project` is what `init_trackers` gets; `start` is its `init_kwargs={"unitrack": {...}}`.
        """
        super().__init__()
        self._attached = AttachedRun(None, run, project=project, **start)

    @on_main_process  # type: ignore[untyped-decorator]
    def start(self) -> None:
        """Start or find the run."""
        self._attached.begin()

    @property
    def tracker(self) -> unitrack.Run:
        """The run: what `accelerator.get_tracker("unitrack", unwrap=True)` returns."""
        return self._attached.run

    @on_main_process  # type: ignore[untyped-decorator]
    def store_init_configuration(self, values: Mapping[str, Any]) -> None:
        """Log the configuration as params."""
        self._attached.begin(values)

    @on_main_process  # type: ignore[untyped-decorator]
    def log(self, values: Mapping[str, Any], step: int | None = None, **kwargs: Any) -> None:
        """Log numbers and media, as `Run.log` does, and texts as files."""
        texts = {name: value for name, value in values.items() if isinstance(value, str)}
        self._attached.run.log({name: value for name, value in values.items() if name not in texts}, step)
        for name, text in texts.items():
            self._attached.run.log_text(text, f"{name}.txt" if step is None else f"{name}-{step}.txt")

    @on_main_process  # type: ignore[untyped-decorator]
    def log_images(self, values: Mapping[str, Sequence[Any]], step: int | None = None, **kwargs: Any) -> None:
        """Log lists of images by name, as "name/0", "name/1" and so on."""
        self._attached.run.log({name: [unitrack.Image(one) for one in images] for name, images in values.items()}, step)

    @on_main_process  # type: ignore[untyped-decorator]
    def log_table(
        self,
        table_name: str,
        columns: Sequence[str] | None = None,
        data: Any = None,
        dataframe: Any = None,
        step: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Log `dataframe`, or rows (`data`) with the names of `columns`; see `Run.log_table`."""
        self._attached.run.log_table(data if dataframe is None else dataframe, table_name, step, columns=columns)

    @on_main_process  # type: ignore[untyped-decorator]
    def finish(self) -> None:
        """End the run if it was started here."""
        self._attached.finish(None)


LOGGER_TYPE_TO_CLASS[UnitrackTracker.name] = UnitrackTracker
