"""Wheels and sdists of the core and of each plugin, built and installed into an empty environment."""

import json
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(900)  # ten builds in environments of their own
REPOSITORY = Path(__file__).parents[2]
PLUGINS = ("mlflow", "sql", "tensorboard", "trackio", "wandb")
EXTRAS = {"sql": "database"}  # the extra `sql` is the query engine's


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a wheel and an sdist of each distribution; the wheels are built from the sdists."""
    folder = tmp_path_factory.mktemp("dist")
    for project in (REPOSITORY, *(REPOSITORY / "plugins" / f"unitrack-{name}" for name in PLUGINS)):
        command = [sys.executable, "-m", "build", "--installer=uv", "--outdir", folder, project]
        subprocess.run(command, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="session")
def python(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with nothing but the wheels and what the core needs; SDKs have environments of their own."""
    environment = tmp_path_factory.mktemp("empty")
    venv.create(environment, with_pip=True)
    python = environment / "bin" / "python"
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*install, next(built.glob("unitrack_core-0*.whl"))], check=True)
    plugins = [next(built.glob(f"unitrack_{name}-*.whl")) for name in PLUGINS]
    subprocess.run([*install, "--no-deps", *plugins], check=True)
    return python


def test_one_wheel_and_one_sdist_each(built: Path) -> None:
    """One for the core and one for each plugin, two files each."""
    assert len(list(built.glob("*.whl"))) == len(list(built.glob("*.tar.gz"))) == 1 + len(PLUGINS)


def test_what_the_core_ships(built: Path) -> None:
    """The schema, the templates, the type marker and the licence are in the wheel; the tests are in the sdist."""
    names = zipfile.ZipFile(next(built.glob("unitrack_core-0*.whl"))).namelist()
    assert {"unitrack/config/schema.json", "unitrack/py.typed"} <= set(names)
    assert "unitrack/cli/plugin_templates/plugin.py.txt" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    with tarfile.open(next(built.glob("unitrack_core-0*.tar.gz"))) as sdist:
        assert any("/tests/" in name for name in sdist.getnames())


def test_extras_name_the_plugins(built: Path) -> None:
    """unitrack-core[mlflow], [wandb], [tensorboard], [trackio], [database] and [all]."""
    wheel = zipfile.ZipFile(next(built.glob("unitrack_core-0*.whl")))
    [metadata] = [name for name in wheel.namelist() if name.endswith("METADATA")]
    lines = wheel.read(metadata).decode().splitlines()
    for name in PLUGINS:
        for extra in (EXTRAS.get(name, name), "all"):
            wanted = (f"unitrack-{name}", f"extra == '{extra}'")
            assert any(line.startswith("Requires-Dist") and all(part in line for part in wanted) for line in lines)


def test_the_wheels_find_each_other(python: Path) -> None:
    """All backends are found in an environment that has no SDK, and none is disabled."""
    done = subprocess.run([python, "-m", "unitrack", "plugins", "--json"], capture_output=True, text=True, check=True)
    assert {backend for backend in ("local", *PLUGINS) if backend in done.stdout} == {"local", *PLUGINS}
    json.loads(done.stdout)


def test_the_first_snippet_of_the_readme_runs_on_the_core_alone(python: Path, tmp_path: Path) -> None:
    """As it stands, with no plugin's SDK installed."""
    first = (REPOSITORY / "README.md").read_text(encoding="utf-8").split("```python\n")[1].partition("```")[0]
    done = subprocess.run([python, "-c", first], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert done.stdout.strip() == str(tmp_path / "experiments" / "training-v1")
    assert len((tmp_path / "experiments" / "training-v1" / "metrics.jsonl").read_text().splitlines()) == 1000


def test_a_run_in_the_empty_environment(python: Path, tmp_path: Path) -> None:
    """The core works alone; a backend whose SDK is missing is named with the command that installs it."""
    script = (
        "import unitrack\n"
        "with unitrack.start_run('x', sinks=['local']) as run:\n"
        "    run.log_metrics({'loss': 0.5}, step=0)\n"
        "assert run.finish().ok\n"
        "try:\n"
        "    unitrack.start_run('y', sinks=['mlflow'])\n"
        "except unitrack.ConfigError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([python, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "run `pip install unitrack-mlflow`" in done.stdout or "run `pip install mlflow`" in done.stdout
    assert '"loss":0.5' in (tmp_path / "experiments" / "x" / "metrics.jsonl").read_text()
