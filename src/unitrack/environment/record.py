"""The record of an environment: what the artifacts `environment/environment.json` and `environment/call.json` hold.

The format only grows: fields are added with a default, so that a record of an old version stays readable.
"""

from __future__ import annotations

from typing import Any

import msgspec

FOLDER = "environment"
"""The folder among a run's artifacts in which the three files lie."""
RECORD = f"{FOLDER}/environment.json"
"""The whole record, which comes a moment after the call."""
CALL = f"{FOLDER}/call.json"
"""The part of the record that the call itself found: all there is of a run whose machine failed right then."""
PATCH = f"{FOLDER}/code.patch"
"""The changes since the last commit, as `git apply` takes them."""
REQUIREMENTS = f"{FOLDER}/requirements.txt"
"""The packages, as pip and uv read them."""
REF_PREFIX = "refs/unitrack/"
"""Below it, the id of a run is the git reference of its exact tree."""


def ref_of(run_id: str) -> str:
    """Return the git reference of the exact tree of a run."""
    if ".." in run_id or run_id.endswith((".", ".lock")):  # git refuses them
        run_id = run_id.replace(".", "%2E")
    return f"{REF_PREFIX}{run_id}"


class Part(msgspec.Struct, frozen=True):
    """Base of the parts of a record."""


class Python(Part, frozen=True, kw_only=True):
    """The interpreter."""

    version: str
    """`sys.version`: the version, the build and the compiler."""
    implementation: str
    """"CPython", "PyPy"."""
    executable: str
    prefix: str
    """The folder of the virtual environment; without one, that of the installation."""
    base_prefix: str = ""

    @property
    def number(self) -> str:
        """The version alone: "3.11.9"."""
        return self.version.split()[0]


class Gpu(Part, frozen=True, kw_only=True):
    """One GPU, as the driver describes it."""

    name: str
    memory: int | None = None
    """Bytes."""


class Machine(Part, frozen=True, kw_only=True):
    """The machine. None, "" and an empty tuple: not known."""

    host: str
    cpu: str = ""
    """The model of the processor."""
    architecture: str = ""
    cores: int | None = None
    """Processors that this process may use."""
    memory: int | None = None
    """Bytes of the machine, or of the container if that may use less."""
    gpus: tuple[Gpu, ...] = ()
    driver: str = ""
    """The version of the GPUs' driver."""
    cuda: str = ""
    """The highest version of CUDA that the driver supports."""


class Package(Part, frozen=True, kw_only=True):
    """An installed distribution."""

    name: str
    """Normalized as in PEP 503: "scikit-learn"."""
    version: str
    url: str = ""
    """Where it was installed from, if not from an index: `direct_url.json` of PEP 610, without credentials."""
    commit: str = ""
    """The commit that was installed; of an editable one, that of its checkout."""
    editable: bool = False
    dirty: bool | None = None
    """Of an editable one: whether its checkout differed from that commit."""
    subdirectory: str = ""
    """The folder of the project in its repository or archive."""


class LeftOut(Part, frozen=True, kw_only=True):
    """A file that is not in the recorded tree."""

    path: str
    why: str


class Submodule(Part, frozen=True, kw_only=True):
    """A repository within the repository, of which the tree holds only the commit."""

    path: str
    commit: str
    dirty: bool | None = None
    """Whether it had changes, which are in no record."""
    url: str = ""


class Git(Part, frozen=True, kw_only=True):
    """The state of the code."""

    commit: str | None
    """HEAD; None before the first commit."""
    branch: str | None = None
    """None: a detached HEAD."""
    remote: str = ""
    """The URL of the branch's remote, else of origin or the only one, without credentials."""
    dirty: bool | None = None
    """Whether tracked files differed from the commit; None: not known."""
    untracked: int = 0
    """How many files were new and not ignored."""
    root: str = ""
    """The top folder of the work tree."""
    ref: str = ""
    """The reference that keeps the exact tree, `refs/unitrack/<run id>`; "" if there is none: `note` says why."""
    tree_commit: str = ""
    """The commit that `ref` points to; its first parent is `commit`."""
    tree: str = ""
    left_out: tuple[LeftOut, ...] = ()
    """Files that are not in the tree, ignored ones apart."""
    submodules: tuple[Submodule, ...] = ()
    lfs: bool = False
    """Whether git-lfs keeps files of the tree, which then holds their pointers."""
    patch_base: str = ""
    """The commit to which the patch applies: `commit`, or its newest ancestor that a remote has."""
    patch_left_out: tuple[LeftOut, ...] = ()
    """Files whose changes are in the tree but not in the patch."""
    changed_after: tuple[str, ...] = ()
    """Files that were changed between the call and the capture of the tree: the tree has their later content."""
    note: str = ""
    """What a reader should know: why there is no tree, or what is not in it."""


class Command(Part, frozen=True, kw_only=True):
    """How the program was started."""

    argv: tuple[str, ...]
    """`sys.argv`, with secrets redacted."""
    options: tuple[str, ...] = ()
    """Options of the interpreter, such as "-O" and "-X", "dev"."""
    module: str = ""
    """The argument of `python -m`."""
    script: str = ""
    """The absolute path of the program's file; "" for `python -c`, a notebook or an interactive session."""
    script_in_repository: str = ""
    cwd: str = ""
    cwd_in_repository: str | None = None
    """The working directory below the top of the work tree, "" for the top itself; None if it lies elsewhere."""
    redacted: bool = False
    """Whether a part of `argv` was redacted, so that it can't be run as it stands."""


class Environment(Part, frozen=True, kw_only=True):
    """The environment of a run."""

    schema: int = 1
    captured_at: int
    """Milliseconds since the epoch, at the call of `log_environment`."""
    is_complete: bool = False
    """Whether the parts that take time are there, as in `RECORD`: packages, GPUs, the git tree."""
    python: Python
    platform: str
    machine: Machine
    packages: tuple[Package, ...] = ()
    git: Git | None = None
    git_note: str = ""
    """Why there is no `git`: git is missing, or the working directory is in no work tree."""
    command: Command
    variables: dict[str, str] = {}
    """The environment variables of `reproducibility.variables`, with secrets redacted."""
    scheduler: dict[str, str] = {}
    """Ids of the job in SLURM, Kubernetes, Ray and the like, under the names of their variables."""
    container: str = ""
    """The kind of container and its id: "docker 3f2a..."; "" outside one."""
    seeds: dict[str, Any] = {}
    """What was seeded, as `unitrack.seed_everything` says."""
    notes: tuple[str, ...] = ()
    """What could not be captured, and why."""


def read_environment(data: bytes) -> Environment:
    """Return the record that a file holds. Raises `ValueError` for any other content."""
    return msgspec.json.decode(data, type=Environment)
