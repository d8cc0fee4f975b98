"""Optuna, which is imported when a sweep needs it: it costs about 0.5 s and is an optional package."""

from __future__ import annotations

import contextlib
import importlib
import warnings
from collections.abc import Iterator
from typing import Any

from unitrack.errors import MissingPackageError

INSTALL = "pip install 'unitrack-core[sweeps]'"


def load_optuna() -> Any:
    """Return the module `optuna`. Raises `MissingPackageError`, which holds the command that installs it."""
    try:
        return importlib.import_module("optuna")
    except ModuleNotFoundError as error:
        if error.name != "optuna":
            raise
        raise MissingPackageError(f"sweeps need the package 'optuna': run `{INSTALL}`") from None


@contextlib.contextmanager
def quiet_optuna() -> Iterator[None]:
    """Keep Optuna's messages and its warnings about experimental features from the user, and restore both."""
    optuna = load_optuna()
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)
