"""`ExperimentConfig`: a dataclass, and what it means as configuration."""

from __future__ import annotations

import dataclasses
import pickle
from typing import Any

import pytest

from unitrack.config import ExperimentConfig, resolve
from unitrack.config.checking import SECTIONS, keys_of
from unitrack.errors import ConfigError
from unitrack.plugins.registry import installed


def test_has_the_fields_of_the_document_in_its_order() -> None:
    """Its first seven fields may be given by position."""
    config = ExperimentConfig("n", "p", "sqlite:///x.db", "s3://b", {"a": "b"}, "why", 7)
    assert (config.name, config.project, config.tracking_uri) == ("n", "p", "sqlite:///x.db")
    assert (config.artifact_location, config.tags, config.description) == ("s3://b", {"a": "b"}, "why")
    assert config.random_seed == 7


def test_defaults() -> None:
    config = ExperimentConfig(name="n")
    assert (config.project, config.tracking_uri, config.artifact_location) == ("codex-ml", "sqlite:///mlflow.db", None)
    assert (config.tags, config.description, config.random_seed) == ({}, "", 42)


def test_has_every_key_of_the_file() -> None:
    names = {field.name for field in dataclasses.fields(ExperimentConfig)}
    for section in SECTIONS.keys() - {"safeguards", "alerts"}:
        assert set(keys_of(section)) <= names


@pytest.mark.parametrize("name", ["", None])
def test_needs_a_name(name: Any) -> None:
    with pytest.raises(ValueError, match=r"^Experiment name is required$"):
        ExperimentConfig(name=name)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("name", 3, "experiment.name: expected text"),
        ("random_seed", "42", "expected an integer >= 0"),
        ("random_seed", -1, "expected an integer >= 0 and <= 4294967295, got -1"),
        ("log_frequency", True, "expected an integer >= 1, got true"),
        ("save_model", 1, "expected true or false, got 1"),
        ("tags", {"a": 1}, "experiment.tags.a: expected text, got 1"),
        ("sinks", 3, "expected a list"),
        ("delivery", "treads", 'did you mean "thread"'),
        ("finish_timeout", float("nan"), "expected a finite number >= 0, got nan"),
        ("safeguards", {"max_name_lenght": 5}, 'did you mean "max_name_length"'),
        ("alerts", {"rules": {"nan": "nan(loss"}}, "alerts.rules.nan: the bracket is never closed"),
    ],
)
def test_checks_types_and_ranges(field: str, value: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ExperimentConfig(**{"name": "n", field: value})
    assert str(caught.value).startswith("ExperimentConfig: ")
    assert message in str(caught.value)


def test_sets_what_differs_from_the_defaults() -> None:
    resolved = resolve(ExperimentConfig("n", tags={"a": "b"}, save_config=True, safeguards={"non_finite": "drop"}))
    assert resolved.settings.experiment.name == "n"
    assert resolved.settings.experiment.tags == {"a": "b"}
    assert resolved.settings.artifacts.save_config
    assert resolved.settings.safeguards.non_finite == "drop"
    set_here = {key for key, origin in resolved.origins.items() if origin == "ExperimentConfig"}
    assert set_here == {
        "experiment.name", "experiment.project", "experiment.tags", "experiment.tags.a", "artifacts.save_config",
        "safeguards.non_finite",
    }  # fmt: skip


def test_without_a_tracking_uri_is_local() -> None:
    assert [sink.backend for sink in resolve(ExperimentConfig("n")).settings.sinks] == ["local"]


@pytest.mark.parametrize("uri", ["http://127.0.0.1:5000", "sqlite:///mlflow.db"])
def test_a_tracking_uri_that_is_written_selects_mlflow(uri: str) -> None:
    """Also one that equals the default."""
    [sink] = resolve(ExperimentConfig("n", tracking_uri=uri), shared_options=installed().shared_options).settings.sinks
    assert (sink.backend, sink.options) == ("mlflow", {"tracking_uri": uri})


def test_a_copy_still_knows_that_the_uri_was_not_written() -> None:
    config = ExperimentConfig("n")
    for copy in (dataclasses.replace(config, project="p"), pickle.loads(pickle.dumps(config))):
        assert [sink.backend for sink in resolve(copy).settings.sinks] == ["local"]


def test_is_checked_again_when_it_is_used() -> None:
    """It is mutable."""
    config = ExperimentConfig("n")
    config.log_frequency = 0
    with pytest.raises(ConfigError, match="log_frequency: expected an integer >= 1, got 0"):
        resolve(config)
