"""Which place wins, and what `origins` says of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from unitrack.config import ExperimentConfig, Settings, resolve
from unitrack.config.checking import SECTIONS, keys_of
from unitrack.config.environment import VARIABLES
from unitrack.errors import ConfigError


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def project(directory: Path, **places: Any) -> tuple[str, str]:
    resolved = resolve(cwd=directory, **places)
    return resolved.settings.experiment.project, resolved.origins["experiment.project"]


def test_without_anything_the_defaults_hold() -> None:
    resolved = resolve()
    assert resolved.file is None
    assert set(resolved.origins.values()) == {"default"}
    assert set(resolved.origins) == {f"{section}.{key}" for section in SECTIONS for key in keys_of(section)}
    assert msgspec.structs.replace(resolved.settings.tracking, sinks=None) == Settings().tracking


def test_each_place_beats_the_next(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Call, environment, config=, UNITRACK_CONFIG, the file found, the user's file, the default: taken away in turn."""
    found = write(folder / "unitrack.yaml", "experiment: {project: found}")
    named = write(folder / "elsewhere" / "named.yaml", "experiment: {project: named}")
    given = write(folder / "elsewhere" / "given.yaml", "experiment: {project: given}")
    monkeypatch.setenv("UNITRACK_PROJECT", "variable")
    monkeypatch.setenv("UNITRACK_CONFIG", "elsewhere/named.yaml")
    call = {"experiment": {"project": "call"}}

    assert project(folder, config=given, call=call) == ("call", "call")
    assert project(folder, config=given) == ("variable", "environment UNITRACK_PROJECT")
    monkeypatch.delenv("UNITRACK_PROJECT")
    assert project(folder, config=given) == ("given", str(given))
    assert project(folder, config="elsewhere/given.yaml") == ("given", str(given))
    assert project(folder, config={"experiment": {"project": "mapping"}}) == ("mapping", "config")
    assert project(folder, config=ExperimentConfig("n", project="object")) == ("object", "ExperimentConfig")
    assert project(folder) == ("named", str(named))
    monkeypatch.delenv("UNITRACK_CONFIG")
    assert project(folder) == ("found", str(found))
    found.unlink()
    user = write(folder / "home" / ".config" / "unitrack" / "config.yaml", "experiment: {project: user}")
    assert project(folder) == ("user", str(user))
    user.unlink()
    assert project(folder) == (folder.name, "default")


def test_in_one_folder_yaml_comes_before_yml_and_pyproject(folder: Path) -> None:
    write(folder / "pyproject.toml", '[tool.unitrack.experiment]\nproject = "toml"')
    assert project(folder)[0] == "toml"
    write(folder / "unitrack.yml", "experiment: {project: yml}")
    assert project(folder)[0] == "yml"
    write(folder / "unitrack.yaml", "experiment: {project: yaml}")
    assert project(folder)[0] == "yaml"


def test_the_nearest_folder_wins(folder: Path) -> None:
    write(folder / "unitrack.yaml", "experiment: {project: far}")
    near = write(folder / "a" / "b" / "pyproject.toml", '[tool.unitrack]\nexperiment = {project = "near"}')
    assert project(folder / "a") == ("far", str(folder / "unitrack.yaml"))
    assert project(near.parent) == ("near", str(near))
    (near.parent / "c").mkdir()
    assert project(near.parent / "c") == ("near", str(near))


def test_a_pyproject_of_something_else_is_passed_over(folder: Path) -> None:
    """Also one that can't be parsed: it is not ours to complain about, unless it mentions us."""
    write(folder / "unitrack.yaml", "experiment: {project: far}")
    write(folder / "a" / "pyproject.toml", "[project]\ndependencies = ['unitrack']")
    write(folder / "a" / "b" / "pyproject.toml", "not TOML at all")
    assert project(folder / "a" / "b")[0] == "far"
    write(folder / "a" / "b" / "pyproject.toml", "[tool.unitrack\n")
    with pytest.raises(ConfigError, match=r"pyproject\.toml: not valid TOML: .*line 1"):
        resolve(cwd=folder / "a" / "b")


