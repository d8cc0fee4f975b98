"""Running whole scripts captured, and comparing what their own backends got with what unitrack did."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from unitrack.manager.verification.allowances import Allowances
from unitrack.manager.verification.differ import compare_runs
from unitrack.manager.verification.difference import Difference
from unitrack.reading import StoredRun, runs

SCRIPTS = Path(__file__).parents[2] / "capture" / "scripts"


def run_captured(
    script: str, *arguments: str, options: tuple[str, ...] = (), wait: bool = False, **environ: str
) -> str:
    """Run `unitrack capture` on a script of this folder; return what it wrote to standard error.

    `wait`: return only when the sinks have everything.
    """
    program = str(Path(sys.executable).with_name("unitrack"))
    command = [program, "capture", "--sinks", "local", *options, "--", sys.executable, str(SCRIPTS / script)]
    done = subprocess.run(
        [*command, *arguments],
        env=os.environ | {"WANDB_MODE": "offline", "WANDB_SILENT": "true", "UNITRACK_PROJECT": "p"} | environ,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    if wait:
        subprocess.run(
            [program, "sync", "experiments", "--timeout", "90"], check=True, capture_output=True, timeout=110
        )
    return done.stderr


def captured_of(key: str, root: str = "experiments") -> StoredRun:
    """Return the captured run of a run of an SDK, by what the SDK calls it."""
    [found] = [run for run in runs(f"local:{root}") if run.tags["unitrack.capture.run"] == key]
    return found


def differences(
    original: StoredRun, captured: StoredRun, *, exact_floats: bool = True, text_params: bool = False
) -> list[Difference]:
    """Return where points and params of the original run are not those of the captured one.

    `exact_floats`: whether the original's backend holds 64-bit floats, `text_params`: params as text. Times are those
    of two calls, one in the other.
    """
    found = compare_runs(captured, original, Allowances(exact_floats=exact_floats, text_params=text_params))
    concerned = [one for one in found if one.subject in ("point", "param") and not one.allowed]
    return [one for one in concerned if one.problem != "time differs"]
