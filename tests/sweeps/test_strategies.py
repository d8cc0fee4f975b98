"""Each strategy and each pruner that has a name, in a small sweep; those that need a package say so."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

import unitrack
from unitrack.sweeps.bands import make_bands_pruner
from unitrack.sweeps.definition import EarlyTermination
from unitrack.sweeps.strategies import PRUNERS, STRATEGIES, make_pruner, make_sampler

optuna = pytest.importorskip("optuna")

PACKAGES = {"cmaes": ("cmaes",), "gp": ("torch", "scipy"), "qmc": ("scipy",), "wilcoxon": ("scipy",)}
TRIALS = {"gp": 11}
"""A Gaussian process takes over after 10 trials."""


def sweep(root: Path, train: Any, space: Any, **options: Any) -> unitrack.SweepResult:
    config = {"tracking": {"delivery": "inline", "root": str(root), "sinks": ["local"]}}
    return unitrack.sweep(train, space, config=config, progress=False, **options)


def need(name: str) -> None:
    for package in PACKAGES.get(name, ()):
        pytest.importorskip(package, reason=f"{name} needs {package}")


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_strategy_searches(tmp_path: Path, strategy: str) -> None:
    """The trials are different ones, within the space, and the same for the same seed."""
    need(strategy)
    is_grid = strategy == "grid"
    space = {"x": [0.0, 0.5, 1.0], "y": [1, 2]} if is_grid else {"x": (0.0, 1.0), "y": (1, 8)}
    options = {"strategy": strategy, "n": TRIALS.get(strategy, 5), "seed": 3}
    first = sweep(tmp_path / "first", lambda x, y: x + y, space, **options)
    drawn = [one.params for one in first]
    assert [one.status for one in first] == ["finished"] * options["n"]
    assert len({tuple(params.values()) for params in drawn}) > 3
    assert all(0 <= params["x"] <= 1 and 1 <= params["y"] <= 8 for params in drawn)
    again = sweep(tmp_path / "again", lambda x, y: x + y, space, **options | {"n": 3})
    assert [one.params for one in again] == drawn[:3]


@pytest.mark.parametrize("prune", [name for name in PRUNERS if name != "threshold"])
def test_a_pruner_stops_what_is_hopeless(tmp_path: Path, prune: str) -> None:
    """The best trial is never stopped, and the worst one is."""
    need(prune)

    def train(run: unitrack.Run, x: float) -> None:
        for step in range(8):
            run.log_metrics({"loss": x + step * (x > 0)}, step=step)

    space = {"x": [0.0, 1.0, 2.0, 3.0, 4.0, 100.0]}
    result = sweep(tmp_path, train, space, strategy="grid", prune=prune, name="a")  # by it hyperband draws the brackets
    assert result[0].status == "finished"
    assert result[-1].status == "pruned"
    assert result.best.params == {"x": 0.0}


def test_wandbs_bands(tmp_path: Path) -> None:
    """The rule of `early_terminate` in W&B's sweep YAML."""

    def train(run: unitrack.Run, x: float) -> None:
        for step in range(8):
            run.log_metrics({"loss": x}, step=step)

    rule = EarlyTermination(bands=(2, 4), eta=2)
    result = sweep(tmp_path, train, {"x": [0.0, 1.0, 2.0, 3.0]}, strategy="grid", prune=make_bands_pruner(rule))
    assert [one.status for one in result] == ["finished", "finished", "pruned", "pruned"]


@pytest.mark.parametrize("name", PACKAGES)
def test_a_package_that_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """One error names all of them and what installs them, before anything has started."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda package: None)
    packages = " ".join(PACKAGES[name])
    with pytest.raises(
        unitrack.MissingPackageError, match=rf"={name!r} needs the package.*run `pip install {packages}`"
    ):
        make_sampler(name, 1, in_parallel=False) if name in STRATEGIES else make_pruner(name)
    assert list(tmp_path.iterdir()) == []
