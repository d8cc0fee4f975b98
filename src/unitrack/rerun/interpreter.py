"""The Python environment in which a run is done once more: this one, or a new one that uv makes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from unitrack.environment.record import Environment
from unitrack.errors import ConfigError
from unitrack.rerun.packages import requirements

CURRENT, RECORDED = "current", "recorded"
"""Values of `--env`; any other one is the path of a lock file in the code of the run."""


def current_python() -> Path:
    """Return the interpreter of this process."""
    return Path(sys.executable)


def find_uv() -> str:
    """Return the path of uv: beside this interpreter or on the PATH. Raises `ConfigError`."""
    beside = Path(sys.executable).parent / "uv"
    found = str(beside) if beside.exists() else shutil.which("uv")
    if found is None:
        raise ConfigError(
            "an environment with the recorded packages is made by uv, which is not installed: pip install uv, or use "
            "the current environment: --env current"
        )
    return found


def find_python(environment: Environment, uv: str) -> tuple[str, str]:
    """Return the interpreter for `uv venv`, and a note if it is not the recorded one.

    It is the recorded executable if that is there in this version, else one of the version that uv finds, else one of
    the same minor version. Raises `ConfigError` if there is none.
    """
    recorded = environment.python
    executable, number = Path(recorded.executable), recorded.number
    if executable.name.startswith(("python", "pypy")) and _version_of(executable) == number:
        return str(executable), ""
    minor = ".".join(number.split(".")[:2])
    for wanted in (number, minor):
        done = subprocess.run(
            [uv, "python", "find", "--no-project", "--no-python-downloads", wanted],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode == 0 and (path := done.stdout.strip()):
            found = _version_of(Path(path)) or wanted
            return path, "" if found == number else f"Python {number} is not here: {found} is used"
    raise ConfigError(
        f"there is no Python {minor} here, and the run had {number}: `uv python install {number}`, or use the current "
        "environment: --env current"
    )


def make_environment(
    environment: Environment, folder: Path, top: Path, *, python: str, uv: str, lock: str | None
) -> Path:
    """Make a virtual environment with the recorded packages, or those of a lock file in the tree; return its Python.

    Raises `ConfigError` with what uv said.
    """
    place = folder / "env"
    _uv(uv, "venv", "--quiet", "--no-project", "--python", python, str(place))
    interpreter = place / "bin" / "python"
    install = [uv, "pip", "install", "--quiet", "--no-config", "--python", str(interpreter)]
    if lock is not None:
        _uv(*install, "-r", str(top / lock))
        return interpreter
    listed = folder / "requirements.txt"
    listed.write_text("".join(f"{line}\n" for line in requirements(environment, top)))
    _uv(*install, "--no-deps", "-r", str(listed))
    return interpreter


def _uv(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        said = done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}"
        raise ConfigError(
            f"uv {command[1]} failed: {said}\nNothing was run. Use the current environment: --env current"
        )


def _version_of(executable: Path) -> str | None:
    if not os.access(executable, os.X_OK):
        return None
    try:
        done = subprocess.run(
            [str(executable), "-I", "-c", "import sys; print(sys.version.split()[0])"],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
