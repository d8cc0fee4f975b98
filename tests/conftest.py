"""What all tests share: a folder of their own, a clean environment, a plugin, and no courier left behind."""

from __future__ import annotations

import atexit
import contextlib
import os
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

if TYPE_CHECKING:
    from unitrack_tests.s3 import Bucket

SUPPORT = Path(__file__).parent / "support"
PROBE_PLUGIN = SUPPORT / "probe_plugin"
MARKER = "TESTS_OF_SESSION"
"""Set in the environment, which couriers and trainers inherit: so those of this session are told from others."""
COURIERS_LEAVE_WITHIN_S = 25.0
LINGER = "UNITRACK_LINGER"

sys.path[:0] = [str(SUPPORT), str(PROBE_PLUGIN)]
pytest.register_assert_rewrite(  # before any test imports from them
    "unitrack.testing.conformance", "unitrack.testing.integrations", "unitrack_tests"
)
os.environ["TRACKIO_DIR"] = tempfile.mkdtemp(prefix="unitrack-trackio-")  # not the user's; trackio reads it once
atexit.register(shutil.rmtree, os.environ["TRACKIO_DIR"], ignore_errors=True)
os.environ.setdefault("KERAS_BACKEND", "jax")  # read at its import; the default, TensorFlow, is in no environment
os.environ[LINGER] = "5"  # seconds; by default couriers would try for ten minutes after a test whose sink is down


@pytest.fixture(scope="session", autouse=True)
def plugin_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Install the probe plugin by an entry point, as any plugin is."""
    site = tmp_path_factory.mktemp("site")
    info = site / "unitrack_probe-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: unitrack-probe\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[unitrack]\nprobe = unitrack_probe\n")
    sys.path.append(str(site))
    registry = sys.modules.get("unitrack.plugins.registry")
    if registry is not None:  # tests of a backend came first: their plugins are known already
        registry.installed.cache_clear()
    before = os.environ.get("PYTHONPATH")
    search = (before, str(SUPPORT), str(PROBE_PLUGIN), str(site))
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, search))  # for trainers
    yield
    sys.path.remove(str(site))
    if before is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = before


@pytest.fixture(scope="session", autouse=True)
def no_courier_left_behind(plugin_of_the_tests: None) -> Iterator[None]:
    """Fail the session, naming them, if couriers that it started outlive it."""
    token = secrets.token_hex(8)
    os.environ[MARKER] = token
    yield
    pool = sys.modules.get("unitrack.delivery.courier.pool")
    if pool is not None:
        pool.pool.let_go()
    deadline = time.monotonic() + COURIERS_LEAVE_WITHIN_S
    while (left := couriers_of(token)) and time.monotonic() < deadline:
        time.sleep(0.1)
    if left:
        named = [f"{process.pid}, started in {process.cwd()}" for process in left]
        for process in left:
            process.kill()
        pytest.fail(f"couriers left behind: {named}", pytrace=False)


def couriers_of(token: str) -> list[psutil.Process]:
    """The live courier processes whose environment carries the session's token."""
    found = []
    for process in psutil.process_iter():
        try:
            if (
                "unitrack.delivery.courier" in process.cmdline()
                and process.environ().get(MARKER) == token
                and process.status() != psutil.STATUS_ZOMBIE
            ):
                found.append(process)
        except psutil.Error:
            continue
    return found


@pytest.fixture(autouse=True)
def limits_as_they_were() -> Iterator[None]:
    """Undo what a probe sink that is served in this process has done to the limits."""
    from unitrack import limits

    before = {name: value for name, value in vars(limits).items() if name.isupper()}
    yield
    vars(limits).update(before)


@pytest.fixture(autouse=True)
def no_run_left_open() -> Iterator[None]:
    """End the runs that a test has left open: in the next one they would be the current run."""
    yield
    lifecycle, current = (sys.modules.get(f"unitrack.run.{name}") for name in ("lifecycle", "current"))
    for run in [] if lifecycle is None else list(lifecycle.live.runs):
        with contextlib.suppress(Exception):  # its folder may be gone, and its sinks may be in trouble
            run.finish("killed", timeout=0)
        lifecycle.live.forget(run)
    while current is not None and (run := current.started.current) is not None:  # one that records nothing
        run.finish()
        assert run.has_ended


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the test, which is also the working directory; of UNITRACK_* only `LINGER`, no rank and no job is
    set.
    """
    launchers = ("UNITRACK_", "SLURM_", "OMPI_", "PMI_", "TORCHELASTIC_", "RANK", "WORLD_SIZE")
    for variable in [name for name in os.environ if name.startswith(launchers) and name != LINGER]:
        monkeypatch.delenv(variable)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The URL of a real S3 server on loopback, one for the session."""
    from unitrack_tests.s3 import serving_s3  # before moto, whose settings it sets

    pytest.importorskip("moto", reason="moto is not in each environment")
    pytest.importorskip("s3fs", reason="the extra s3 is not in each environment")

    with serving_s3() as url:
        yield url


@pytest.fixture
def bucket(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """A new bucket, behind a wire that can get in the way; programs find it by the environment."""
    from unitrack_tests.s3 import Bucket, Wire, client_of, set_up_environment

    for variable in ("AWS_PROFILE", "AWS_ENDPOINT_URL_S3", "MLFLOW_S3_ENDPOINT_URL"):
        monkeypatch.delenv(variable, raising=False)
    wire = Wire(s3_server)
    set_up_environment(wire.url, monkeypatch.setenv)
    name = f"bucket-{secrets.token_hex(4)}"
    client_of(s3_server).create_bucket(Bucket=name)
    with wire.serving():
        yield Bucket(name, s3_server, wire)
