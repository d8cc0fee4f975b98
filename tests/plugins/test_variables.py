"""The variables of a backend's own SDK, options by environment, and what the run says about where a value stands."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest

import unitrack
from unitrack.cli.arguments import configured
from unitrack.errors import ConfigError
from unitrack.local.source import LocalSource
from unitrack.records import RunStart
from unitrack.run.disabled import DisabledRun
from unitrack.runfolder.run_folder import RunFolder


def started(**arguments: Any) -> tuple[RunStart, dict[str, Any]]:
    """The start of a run as the local files hold it, and the options of its probe in the manifest."""
    sinks = arguments.pop("sinks", ["local", "probe"])
    with unitrack.start_run(sinks=sinks, delivery="inline", **arguments) as run:
        [options] = [lane.options for lane in RunFolder(run.path).read_manifest().sinks if lane.backend == "probe"]
    [start] = LocalSource(str(run.path)).runs()
    return start, dict(options)


def test_the_first_variable_that_is_set_is_the_option(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROBE_FOLDER", "second")
    assert Path(started()[1]["out"]).name == "second"
    monkeypatch.setenv("PROBE_OUT", "first")
    assert Path(started()[1]["out"]).name == "first"
    monkeypatch.setenv("PROBE_OUT", "")
    assert Path(started()[1]["out"]).name == "second"


def test_our_own_configuration_is_above_them(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROBE_OUT", "variable")
    monkeypatch.setenv("PROBE_GROUP", "variable")
    (root / "unitrack.yaml").write_text(
        "experiment: {group: file}\ntracking: {sinks: [local, {probe: {out: file}}]}", encoding="utf-8"
    )
    start, options = started(sinks=None)
    assert (start.group, Path(options["out"]).name) == ("file", "file")
    monkeypatch.setenv("UNITRACK_PROBE__OUT", "ours")
    assert Path(started(sinks=None)[1]["out"]).name == "ours"
    assert Path(started(sinks=["local", {"probe": {"out": "call"}}], group="call")[1]["out"]).name == "call"


def test_a_variable_of_a_key_counts_for_all_sinks(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROBE_OUT", "out")
    monkeypatch.setenv("PROBE_GROUP", "fold 1")
    monkeypatch.setenv("PROBE_TAGS", "mlp, baseline,,stage")
    start, _ = started(tags={"stage": "dev"}, parent="p1", job_type="train")
    assert (start.group, start.parent, start.job_type) == ("fold 1", "p1", "train")
    assert start.tags.items() >= {"mlp": "", "baseline": "", "stage": "dev"}.items()


def test_the_variables_of_a_backend_that_no_sink_uses_say_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROBE_GROUP", "fold 1")
    with unitrack.start_run(sinks="local", delivery="inline") as run:
        pass
    [start] = LocalSource(str(run.path)).runs()
    assert start.group is None


def test_a_project_that_is_configured_is_above_a_backends_name_for_it(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROBE_OUT", "out")
    monkeypatch.setenv("PROBE_STORE", "old")
    assert started()[1]["store_name"] == "new"
    assert started(project="digits")[1]["store_name"] == ""


def test_a_sink_that_is_switched_off_is_left_out(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROBE_OUT", "out")
    monkeypatch.setenv("PROBE_OFF", "true")
    with unitrack.start_run(sinks=["local", "probe"], delivery="inline") as run:
        pass
    assert list(run.finish().sinks) == ["local"]
    nothing = unitrack.start_run(sinks="probe", root=root / "none")
    assert isinstance(nothing, DisabledRun)
    assert not (root / "none").exists()


def test_where_they_come_from_is_shown(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROBE_OUT", "out")
    monkeypatch.setenv("PROBE_TAGS", "a")
    monkeypatch.setenv("UNITRACK_SINKS", "probe")
    origins = configured().origins
    assert origins["tracking.sinks.probe.out"] == "environment PROBE_OUT"
    assert origins["experiment.tags.a"] == "environment PROBE_TAGS"


@pytest.mark.parametrize(
    ("sinks", "line", "message"),
    [
        ("[local, prob]", 2, r"unknown sink 'prob': did you mean 'probe'\?"),
        (
            "\n    - local\n    - probe: {out: a, stor_name: b}",
            4,
            "sink 'probe' has no option 'stor_name': did",
        ),
        ("\n    local:\n    probe:\n      out: 3", 5, "sink 'probe', option 'out': expected text, got 3"),
        ("\n    probe:\n      out: a\n      every: never", 5, "sink 'probe', option 'every': expected "),
    ],
)
def test_what_is_wrong_with_a_sink_is_said_with_file_and_line(root: Path, sinks: str, line: int, message: str) -> None:
    (root / "unitrack.yaml").write_text(f"tracking:\n  sinks: {sinks}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=rf"^{root / 'unitrack.yaml'}:{line}: {message}"):
        unitrack.start_run()
    assert not (root / "experiments").exists()


def test_what_is_wrong_with_an_option_by_environment_names_the_variable(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNITRACK_PROBE__OUT", "out")
    monkeypatch.setenv("UNITRACK_PROBE__CONFIRMS_AT_END_ONLY", "perhaps")
    with pytest.raises(ConfigError, match=r"^environment UNITRACK_PROBE__CONFIRMS_AT_END_ONLY: sink 'probe', option"):
        unitrack.start_run(sinks="probe")
    monkeypatch.setenv("UNITRACK_PROBE__CONFIRMS_AT_END_ONLY", "true")
    monkeypatch.setenv("UNITRACK_PROBE__LIMITS", "{HOUSEKEEPING_S: 2}")
    monkeypatch.setenv("UNITRACK_PROBE__EVERY", "3")
    _, options = started()
    assert (options["confirms_at_end_only"], options["limits"]) == (True, {"HOUSEKEEPING_S": 2.0})


@pytest.mark.parametrize(
    ("variable", "nearest"),
    [
        ("UNITRACK_SINK", "UNITRACK_SINKS"),
        ("UNITRACK_PROBEE__OUT", "UNITRACK_PROBE__OUT"),
        ("UNITRACK_MLFLW__TRACKING_URI", "UNITRACK_MLFLOW__TRACKING_URI"),
    ],
)
def test_an_unknown_variable_is_said_once_with_the_nearest(
    root: Path, monkeypatch: pytest.MonkeyPatch, variable: str, nearest: str
) -> None:
    monkeypatch.setenv(variable, "x")
    monkeypatch.setattr("unitrack.run.unknown_variables._warned", set())
    with pytest.warns(UserWarning, match=rf"{variable} sets nothing in unitrack: did you mean {nearest}\?"):
        unitrack.start_run(sinks="local", delivery="inline").finish()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        unitrack.start_run(sinks="local", delivery="inline").finish()


def test_options_of_a_sink_that_is_not_in_use_are_no_mistake(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNITRACK_MLFLOW__TRACKING_URI", "http://127.0.0.1:1")
    monkeypatch.setenv("UNITRACK_PROBE__OUT", "x")
    unitrack.start_run(sinks="local", delivery="inline").finish()


def test_a_root_that_is_no_folder_is_refused(root: Path) -> None:
    with pytest.raises(ConfigError, match=r"tracking\.root: expected a local folder, got 's3://bucket/runs'"):
        unitrack.start_run(root="s3://bucket/runs")
