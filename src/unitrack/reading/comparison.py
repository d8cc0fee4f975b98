"""Comparing run folders."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from unitrack.errors import InvalidTypeError
from unitrack.local.source import PARAMS, LocalSource, read_json
from unitrack.records import Metrics
from unitrack.validation.arguments import as_path
from unitrack.validation.messages import brief


def compare_experiments(exp_dirs: Iterable[str | os.PathLike[str]]) -> dict[str, dict[str, Any]]:
    """Return the params and the last value of each metric of run folders, by folder name.

    `{"run-1": {"params": {"lr": 0.1}, "final_metrics": {"loss": 0.3}}}`. A folder that is not there is left out.
    Raises `InvalidTypeError` for one path instead of a list.
    """
    if isinstance(exp_dirs, str | bytes | os.PathLike) or not isinstance(exp_dirs, Iterable):
        raise InvalidTypeError(f"compare_experiments takes a list of run folders, got {brief(exp_dirs)}")
    folders = [as_path(folder, "compare_experiments: each of exp_dirs") for folder in exp_dirs]
    return {folder.name: _contents_of(folder) for folder in folders if os.path.exists(folder)}


def _contents_of(folder: Path) -> dict[str, Any]:
    source = LocalSource(str(folder))
    final: dict[str, float] = {}
    for start in source.runs():
        for record in source.records(start.run_id):
            if isinstance(record, Metrics):
                final |= record.values()
    return {"params": read_json(folder / PARAMS) or {}, "final_metrics": final}
