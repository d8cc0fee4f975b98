"""`ExperimentConfig`: the configuration as a dataclass, to be kept in code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, fields
from typing import Any, Literal

from unitrack.config.checking import SECTIONS, checked, keys_of
from unitrack.config.layers import Layer, make_layer
from unitrack.config.settings import Artifacts, Logging, Reproducibility, Tracking
from unitrack.errors import ConfigError


class _Unset(str):
    """A default text, which can be told from the same text given by a caller."""


class _UnsetSeed(int):
    """A default number, which can be told from the same number given by a caller."""


_TRACKING_URI = _Unset("sqlite:///mlflow.db")
_SEED = _UnsetSeed(Reproducibility().random_seed)


@dataclass
class ExperimentConfig:
    """An experiment's configuration, checked when it is made; each field means what the key of its name means in the
    file (docs/reference/configuration.md). Only `name` is required.

    A `tracking_uri` that is given, without `backend` or `sinks`, selects MLflow, and a `random_seed` that is given
    seeds; the defaults do neither. That of `tracking_uri` is a database and not "mlruns", for MLflow 3 refuses to write
    to folders.

    Raises `ConfigError`, a `ValueError`, for a missing name and for values of a wrong type or out of range.
    """

    name: str
    project: str = "codex-ml"
    tracking_uri: str = _TRACKING_URI
    artifact_location: str | None = None
    tags: dict[str, str] | Sequence[str] | None = None
    description: str = ""
    random_seed: int = _SEED
    _: KW_ONLY
    parent: str | None = None
    group: str | None = None
    job_type: str | None = None
    backend: str | None = None
    sinks: Sequence[str | Mapping[str, Mapping[str, Any] | None]] | None = None
    root: str = Tracking().root
    delivery: Literal["process", "thread", "inline"] = Tracking().delivery
    mode: Literal["enabled", "disabled"] = Tracking().mode
    ranks: Literal["zero", "all"] = Tracking().ranks
    rank: int | None = None
    crowd: int | None = None
    on_sink_error: Literal["warn", "raise"] = Tracking().on_sink_error
    finish_timeout: float = Tracking().finish_timeout
    linger: float | Literal["forever"] = Tracking().linger
    take_up: bool = Tracking().take_up
    courier_nice: int = Tracking().courier_nice
    announce: bool = Tracking().announce
    container_timeout: float = Tracking().container_timeout
    ends_container: bool | None = None
    log_frequency: int = Logging().log_frequency
    log_system_metrics: bool = Logging().log_system_metrics
    system_metrics_interval: float = Logging().system_metrics_interval
    save_model: bool = Artifacts().save_model
    save_plots: bool = Artifacts().save_plots
    save_config: bool = Artifacts().save_config
    quota_bytes: int | str | None = Artifacts().quota_bytes
    log_git_hash: bool = Reproducibility().log_git_hash
    log_environment: bool = Reproducibility().log_environment
    log_git_tree: bool = Reproducibility().log_git_tree
    log_patch: bool = Reproducibility().log_patch
    max_file_bytes: int | str = Reproducibility().max_file_bytes
    max_tree_bytes: int | str = Reproducibility().max_tree_bytes
    variables: Sequence[str] = Reproducibility().variables
    safeguards: Mapping[str, Any] = field(default_factory=dict)
    """The keys of the section `safeguards` that differ from their defaults."""
    alerts: Mapping[str, Any] = field(default_factory=dict)
    """The keys of the section `alerts`: `{"rules": {"nan": "nan(loss)"}}`."""

    def __post_init__(self) -> None:
        """Check all fields."""
        if isinstance(self.name, str | None) and not self.name:
            raise ConfigError("Experiment name is required")
        if self.tags is None:
            self.tags = {}
        checked(self.layer())

    def layer(self) -> Layer:
        """Return the fields that differ from their defaults, by section and key."""
        values: dict[str, Any] = {"safeguards": self.safeguards, "alerts": self.alerts}
        given = {one.name: getattr(self, one.name) for one in fields(self) if _differs(getattr(self, one.name), one)}
        given["project"] = self.project
        if not self.tags:
            del given["tags"]  # the default, None, became {}
        for section in SECTIONS.keys() - values.keys():
            values[section] = {key: given[key] for key in keys_of(section) if key in given}
        return make_layer("ExperimentConfig", values)


def _differs(value: object, declared: Any) -> bool:
    # By type as well: True == 1, and a bool is no integer here.
    return type(value) is not type(declared.default) or bool(value != declared.default)
