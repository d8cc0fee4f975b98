"""`unitrack doctor`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from typer.testing import Result

from unitrack.cli.doctor.check_process import CheckOrder, run_check
from unitrack.cli.doctor.own_checks import check_courier, check_root
from unitrack.cli.doctor.version_bounds import check_versions
from unitrack.hookspecs import Finding

Invoke = Callable[..., Result]

CHECKS = """
import os, subprocess, sys, time
from pathlib import Path
from unitrack.hookspecs import Finding

def passes(options):
    print("an SDK says hello")
    yield Finding(True, "server", "is up")

def hangs(options):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    Path("child.pid").write_text(str(child.pid), encoding="utf-8")
    yield Finding(True, "package", "is there")
    time.sleep(600)

def raises(options):
    yield Finding(True, "package", "is there")
    raise ValueError("a bug with https://ada:hunter2secret@db/")

def dies(options):
    os.abort()
    yield

def tells_a_secret(options):
    yield Finding(False, "credentials", "https://ada:hunter2secret@db/ refused us")
"""


def check(name: str, timeout: float = 30) -> list[Finding]:
    Path("sickly_checks.py").write_text(CHECKS, encoding="utf-8")
    order = CheckOrder(
        check=f"sickly_checks:{name}",
        options_type="unitrack.hookspecs:SinkOptions",
        options={},
        sys_path=[*sys.path, str(Path.cwd())],
    )
    return run_check(order, timeout)


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_check_that_passes_may_print(root: Path) -> None:
    assert check("passes") == [Finding(True, "server", "is up")]


def test_a_check_that_hangs_is_a_finding_and_is_ended_with_its_children(root: Path) -> None:
    began = time.monotonic()
    first, second = check("hangs", timeout=4)
    assert time.monotonic() - began < 10
    assert first == Finding(True, "package", "is there")
    assert (second.ok, second.subject) == (False, "check")
    assert "no answer within 4 s" in second.message
    child = int(Path("child.pid").read_text(encoding="utf-8"))
    deadline = time.monotonic() + 10  # a kill is not waited for
    while is_running(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_running(child)


def test_a_check_that_raises_is_a_finding_without_secrets(root: Path) -> None:
    first, second = check("raises")
    assert first.ok
    assert second.message.startswith("the check ended with exit code 1: ValueError: a bug with")
    assert "hunter2secret" not in second.message


def test_a_check_that_crashes_is_a_finding(root: Path) -> None:
    [finding] = check("dies")
    assert not finding.ok
    assert "was killed by signal 6" in finding.message


def test_a_finding_holds_no_secret(root: Path) -> None:
    assert [finding.message for finding in check("tells_a_secret")] == ["https://[redacted]@db/ refused us"]


def install(site: Path, name: str, version: str, *requires: str, plugin: str = "") -> None:
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    needs = "".join(f"Requires-Dist: {one}\n" for one in requires)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}", encoding="utf-8"
    )
    if plugin:
        (info / "entry_points.txt").write_text(f"[unitrack]\n{plugin}\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("version", "bounds", "fits"),
    [
        ("3.8.1", ">=3.9", False),
        ("3.9", ">=3.9.0", True),
        ("3.10.0", ">=3.9", True),
        ("3.9.0rc1", ">=3.9", True),
        ("4.0", ">=3.9,<4", False),
        ("4.0.1", "<=4", False),
        ("4.0", ">4", False),
        ("1.0", "!=1.0", True),
        ("unknown", ">=3", True),
        ("1.0", "", True),
    ],
)
def test_bounds(version: str, bounds: str, fits: bool, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(root, "sdk-of-plugin", version)
    install(root, "unitrack-fancy", "2.0", f"sdk-of-plugin{bounds}", plugin="fancy = unitrack_fancy")
    monkeypatch.syspath_prepend(root)
    assert all(finding.ok for finding in check_versions()) is fits


def test_a_version_that_is_too_old_and_a_package_that_is_missing_are_named(
    invoke: Invoke, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(root, "rich", "12.6.0")
    needs = ["sdk-of-plugin>=1.2", 'sdk-for-more>=1; extra == "more"']
    install(root, "unitrack-fancy", "2.0", *needs, plugin="fancy = unitrack_fancy")
    monkeypatch.syspath_prepend(root)
    result = invoke("doctor", "local", "--json")
    assert result.exit_code == 1
    assert [one["message"] for one in json.loads(result.stdout) if not one["ok"]] == [
        "rich 12.6.0 is installed, but unitrack-core needs rich>=13: `python -m pip install 'rich>=13'`",
        "sdk-of-plugin is not installed, but unitrack-fancy needs sdk-of-plugin>=1.2: "
        "`python -m pip install 'sdk-of-plugin>=1.2'`",
    ]


def test_all_is_well_for_local_files(invoke: Invoke, root: Path) -> None:
    result = invoke("doctor", "--json")
    assert result.exit_code == 0
    checked = json.loads(result.stdout)
    assert all(one["ok"] for one in checked)
    looked_at = {(one["sink"], one["subject"]) for one in checked}
    assert looked_at >= {("unitrack", "root"), ("unitrack", "courier"), ("local", "plugin"), ("local", "options")}
    assert ("local", "disk") in looked_at, "the backend's own check ran"
    assert list(root.iterdir()) == [], "nothing is left behind"


def test_bad_options_and_unknown_backends_fail_beside_good_ones(invoke: Invoke, root: Path) -> None:
    (root / "unitrack.yaml").write_text(
        "tracking: {sinks: [local, {probe: {out: x, trubles: []}}, mlfow]}", encoding="utf-8"
    )
    result = invoke("doctor", "--json")
    assert result.exit_code == 1
    failed = {one["sink"]: one for one in json.loads(result.stdout) if not one["ok"]}
    assert set(failed) == {"probe", "mlfow"}
    assert failed["probe"]["subject"] == "options"
    assert "did you mean 'troubles'?" in failed["probe"]["message"]
    assert failed["mlfow"]["subject"] == "plugin"
    assert "did you mean 'mlflow'?" in failed["mlfow"]["message"]


def test_sinks_can_be_named(invoke: Invoke, root: Path) -> None:
    (root / "unitrack.yaml").write_text("tracking: {sinks: [mlfow]}", encoding="utf-8")
    result = invoke("doctor", "local")
    assert result.exit_code == 0
    assert "mlfow" not in result.stdout
    assert result.stdout.splitlines()[-1] == "all is well"


def test_a_sink_that_nobody_knows_is_a_wrong_argument(
    call_program: Callable[..., subprocess.CompletedProcess[str]], root: Path
) -> None:
    """In the configuration it is a finding, as an argument an error."""
    result = call_program("doctor", "mlfow")
    assert (result.returncode, result.stdout) == (2, "")
    assert "unknown sink 'mlfow': did you mean 'mlflow'?" in result.stderr


def test_a_configuration_that_cannot_be_read_is_a_finding(invoke: Invoke, root: Path) -> None:
    (root / "unitrack.yaml").write_text("logging: {log_frequncy: 1}", encoding="utf-8")
    result = invoke("doctor", "--json")
    assert result.exit_code == 1
    [finding] = json.loads(result.stdout)
    assert finding["subject"] == "configuration"
    assert 'did you mean "log_frequency"?' in finding["message"]


def test_a_root_below_a_file_fails(root: Path) -> None:
    (root / "file").write_text("", encoding="utf-8")
    finding = check_root("file/runs")
    assert not finding.ok
    assert "set tracking.root (or UNITRACK_ROOT)" in finding.message


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_root_without_permission_fails(root: Path) -> None:
    (root / "locked").mkdir(mode=0o500)
    assert not check_root("locked/runs").ok


def test_no_courier_without_an_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    finding = check_courier(10, 10)
    assert not finding.ok
    assert "tracking.delivery to thread" in finding.message


def test_mlflow_that_refuses_connections(invoke: Invoke, root: Path) -> None:
    pytest.importorskip("unitrack_mlflow")
    (root / "unitrack.yaml").write_text(
        "tracking: {sinks: [{mlflow: {tracking_uri: 'http://127.0.0.1:9', request_timeout: 2}}]}", encoding="utf-8"
    )
    result = invoke("doctor", "--json", "--timeout", 60)
    assert result.exit_code == 1
    [failed] = [one for one in json.loads(result.stdout) if not one["ok"]]
    assert (failed["sink"], failed["subject"]) == ("mlflow", "server")
    assert "127.0.0.1:9" in failed["message"]


def test_wandb_offline_and_tensorboard_are_well(invoke: Invoke, root: Path) -> None:
    pytest.importorskip("unitrack_wandb")
    pytest.importorskip("unitrack_tensorboard")
    (root / "unitrack.yaml").write_text(
        "tracking: {sinks: [{wandb: {mode: offline}}, {tensorboard: {logdir: tb}}]}", encoding="utf-8"
    )
    result = invoke("doctor", "--json", "--timeout", 60)
    assert result.exit_code == 0, result.stdout
    looked_at = {(one["sink"], one["subject"]) for one in json.loads(result.stdout)}
    assert looked_at >= {("wandb", "package"), ("tensorboard", "package"), ("tensorboard", "logdir")}


def test_the_check_process_is_no_command() -> None:
    """Modules with an underscore are not registered."""
    result = subprocess.run([sys.executable, "-m", "unitrack.cli.doctor.check_process"], input=b"", capture_output=True)
    assert result.returncode == 1
    assert b"DecodeError" in result.stderr


def test_another_projects_unitrack_beside_this_one_is_named(
    invoke: Invoke, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(root, "unitrack", "0.0.3")
    monkeypatch.syspath_prepend(root)
    result = invoke("doctor", "local", "--json")
    [finding] = [one for one in json.loads(result.stdout) if one["subject"] == "namesake"]
    assert not finding["ok"]
    assert "unitrack 0.0.3, another project's distribution" in finding["message"]
    assert "pip uninstall unitrack" in finding["message"]


def findings(invoke: Invoke) -> dict[str, str]:
    return {one["subject"]: one["message"] for one in json.loads(invoke("doctor", "--json").stdout)}


def test_runs_are_counted(invoke: Invoke, complete_run: object, root: Path) -> None:
    assert findings(invoke)["runs"] == f"1 run in {root / 'experiments'}, the newest is 'done'"


def test_missing_runs_are_explained(
    invoke: Invoke, complete_run: object, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the folder they are in, the mode that records nothing, and the rank that does not log."""
    (root / "other").mkdir()
    monkeypatch.chdir(root / "other")
    monkeypatch.setenv("UNITRACK_MODE", "disabled")
    monkeypatch.setenv("RANK", "3")
    found = findings(invoke)
    assert f"1 run in {root / 'experiments'}: give it as tracking.root, or go there" in found["runs"]
    assert found["mode"].startswith("disabled (tracking.mode from environment UNITRACK_MODE)")
    assert "rank 3" in found["rank"]


def test_a_launcher_that_makes_no_sense_does_not_stop_the_doctor(
    invoke: Invoke, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "first")
    assert "rank" not in findings(invoke)
