"""The JSON Schema and the documentation say what the code does."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from unitrack.config import ExperimentConfig, resolve
from unitrack.config.checking import SECTIONS, keys_of
from unitrack.config.descriptions import with_tables
from unitrack.config.environment import CONFIG_VARIABLE, VARIABLES
from unitrack.config.schema import SCHEMA_FILE, schema_text
from unitrack.errors import ConfigError

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "configuration.md"
SCHEMA: dict[str, Any] = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def test_the_schema_is_current() -> None:
    """If not: python -m unitrack.config.schema"""
    assert SCHEMA_FILE.read_text(encoding="utf-8") == schema_text()


def test_the_schema_is_one_and_describes_every_key() -> None:
    VALIDATOR.check_schema(SCHEMA)
    for section, struct in SECTIONS.items():
        definition = SCHEMA["$defs"][struct.__name__]
        assert definition["additionalProperties"] is False
        assert list(definition["properties"]) == list(keys_of(section))
        assert all(key["title"] and key["description"] for key in definition["properties"].values())


@pytest.mark.parametrize(
    "values",
    [
        {},
        {
            "experiment": {"name": "training-experiment", "project": "codex-ml"},
            "tracking": {"backend": "mlflow", "artifact_location": "s3://bucket/artifacts"},
            "logging": {"log_frequency": 100, "log_system_metrics": True},
            "artifacts": {"save_model": True, "save_plots": True, "save_config": True},
            "reproducibility": {"random_seed": 42, "log_git_hash": True, "log_environment": True},
        },
        {"tracking": {"sinks": ["local", {"mlflow": {"a": [1]}}, {"wandb": None}]}},
        {"experiment": {"tags": {"a": "b"}}},
    ],
)
def test_what_is_right_is_valid(values: dict[str, Any]) -> None:
    VALIDATOR.validate(values)
    resolve(values)


@pytest.mark.parametrize(
    "values",
    [
        {"tracking": {"sinks": []}},
        {"tracking": {"sinks": [{"a": {}, "b": {}}]}},
        {"tracking": {"sink": ["local"]}},
        {"logging": {"log_frequency": 0}},
        {"experiment": {"tags": {"a": 1}}},
        {"experiments": {}},
    ],
)
def test_what_is_wrong_is_not(values: dict[str, Any]) -> None:
    assert not VALIDATOR.is_valid(values)
    with pytest.raises(ConfigError):
        resolve(values)


simple = st.booleans() | st.integers(-2, 3) | st.floats(-1, 1) | st.sampled_from(["", "drop", "raise", "inline", "a"])
keys = st.sampled_from([(section, key) for section in SECTIONS for key in keys_of(section)])


@settings(derandomize=True, deadline=None)
@given(keys, simple)
def test_the_schema_and_the_code_agree(key: tuple[str, str], value: object) -> None:
    """But on whole floats, which JSON Schema takes for integers."""
    values: dict[str, Any] = {key[0]: {key[1]: value}}
    if key == ("tracking", "artifact_location"):
        values["tracking"]["sinks"] = "mlflow"  # which alone can use it
    if isinstance(value, float) and value.is_integer():
        return
    try:
        resolve(values, environ={})
    except ConfigError:
        assert not VALIDATOR.is_valid(values)
    else:
        assert VALIDATOR.is_valid(values)


def test_the_tables_of_the_documentation_are_current() -> None:
    """If not: python -m unitrack.config.descriptions docs/reference/configuration.md"""
    page = PAGE.read_text(encoding="utf-8")
    assert re.findall(r"<!-- keys: (\w+) -->", page) == list(SECTIONS)
    assert page == with_tables(page)


def test_the_documentation_names_every_variable() -> None:
    table = re.findall(r"^\| `(UNITRACK_\w+)` \| (?:`([\w.]+)`)?", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    keys_by_variable = {variable: f"{section}.{key}" for variable, (section, key) in VARIABLES.items()}
    assert dict(table) == {CONFIG_VARIABLE: ""} | keys_by_variable


def test_the_examples_of_the_documentation_work(folder: Path) -> None:
    examples = [yaml.safe_load(text) for text in blocks("yaml")]
    examples = [example for example in examples if example is not None]
    examples += [tomllib.loads(text)["tool"]["unitrack"] for text in blocks("toml")]
    assert len(examples) == 4
    for example in examples:
        VALIDATOR.validate(example)
        assert resolve(example).settings.sinks
    [code] = blocks("python")
    names: dict[str, Any] = {}
    exec(code, names)
    assert isinstance(names["config"], ExperimentConfig)


def test_the_documented_error_is_what_one_gets(folder: Path) -> None:
    text = "\n\n\nlogging:\n  log_frequncy: 1\n\n\ntracking:\n  delivery: inlin\n\nexperiment:\n  tags: {version: 2}\n"
    file = folder / "unitrack.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        resolve()
    assert str(caught.value).replace(str(folder), "/home/ada") + "\n" in blocks("text")
