"""Variables in the values of a file, sizes, and the default project."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unitrack.config import resolve
from unitrack.config.project import default_project
from unitrack.config.sizes import parse_size
from unitrack.errors import ConfigError


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_variables_in_values(folder: Path) -> None:
    write(
        folder / "unitrack.yaml",
        """\
experiment: {project: "${TEAM}-${STAGE:-dev}", description: "costs $5, $${TEAM}, ${EMPTY:-}", tags: {by: "${TEAM}"}}
tracking: {sinks: [{mlflow: {tracking_uri: "http://${HOST}:5000", deep: [{a: "${HOST}"}]}}], linger: "${LINGER:-30}"}
logging: {log_system_metrics: "${METRICS:-true}", log_frequency: "${N}"}
""",
    )
    settings = resolve(environ={"TEAM": "vision", "HOST": "h", "N": "7", "EMPTY": ""}).settings
    assert settings.experiment.project == "vision-dev"
    assert settings.experiment.description == "costs $5, ${TEAM}, "
    assert settings.experiment.tags == {"by": "vision"}
    [sink] = settings.sinks
    assert sink.options == {"tracking_uri": "http://h:5000", "deep": [{"a": "h"}]}
    assert settings.tracking.linger == 30.0
    assert (settings.logging.log_system_metrics, settings.logging.log_frequency) == (True, 7)


def test_in_toml_as_well(folder: Path) -> None:
    write(folder / "pyproject.toml", '[tool.unitrack.experiment]\nproject = "${TEAM}"')
    assert resolve(environ={"TEAM": "vision"}).settings.experiment.project == "vision"


def test_a_variable_that_is_not_set_is_an_error(folder: Path) -> None:
    file = write(folder / "unitrack.yaml", "experiment:\n  name: a\n  project: ${TEAM}\n")
    with pytest.raises(ConfigError) as refused:
        resolve(environ={})
    assert str(refused.value) == (
        f"{file}:3: experiment.project: the environment variable TEAM is not set; set it, or write ${{TEAM:-default}}"
    )


def test_what_a_caller_gives_is_taken_as_it_is(folder: Path) -> None:
    assert resolve({"experiment": {"project": "${TEAM}"}}, environ={}).settings.experiment.project == "${TEAM}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1GB", 10**9),
        ("1.5 GB", 1_500_000_000),
        ("1GiB", 2**30),
        ("500M", 500_000_000),
        ("64 KiB", 65_536),
        ("10kB", 10_000),
        ("100B", 100),
        ("100", 100),
        ("2 TB", 2 * 10**12),
    ],
)
def test_sizes(folder: Path, text: str, expected: int) -> None:
    file = write(folder / "unitrack.yaml", f"safeguards: {{max_artifact_bytes: {text}}}")
    assert resolve(file).settings.safeguards.max_artifact_bytes == expected


@pytest.mark.parametrize("text", ["GB", "1 XB", "-1GB", "1GBs", "1iB", "one"])
def test_what_is_no_size(folder: Path, text: str) -> None:
    file = write(folder / "unitrack.yaml", f"safeguards: {{max_artifact_bytes: {text}}}")
    with pytest.raises(ConfigError, match=r"safeguards\.max_artifact_bytes: expected .*, got '"):
        resolve(file)


@given(st.integers(0, 10**15))
def test_bytes_are_bytes(size: int) -> None:
    assert parse_size(str(size)) == size


def test_the_default_project_is_the_repository_or_the_folder(folder: Path) -> None:
    here = folder / "digits" / "src"
    here.mkdir(parents=True)
    assert default_project(here) == "src"
    (folder / "digits" / ".git").mkdir()
    assert default_project(here) == "digits"
    assert resolve(cwd=here).settings.experiment.project == "digits"
    assert resolve(cwd=here).origins["experiment.project"] == "default"


def test_a_home_folder_is_no_project(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it is kept in git, as dotfiles are."""
    home = folder / "home"
    (home / ".git").mkdir(parents=True)
    (home / "work").mkdir()
    assert default_project(home) == "default"
    assert default_project(home / "work") == "work"
    assert default_project(Path("/")) == "default"


def test_the_experiment_file_is_found_if_it_is_ours(folder: Path) -> None:
    file = write(folder / "config" / "experiment.yaml", "experiment: {name: a}\nlogging: {log_frequency: 3}")
    assert resolve().file == file
    write(file, "experiment: {name: a}\noptimizer: {lr: 0.1}")
    assert resolve().file is None
    write(file, "[not: yaml")
    assert resolve().file is None
    write(file, "experiment: {name: a}")
    write(folder / "unitrack.yaml", "experiment: {name: b}")
    assert resolve().settings.experiment.name == "b"


def test_the_users_file_is_below_the_projects(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "xdg"))
    own = write(
        folder / "xdg" / "unitrack" / "config.yaml",
        "experiment: {project: user, tags: {by: ada}}\n"
        "tracking: {linger: 60, sinks: [{mlflow: {tracking_uri: http://own}}]}",
    )
    write(folder / "unitrack.yaml", "experiment: {project: p, tags: {team: vision}}\ntracking: {sinks: [mlflow]}")
    resolved = resolve()
    assert resolved.file == folder / "unitrack.yaml"
    assert resolved.settings.experiment.project == "p"
    assert resolved.settings.experiment.tags == {"by": "ada", "team": "vision"}
    assert resolved.settings.tracking.linger == 60.0
    assert resolved.origins["tracking.linger"] == str(own)
    [sink] = resolved.settings.sinks
    assert sink.options == {"tracking_uri": "http://own"}
    write(own, "trackin: {}")
    with pytest.raises(ConfigError, match=rf"^{own}:1: trackin: unknown key; did you mean \"tracking\"\?"):
        resolve()
