"""Reading files: a whole configuration, and everything that can be wrong with a file."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from unitrack.config import resolve
from unitrack.errors import ConfigError
from unitrack.plugins.registry import installed

DOCUMENT = """\
# config/experiment.yaml
experiment:
  name: training-experiment
  project: codex-ml

tracking:
  backend: mlflow
  artifact_location: s3://bucket/artifacts

logging:
  log_frequency: 100  # steps
  log_system_metrics: true

artifacts:
  save_model: true
  save_plots: true
  save_config: true

reproducibility:
  random_seed: 42
  log_git_hash: true
  log_environment: true
"""


def failure(path: Path, content: str | bytes) -> str:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError) as caught:
        resolve(path)
    return str(caught.value).replace(f"{path.parent}{os.sep}", "")


def test_the_documents_file(folder: Path) -> None:
    file = folder / "experiment.yaml"
    file.write_text(DOCUMENT, encoding="utf-8")
    resolved = resolve(file, shared_options=installed().shared_options)
    settings = resolved.settings
    assert resolved.file == file
    assert settings.experiment.name == "training-experiment"
    [sink] = settings.sinks
    assert (sink.backend, sink.options) == ("mlflow", {"artifact_location": "s3://bucket/artifacts"})
    assert settings.logging.log_frequency == 100
    assert settings.logging.log_system_metrics
    assert settings.artifacts.save_config
    assert settings.reproducibility.log_git_hash
    assert settings.reproducibility.log_environment
    assert resolved.origins["logging.log_frequency"] == str(file)
    assert resolved.origins["logging.system_metrics_interval"] == "default"


@pytest.mark.parametrize("content", ["", "# nothing yet\n", "---\n", "\ufeff# with a byte order mark\nlogging:\n"])
def test_an_empty_file_means_the_defaults(folder: Path, content: str) -> None:
    file = folder / "unitrack.yaml"
    file.write_text(content, encoding="utf-8")
    assert resolve().settings == resolve({}).settings
    assert resolve().file == file


def test_all_problems_are_reported_at_once_with_their_lines(folder: Path) -> None:
    text = (
        "trackin: {}\nlog_frequency: 2\nlogging:\n  log_frequncy: 1\n  log_frequency: 0\ntracking:\n"
        "  delivery: Tread\n  sinks:\n    - local\n    - mlflow:\n      tracking_uri: x\nexperiment: {tags: {v: 2}}\n"
    )
    assert failure(folder / "c.yaml", text).splitlines() == [
        "7 problems in the configuration:",
        '  c.yaml:1: trackin: unknown key; did you mean "tracking"?',
        '  c.yaml:2: log_frequency: unknown key; did you mean "logging.log_frequency"?',
        '  c.yaml:4: logging.log_frequncy: unknown key; did you mean "log_frequency"?',
        "  c.yaml:5: logging.log_frequency: expected an integer >= 1, got 0",
        '  c.yaml:7: tracking.delivery: expected one of "inline", "process", "thread", got \'Tread\'; '
        'did you mean "thread"?',
        "  c.yaml:10: tracking.sinks[1]: expected one key, the backend, with its options indented below it; "
        "got the keys mlflow, tracking_uri",
        "  c.yaml:12: experiment.tags.v: expected text, got 2; put it in quotes",
    ]


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("logging: {log_frequency", "true", "expected an integer >= 1, got true"),
        ("logging: {log_frequency", "1.0", "expected an integer >= 1, got 1.0"),
        ("logging: {log_frequency", "'1'", "expected an integer >= 1, got '1'"),
        ("logging: {log_system_metrics", "'yes'", "expected true or false, got 'yes'"),
        ("logging: {system_metrics_interval", "0", "expected a finite number > 0, got 0"),
        ("tracking: {finish_timeout", ".inf", "expected a finite number >= 0, got inf"),
        ("tracking: {finish_timeout", ".nan", "expected a finite number >= 0, got nan"),
        ("tracking: {root", "''", "expected text that is not empty, got ''"),
        ("tracking: {mode", "off", 'expected one of "disabled", "enabled", got false'),
        ("safeguards: {redact", "pin", "expected a list of text that is not empty, got 'pin'"),
        ("safeguards: {max_name_length", "0", "expected an integer >= 1, got 0"),
        ("experiment: {tags", "[1]", "expected a mapping of text to text, got [1]"),
        ("experiment: {description", "2024-01-01", "expected text, got datetime.date(2024, 1, 1)"),
    ],
)
def test_values_are_not_guessed(folder: Path, key: str, value: str, message: str) -> None:
    dotted = key.replace(": {", ".")
    assert failure(folder / "c.yaml", f"{key}: {value}}}") == f"c.yaml:1: {dotted}: {message}"


def test_an_integer_will_do_for_a_number(folder: Path) -> None:
    interval = resolve({"logging": {"system_metrics_interval": 5}}).settings.logging.system_metrics_interval
    assert type(interval) is float
    assert interval == 5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1,\n  b", "c.yaml:2: not valid YAML: expected ',' or ']'"),
        ("- a", "c.yaml: expected a mapping of sections at the top, got list"),
        ("text", "c.yaml: expected a mapping of sections at the top, got str"),
        ("logging: 3", "c.yaml:1: logging: expected a mapping of keys, got 3"),
        ("a: 1\nb: 1\na: 2", "c.yaml:3: not valid YAML: the key 'a' appears twice (first in line 1)"),
        ("l: {x: 1,\n x: 1}", "c.yaml:2: not valid YAML: the key 'x' appears twice (first in line 1)"),
        ("a: &x [1]\nb: *x", "c.yaml:2: not valid YAML: aliases (*name) are not supported"),
        ("a: &x [*x]", "c.yaml:1: not valid YAML: aliases (*name) are not supported"),
        ("a: !!python/object/apply:os.getcwd []", "c.yaml:1: not valid YAML: could not determine a constructor"),
        ("a: 1\n---\nb: 1", "c.yaml:2: not valid YAML: but found another document"),
        ("? [a]\n: 1", "c.yaml:1: not valid YAML: found unhashable key"),
        ("a: 2024-13-01", "c.yaml: not valid YAML: month must be in 1..12"),
        ("a: \x01", "c.yaml: not valid YAML: unacceptable character #x0001"),
        (b"a: 1\nb: \xff", "c.yaml:2: expected UTF-8 text"),
        ("1: 2", "c.yaml:1: 1: unknown key"),
    ],
)
def test_broken_yaml(folder: Path, text: str | bytes, message: str) -> None:
    assert failure(folder / "c.yaml", text).startswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "c.yaml:1: not valid YAML: more than 20 levels"),
        ("{a: " * 100_000, "c.yaml:1: not valid YAML: more than 20 levels"),
        ("a: [" + "1," * 100_000 + "]", "c.yaml:1: not valid YAML: more than 10000 values"),
        ("a: " + "9" * 5_000, "c.yaml:1: not valid YAML: more than 100 digits"),
        ("#" * 2**20 + "\n", "c.yaml: larger than 1048576 bytes"),
    ],
    ids=["lists", "mappings", "values", "digits", "bytes"],
)
def test_a_bomb_is_refused_soon(folder: Path, text: str, message: str) -> None:
    started = time.process_time()
    assert failure(folder / "c.yaml", text).startswith(message)
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\nx = 2\n", "c.toml: not valid TOML: Cannot overwrite a value"),
        ("x = " + "[" * 50_000, "c.toml: not valid TOML: "),
        ("x = " + "[" * 30 + "]" * 30, "c.toml: nested more than 20 levels deep"),
        ("[logging]\nlog_frequncy = 1", 'c.toml: logging.log_frequncy: unknown key; did you mean "log_frequency"?'),
    ],
)
def test_broken_toml(folder: Path, text: str, message: str) -> None:
    assert failure(folder / "c.toml", text).startswith(message)


def test_a_pyproject_that_is_named_must_configure_unitrack(folder: Path) -> None:
    assert failure(folder / "pyproject.toml", "[tool.other]\n") == "pyproject.toml: there is no table [tool.unitrack]"


def test_files_that_can_not_be_read(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"no\.yaml: there is no such configuration file"):
        resolve("no.yaml")
    with pytest.raises(ConfigError, match="expected a configuration file, found something else"):
        resolve(folder)
    with pytest.raises(ConfigError, match=r"^environment UNITRACK_CONFIG: .*no\.yaml: there is no such"):
        resolve(environ={"UNITRACK_CONFIG": "no.yaml"})


def test_problems_elsewhere_name_the_place(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"^environment UNITRACK_MODE: tracking.mode: expected one of .*got 'off'"):
        resolve(environ={"UNITRACK_MODE": "off"})
    with pytest.raises(ConfigError, match=r"^call: tracking.finish_timeout: expected a finite number >= 0, got -1"):
        resolve(call={"tracking": {"finish_timeout": -1}})
    with pytest.raises(ConfigError, match=r"^config: expected a path, a mapping or an ExperimentConfig, got int"):
        resolve(3)  # type: ignore[arg-type]


def test_a_mapping_that_holds_itself_is_refused() -> None:
    options: dict[str, object] = {}
    options["again"] = options
    with pytest.raises(ConfigError, match=r"^call: nested more than 20 levels deep"):
        resolve(call={"tracking": {"sinks": [{"mlflow": options}]}})


def test_secrets_and_long_values_are_not_repeated_in_messages(folder: Path) -> None:
    text = "experiment: {project: {api_key: hunter2hunter2, text: " + "x" * 500 + "}}"
    message = failure(folder / "c.yaml", text)
    assert "hunter2" not in message
    assert len(message) < 250
