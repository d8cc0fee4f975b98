"""`unitrack capture` and `python -m unitrack.capture`: the script runs as Python runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

UNITRACK = str(Path(sys.executable).with_name("unitrack"))
SHOW = """
import json, os, sys
print(json.dumps({"argv": sys.argv, "path": sys.path[0], "name": __name__, "dev": sys.flags.dev_mode,
                  "chained": os.environ.get("CHAINED"), "pid": os.getpid()}))
sys.exit(7)
"""


def call(command: list[str], **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env=os.environ | environ, capture_output=True, text=True, timeout=60)


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    path = tmp_path / "sub" / "show.py"
    path.write_text(SHOW)
    return path


@pytest.mark.parametrize(
    "command",
    [
        [UNITRACK, "capture", "--", sys.executable, "sub/show.py", "--lr", "1", "-m"],
        [sys.executable, "-m", "unitrack.capture", "sub/show.py", "--lr", "1", "-m"],
    ],
    ids=["command", "module"],
)
def test_a_script_sees_what_it_sees_without_us(script: Path, command: list[str]) -> None:
    done = call(command)
    plain = call([sys.executable, "sub/show.py", "--lr", "1", "-m"])
    seen, expected = (json.loads(one.stdout) for one in (done, plain))
    assert (done.returncode, seen | {"pid": 0}) == (7, expected | {"pid": 0})
    assert done.stderr == ""


def test_a_module_and_options_of_python(script: Path) -> None:
    done = call([sys.executable, "-X", "dev", "-m", "unitrack.capture", "-m", "sub.show", "x"])
    seen = json.loads(done.stdout)
    assert (done.returncode, seen["argv"][1:], seen["name"], seen["dev"]) == (7, ["x"], "__main__", True)
    assert seen["argv"][0] == str(script)


def test_the_command_has_the_process_of_its_own_name(script: Path) -> None:
    """So signals reach it, and its exit is the exit."""
    process = subprocess.Popen(
        [UNITRACK, "capture", "--", sys.executable, str(script)], stdout=subprocess.PIPE, text=True
    )
    out, _ = process.communicate(timeout=60)
    assert json.loads(out)["pid"] == process.pid


def test_a_sitecustomize_that_is_there_is_imported(script: Path, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text("import os; os.environ['CHAINED'] = __file__\n")
    search = os.pathsep.join((str(tmp_path / "site"), os.environ.get("PYTHONPATH", "")))
    done = call([UNITRACK, "capture", "--", sys.executable, str(script)], PYTHONPATH=search)
    assert json.loads(done.stdout)["chained"] == str(tmp_path / "site" / "sitecustomize.py")


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--sinks", "nosuch", "--", "true"], 2, "unknown sink 'nosuch'"),
        (["--only", "neptune", "--", "true"], 2, "can't capture 'neptune'"),
        (["--", "no-such-program"], 127, "is not a program on the PATH"),
        (["--", "/etc/passwd"], 126, "is no program that may be executed"),
    ],
)
def test_nothing_is_started_with_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], code: int, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = call([UNITRACK, "capture", *options])
    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr


def test_python_that_reads_no_path_is_refused(script: Path) -> None:
    done = call([sys.executable, "-E", "-m", "unitrack.capture", str(script)])
    assert done.returncode == 2
    assert "python -E reads no PYTHONPATH" in done.stderr


def test_without_a_script_it_says_so() -> None:
    done = call([sys.executable, "-m", "unitrack.capture", "--sinks", "local"])
    assert done.returncode == 2
    assert "give a script" in done.stderr