def test_a_byte_order_mark_is_no_part_of_a_toml_file(folder: Path) -> None:
    """Editors on Windows write one, and TOML parsers refuse it."""
    write(folder / "pyproject.toml", "\ufeff[tool.unitrack.experiment]\nproject = 'toml'")
    assert project(folder)[0] == "toml"


def test_the_working_directory_is_where_the_search_begins(folder: Path) -> None:
    file = write(folder / "unitrack.yaml", "experiment: {project: here}")
    assert resolve().file == file


def test_every_variable_sets_its_key(folder: Path) -> None:
    environ = {
        "UNITRACK_SINKS": " local , tensorboard,",
        "UNITRACK_PROJECT": "p",
        "UNITRACK_ROOT": "runs",
        "UNITRACK_DELIVERY": "inline",
        "UNITRACK_MODE": "disabled",
        "UNITRACK_LINGER": "90",
        "UNITRACK_CROWD": "1000",
    }
    assert environ.keys() == VARIABLES.keys()
    resolved = resolve(environ=environ)
    settings = resolved.settings
    assert [sink.name for sink in settings.sinks] == ["local", "tensorboard"]
    assert settings.experiment.project == "p"
    assert (settings.tracking.root, settings.tracking.delivery, settings.tracking.mode) == (
        "runs",
        "inline",
        "disabled",
    )
    assert (settings.tracking.linger, settings.tracking.crowd) == (90.0, 1000)
    for variable, (section, key) in VARIABLES.items():
        assert resolved.origins[f"{section}.{key}"] == f"environment {variable}"


@pytest.mark.parametrize("wrong", ["-1", "inf", "nan", "ten minutes", "foreever"])
def test_how_long_to_linger_is_a_number_or_forever(folder: Path, wrong: str) -> None:
    assert resolve(environ={"UNITRACK_LINGER": "forever"}).settings.tracking.linger == "forever"
    expected = r'^environment UNITRACK_LINGER: tracking\.linger: expected a finite number >= 0 or "forever", got '
    with pytest.raises(ConfigError, match=expected) as refused:
        resolve(environ={"UNITRACK_LINGER": wrong})
    assert ('did you mean "forever"?' in str(refused.value)) == (wrong == "foreever")


def test_empty_variables_count_as_not_set(folder: Path) -> None:
    assert resolve(environ=dict.fromkeys([*VARIABLES, "UNITRACK_CONFIG"], " ")) == resolve(environ={})


def test_null_counts_as_not_set(folder: Path) -> None:
    file = write(folder / "unitrack.yaml", "experiment: {project: p, description:, tags:}\nlogging:\n")
    resolved = resolve(call={"experiment": {"project": None}})
    assert resolved.settings.experiment.project == "p"
    assert resolved.settings.experiment.description == ""
    assert resolved.origins["experiment.project"] == str(file)
    assert resolved.origins["experiment.description"] == "default"


def test_tags_are_merged(folder: Path) -> None:
    file = write(folder / "unitrack.yaml", "experiment: {tags: {team: vision, stage: dev}}")
    resolved = resolve(call={"experiment": {"tags": {"stage": "prod", "a": "b"}}})
    assert resolved.settings.experiment.tags == {"team": "vision", "stage": "prod", "a": "b"}
    assert resolved.origins["experiment.tags.team"] == str(file)
    assert resolved.origins["experiment.tags.stage"] == "call"
    assert resolved.origins["experiment.tags"] == "call"


def test_paths_in_a_call_become_text_and_home_is_expanded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve(call={"tracking": {"root": Path("runs")}}).settings.tracking.root == "runs"
    monkeypatch.setenv("HOME", str(folder))
    assert resolve(call={"tracking": {"root": "~/runs"}}).settings.tracking.root == str(folder / "runs")


def test_settings_do_not_change_with_what_the_caller_gave() -> None:
    options: dict[str, Any] = {"tracking_uri": "sqlite:///a.db", "list": [1]}
    tags = {"a": "b"}
    settings = resolve(call={"tracking": {"sinks": [{"mlflow": options}]}, "experiment": {"tags": tags}}).settings
    tags["a"] = options["tracking_uri"] = "changed"
    options["list"].append(2)
    assert settings.sinks[0].options == {"tracking_uri": "sqlite:///a.db", "list": [1]}
    assert settings.experiment.tags == {"a": "b"}
