"""Hydra, by its contract and by what is its own."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from unitrack_tests.integration_examples import run_example

import unitrack
from unitrack.records import GROUP
from unitrack.testing import IntegrationContract, recorded

pytest.importorskip("hydra", reason="Hydra is not in each environment")

from hydra.core.global_hydra import GlobalHydra

QUIET = ["hydra/job_logging=disabled", "hydra/hydra_logging=disabled"]


@pytest.fixture(autouse=True)
def own_hydra(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Hydra is one for the process, and would turn exceptions into the exit of the program."""
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    yield
    GlobalHydra.instance().clear()


APPLICATION = """
import hydra
from hydra.core.config_store import ConfigStore

import unitrack

callback = {"_target_": "unitrack.integrations.hydra.UnitrackCallback", **start}
node = {"lr": 0.1, "model": {"depth": 4}, "hydra": {"callbacks": {"unitrack": callback}}}
ConfigStore.instance().store(name="application", node=node)


@hydra.main(config_path=None, config_name="application", version_base="1.3")
def application(cfg):
    for step in range(2):
        unitrack.log_metrics({"loss": cfg.lr / 2**step}, step=step)
        if interrupt is not None:
            raise interrupt
    return cfg.lr


application()
"""


def run_application(start: dict[str, Any], *arguments: str, interrupt: BaseException | None = None) -> None:
    """Run an application that logs two losses; Hydra wants it to be a program."""
    Path("application.py").write_text(APPLICATION)
    before, sys.argv = sys.argv, ["application.py", *arguments, *QUIET]
    try:
        runpy.run_path("application.py", {"start": start, "interrupt": interrupt}, "__main__")
    finally:
        sys.argv = before


class TestHydra(IntegrationContract):
    params: ClassVar = {"lr": 0.5, "model.depth": 4}
    other_metrics = ("objective",)
    pickles = False  # Hydra makes it from the configuration

    def make(self, **start: Any) -> dict[str, Any]:
        return start

    def train(self, logger: dict[str, Any], *, interrupt: BaseException | None = None) -> Any:
        run_application(logger, "lr=0.5", interrupt=interrupt)
        return {"loss": [(0, 0.5), (1, 0.25)]}


def test_multirun_is_a_group() -> None:
    """Of a run for each job."""
    with recorded() as runs:
        run_application({"tags": ["mine"]}, "--multirun", "lr=0.1,0.2", "hydra.sweep.dir=sweeps/first")
    assert [run.params["lr"] for run in runs] == [0.1, 0.2]
    assert [run.name for run in runs] == ["application-0", "application-1"]
    assert {run.tags[GROUP] for run in runs} == {"sweeps/first"}
    assert all("mine" in run.tags for run in runs)
    assert [run.values("objective") for run in runs] == [[0.1], [0.2]]
    assert runs[1].tags["hydra.overrides"] == "lr=0.2"


def test_a_job_that_fails_in_a_multirun() -> None:
    """Hydra raises when it asks for the result."""
    with recorded() as runs, pytest.raises(ZeroDivisionError):
        run_application({}, "--multirun", "lr=0.1,0.2", interrupt=ZeroDivisionError())
    assert {run.status for run in runs} == {"failed"}


def test_files_of_the_job_and_sinks_of_the_configuration(root: Path) -> None:
    """The sinks are lists and mappings of OmegaConf there."""
    run_application({"sinks": [{"local": {"name": "mine"}}], "delivery": "inline"}, "lr=1")
    [run] = unitrack.runs("experiments")
    [overrides] = Path("experiments").glob("*/artifacts/hydra/overrides.yaml")
    assert overrides.read_text().splitlines() == ["- lr=1"]
    assert run.status == "finished"


def test_example(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["hydra_app.py", *QUIET])
    [run] = run_example("hydra_app")
    assert (run.status, run.project, run.params["model.depth"]) == ("finished", "digits", 4)
    assert run.values("objective") == run.values("loss")[-1:]
