"""What a process knows of itself: its command, its variables, its job, its machine."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from unitrack.environment.machine import describe_machine, read_gpus
from unitrack.environment.record import Command, Gpu
from unitrack.environment.repository import without_credentials
from unitrack.environment.surroundings import chosen_variables, container_of, scheduler_ids
from unitrack.limits import MIB

SHOW = """
import json, msgspec
from unitrack.environment.command import describe_command
print(json.dumps(msgspec.to_builtins(describe_command())))
"""


@pytest.mark.parametrize(
    ("arguments", "options", "module", "script"),
    [
        (["show.py", "-m", "x"], (), "", "show.py"),
        (["-O", "-X", "utf8", "show.py"], ("-O", "-X", "utf8"), "", "show.py"),
        (["-Xutf8", "-W", "error", "show.py"], ("-Xutf8", "-W", "error"), "", "show.py"),
        (["-m", "show", "--x"], (), "show", "show.py"),
        (["-um", "show"], ("-u",), "show", "show.py"),
        (["-mshow"], (), "show", "show.py"),
        (["-c", SHOW, "-m"], (), "", ""),
        (["-", "-m"], (), "", ""),
    ],
)
def test_how_python_was_started(
    arguments: list[str], options: tuple[str, ...], module: str, script: str, tmp_path: Path
) -> None:
    """Options of the interpreter, a module, a file: as Python itself took them."""
    (tmp_path / "show.py").write_text(SHOW)
    done = subprocess.run(
        [sys.executable, *arguments], cwd=tmp_path, input=SHOW, capture_output=True, text=True, check=True
    )
    told = json.loads(done.stdout)
    assert tuple(told["options"]) == options
    assert (told["module"], told["cwd"]) == (module, str(tmp_path))
    assert told["script"] == (str(tmp_path / script) if script else "")
    assert told.keys() == set(Command.__struct_fields__)


def test_variables_are_chosen_by_globs_and_redacted() -> None:
    """A prefix, a name, any other glob."""
    environ = {"CUDA_A": "1", "XCUDA_": "2", "ONE": "3", "A_TOKEN": "hunter2-x", "TF_9_X": "4", "PYTHON": "5"}
    assert chosen_variables(("CUDA_*", "ONE", "*_TOKEN", "TF_?_X"), environ) == {
        "A_TOKEN": "[redacted]",
        "CUDA_A": "1",
        "ONE": "3",
        "TF_9_X": "4",
    }
    assert chosen_variables((), environ) == {}


def test_variables_of_terraform_are_not_those_of_tensorflow() -> None:
    """`TF_*` leaves them out, since they hold credentials; a glob of their own gets them."""
    theirs = {"TF_VAR_db": "a", "TF_TOKEN_example_org": "b", "TF_CLI_ARGS_plan": "-var x=1", "TF_CLI_CONFIG_FILE": "c"}
    ours = {"TF_DETERMINISTIC_OPS": "1", "TF_CONFIG": "{}"}
    environ = ours | theirs
    assert chosen_variables(("TF_*",), environ) == ours
    assert chosen_variables(("*",), environ) == ours
    chosen = chosen_variables(("TF_*", "TF_VAR_*", "TF_CLI_ARGS_plan"), environ)
    assert chosen.keys() == {*ours, "TF_VAR_db", "TF_CLI_ARGS_plan"}


def test_jobs_and_containers() -> None:
    """SLURM and Kubernetes by their variables; common names count only where Kubernetes is."""
    assert scheduler_ids({"SLURM_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "2", "JOB_NAME": "mine", "OTHER": "x"}) == {
        "SLURM_JOB_ID": "7",
        "SLURM_ARRAY_TASK_ID": "2",
    }
    pod = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "HOSTNAME": "train-0", "JOB_NAME": "train"}
    assert scheduler_ids(pod) == {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "JOB_NAME": "train", "POD_NAME": "train-0"}
    assert container_of(pod).startswith("kubernetes")
    assert container_of({"APPTAINER_CONTAINER": "/images/a.sif"}) == "apptainer /images/a.sif"


def test_gpus_as_nvidia_smi_prints_them() -> None:
    """A card may not report its memory."""
    printed = "NVIDIA H100 80GB HBM3, 81559, 550.54.15\nNVIDIA GB10, [N/A], 550.54.15\n"
    gpus = (Gpu(name="NVIDIA H100 80GB HBM3", memory=81559 * MIB), Gpu(name="NVIDIA GB10"))
    assert read_gpus(printed) == (gpus, "550.54.15")
    assert read_gpus("No devices were found\n") == ((), "")


def test_this_machine() -> None:
    """What every system tells."""
    machine = describe_machine()
    assert machine.host and machine.architecture and machine.cores
    assert machine.memory is not None and machine.memory > MIB


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://me:tok3n@host/a.git", "https://host/a.git"),
        ("https://host/a.git?token=x#y", "https://host/a.git"),
        ("git@github.com:a/b.git", "git@github.com:a/b.git"),
        ("me:pass@host:a/b.git", "me@host:a/b.git"),
        ("ssh://git:pass@host:22/a.git", "ssh://git@host:22/a.git"),
        ("/srv/git/a.git", "/srv/git/a.git"),
        ("https://[broken", ""),
    ],
)
def test_remotes_without_credentials(url: str, shown: str) -> None:
    """Whatever form a URL of git has."""
    assert without_credentials(url) == shown
