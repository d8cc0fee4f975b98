"""`from unitrack.capture import wandb`: the names of W&B's module, as runs of unitrack alone.

It needs neither the SDK nor an account nor a network. `unitrack capture --replace wandb` puts it in the place of the
SDK. docs/reference/capture.md says of each name whether it works.
"""

from __future__ import annotations

import sys
from enum import Enum
from typing import Any

from unitrack.capture.wandb import errors, plot, util
from unitrack.capture.wandb.artifact import Artifact
from unitrack.capture.wandb.errors import CommError, Error, UsageError
from unitrack.capture.wandb.media import (
    Audio,
    Classes,
    Graph,
    Histogram,
    Html,
    Image,
    Molecule,
    Object3D,
    Plotly,
    Video,
)
from unitrack.capture.wandb.plot import plot_table, visualize
from unitrack.capture.wandb.run_config import Config
from unitrack.capture.wandb.runs import Run
from unitrack.capture.wandb.settings import Settings
from unitrack.capture.wandb.state import finish, init, of_current_run, state
from unitrack.capture.wandb.table import EvalTable, Table
from unitrack.capture.wandb.unavailable import Unavailable, reason_of

__version__ = "0.31.0"
"""The version of W&B whose names these are."""


class AlertLevel(Enum):
    """How important an alert is."""

    INFO = "INFO"
    WARN = "WARN"
    ERROR = "ERROR"


log = of_current_run("log")
define_metric = of_current_run("define_metric")
watch = of_current_run("watch")
unwatch = of_current_run("unwatch")
save = of_current_run("save")
alert = of_current_run("alert")
log_artifact = of_current_run("log_artifact")
use_artifact = of_current_run("use_artifact")
log_model = of_current_run("log_model")
use_model = of_current_run("use_model")
link_model = of_current_run("link_model")
mark_preempting = of_current_run("mark_preempting")
pin_config_keys = of_current_run("pin_config_keys")
join = finish


def login(*args: Any, **kwargs: Any) -> bool:
    """Return True: no account is needed."""
    return True


def setup(*args: Any, **kwargs: Any) -> None:
    """Do nothing: there is no service to start."""


def teardown(exit_code: int | None = None) -> None:
    """End the open runs."""
    while state.run is not None:
        state.run.finish(exit_code)


def require(*args: Any, **kwargs: Any) -> None:
    """Do nothing: there are no features to switch on."""


def ensure_configured() -> None:
    """Do nothing: unitrack is configured by its own file and environment."""


def box3d(*args: Any, **kwargs: Any) -> dict[str, Any]:
    """Return what it was given; it is part of a point cloud, which is not kept."""
    return dict(kwargs)


def termlog(string: str = "", *args: Any, **kwargs: Any) -> None:
    """Print a line to standard error."""
    sys.stderr.write(f"wandb: {string}\n")


def termwarn(string: str = "", *args: Any, **kwargs: Any) -> None:
    """Print a warning to standard error."""
    sys.stderr.write(f"wandb: WARNING {string}\n")


def termerror(string: str = "", *args: Any, **kwargs: Any) -> None:
    """Print an error to standard error."""
    sys.stderr.write(f"wandb: ERROR {string}\n")


def termsetup(*args: Any, **kwargs: Any) -> None:
    """Do nothing: lines are printed as they are."""


def __getattr__(name: str) -> Any:
    """Return the current run, its config and its summary, or what stands for a name that needs W&B."""
    if name == "run":
        return state.run
    if name in ("config", "summary"):
        return _Waiting(name) if state.run is None else getattr(state.run, name)
    if name == "data_types":
        return sys.modules[__name__]
    reason = reason_of(name)
    if reason is not None:
        return Unavailable(name, reason)
    raise AttributeError(f"module 'wandb' of unitrack.capture has no attribute {name!r}")


class _Waiting:
    """`wandb.config` and `wandb.summary` before there is a run."""

    def __init__(self, name: str) -> None:
        vars(self)["_name"] = name

    def __getattr__(self, key: str) -> Any:
        if key.startswith("__"):
            raise AttributeError(key)
        raise Error(f"You must call wandb.init() before wandb.{vars(self)['_name']}.{key}")

    def __setattr__(self, key: str, value: Any) -> None:
        raise Error(f"You must call wandb.init() before wandb.{vars(self)['_name']}.{key}")

    def __getitem__(self, key: str) -> Any:
        raise Error(f"You must call wandb.init() before wandb.{vars(self)['_name']}[{key!r}]")

    def __setitem__(self, key: str, value: Any) -> None:
        raise Error(f"You must call wandb.init() before wandb.{vars(self)['_name']}[{key!r}]")


__all__ = [
    "AlertLevel",
    "Artifact",
    "Audio",
    "Classes",
    "CommError",
    "Config",
    "Error",
    "EvalTable",
    "Graph",
    "Histogram",
    "Html",
    "Image",
    "Molecule",
    "Object3D",
    "Plotly",
    "Run",
    "Settings",
    "Table",
    "UsageError",
    "Video",
    "alert",
    "box3d",
    "define_metric",
    "ensure_configured",
    "errors",
    "finish",
    "init",
    "join",
    "link_model",
    "log",
    "log_artifact",
    "log_model",
    "login",
    "mark_preempting",
    "pin_config_keys",
    "plot",
    "plot_table",
    "require",
    "save",
    "setup",
    "teardown",
    "termerror",
    "termlog",
    "termsetup",
    "termwarn",
    "unwatch",
    "use_artifact",
    "use_model",
    "util",
    "visualize",
    "watch",
]
