"""`unitrack config`, and how the command line reports errors."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
from typer.testing import CliRunner

import unitrack
from unitrack.cli import app, main
from unitrack.config.schema import SCHEMA_FILE

SECRETS = """\
experiment:
  tags: {auth_token: hidden-1, team: vision}
tracking:
  tracking_uri: postgresql://ada:hidden-2@db/mlflow
  sinks:
    - mlflow: {password: 5550123, headers: {api_key: hidden-3, accept: shown}, pin: hidden-4}
    - wandb: {base_url: "https://hidden-5@wandb.example/x", secret: {inner: hidden-6}}
safeguards: {redact: [pin]}
"""


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["config", *arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def rows(*arguments: str) -> list[list[str]]:
    """The cells of each line."""
    return [re.split(r"\s{2,}", line.strip()) for line in run(*arguments).splitlines()]


def test_shows_values_and_origins(folder: Path) -> None:
    (folder / "unitrack.yaml").write_text("logging: {log_frequency: 7}", encoding="utf-8")
    lines = [line.split() for line in run().splitlines()]
    assert lines[0] == ["file:", str(folder / "unitrack.yaml")]
    assert ["logging.log_frequency", "7", "file"] in lines
    assert ["tracking.root", "experiments", "default"] in lines
    assert ["tracking.sinks", "local", "default"] in lines


def test_names_the_variable_that_set_a_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNITRACK_SINKS", "local,tensorboard")
    assert ["tracking.sinks", "local, tensorboard", "environment UNITRACK_SINKS"] in rows()


def test_json(folder: Path) -> None:
    file = folder / "other.yaml"
    file.write_text("tracking: {sinks: [local, {mlflow: {tracking_uri: 'sqlite:///a.db'}}]}", encoding="utf-8")
    shown = json.loads(run("--config", "other.yaml", "--json"))
    assert shown["file"] == str(file)
    assert shown["settings"]["logging"]["log_frequency"] == 1
    assert shown["settings"]["tracking"]["sinks"] == {
        "local": {"backend": "local", "options": {}},
        "mlflow": {"backend": "mlflow", "options": {"tracking_uri": "sqlite:///a.db"}},
    }
    assert shown["origins"]["tracking.sinks.mlflow.tracking_uri"] == str(file)


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_hides_secrets(folder: Path, arguments: list[str]) -> None:
    (folder / "unitrack.yaml").write_text(SECRETS, encoding="utf-8")
    shown = run(*arguments)
    assert "hidden" not in shown
    assert "5550123" not in shown
    for harmless in ("vision", "shown", "@db/mlflow", "wandb.example/x", "10000"):
        assert harmless in shown


def test_the_schema_knows_the_options_of_the_backends_that_are_installed() -> None:
    """The file in the package is the same without them."""
    validator = jsonschema.Draft202012Validator(json.loads(run("schema")))
    jsonschema.Draft202012Validator.check_schema(validator.schema)

    def accepts(*sinks: object) -> bool:
        values = {"tracking": {"sinks": list(sinks)}}
        jsonschema.Draft202012Validator(json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))).validate(values)
        return bool(validator.is_valid(values))

    assert accepts("local", {"probe": {"out": "folder", "every": 3}})
    assert not accepts({"probe": {"out": 3}})
    assert accepts({"local": {"name": "files", "every": 3}}, {"probe": None})
    assert not accepts({"local": {"no_such_option": 1}})
    assert not accepts("no-such-backend")


def test_an_error_is_a_message_and_not_a_traceback(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "unitrack.yaml").write_text("logging: {log_frequncy: 1}", encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["unitrack", "config"])
    with pytest.raises(SystemExit) as exit_:
        main()
    assert exit_.value.code == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("error: ")
    assert output.err.rstrip().endswith('logging.log_frequncy: unknown key; did you mean "log_frequency"?')


def test_version_as_installed() -> None:
    program = Path(sys.executable).with_name("unitrack")
    result = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stdout) == (0, f"unitrack {unitrack.__version__}\n")
