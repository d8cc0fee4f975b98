"""Strategies and pruners by name: Optuna's samplers and pruners, and the grid."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

from unitrack.errors import ConfigError, MissingPackageError
from unitrack.names import nearest
from unitrack.sweeps.engine import load_optuna, quiet_optuna
from unitrack.sweeps.seeding import seeded_sampler

GRID = "grid"
SAMPLERS = {
    "random": "RandomSampler",
    "tpe": "TPESampler",
    "cmaes": "CmaEsSampler",
    "gp": "GPSampler",
    "nsga2": "NSGAIISampler",
    "nsga3": "NSGAIIISampler",
    "qmc": "QMCSampler",
}
"""Names of strategies, and the classes of `optuna.samplers`."""
STRATEGIES = (GRID, *SAMPLERS)
PRUNERS = {
    "median": "MedianPruner",
    "hyperband": "HyperbandPruner",
    "asha": "SuccessiveHalvingPruner",
    "halving": "SuccessiveHalvingPruner",
    "percentile": "PercentilePruner",
    "patient": "PatientPruner",
    "threshold": "ThresholdPruner",
    "wilcoxon": "WilcoxonPruner",
}
"""Names of pruners, and the classes of `optuna.pruners`."""
_NEEDED = {"cmaes": ("cmaes",), "gp": ("torch", "scipy"), "qmc": ("scipy",), "wilcoxon": ("scipy",)}
"""Packages that Optuna does not bring along."""
_SEEDED_ONCE = ("qmc",)
"""Samplers that go on with one sequence, whatever the trial."""
_PRUNER_ARGUMENTS: dict[str, dict[str, Any]] = {"percentile": {"percentile": 50.0}}


def check_strategy(strategy: Any) -> None:
    """Raise `ConfigError` unless `strategy` is a known name or a sampler of Optuna."""
    if isinstance(strategy, str):
        _check_name("strategy", strategy, STRATEGIES)
    elif not hasattr(strategy, "sample_independent"):
        raise ConfigError(
            f"strategy must be one of {', '.join(STRATEGIES)} or a sampler of Optuna, got {type(strategy).__name__}"
        )


def _check_name(what: str, name: str, known: tuple[str, ...]) -> None:
    if name not in known:
        meant = nearest(name, known)
        guess = f"did you mean {meant!r}?" if meant else f"known are {', '.join(known)}"
        raise ConfigError(f"unknown {what} {name!r}: {guess}")


def _check_packages(what: str, name: str) -> None:
    missing = [package for package in _NEEDED.get(name, ()) if importlib.util.find_spec(package) is None]
    if missing:
        packages = f"package{'s' if len(missing) > 1 else ''} {' and '.join(map(repr, missing))}"
        raise MissingPackageError(f"{what}={name!r} needs the {packages}: run `pip install {' '.join(missing)}`")


def make_sampler(strategy: Any, seed: int | None, *, in_parallel: bool) -> Any:
    """Return the sampler of a strategy. `in_parallel`: whether several trials run at a time.

    Raises `ConfigError` for an unknown name, `MissingPackageError` if the sampler needs a package.
    """
    check_strategy(strategy)
    if not isinstance(strategy, str):
        return strategy
    samplers = load_optuna().samplers
    if strategy == GRID:  # its combinations are waiting trials; the sampler is never asked
        return samplers.RandomSampler(seed=seed)
    _check_packages("strategy", strategy)
    make: Callable[..., Any] = getattr(samplers, SAMPLERS[strategy])
    options = {"constant_liar": True} if in_parallel and strategy == "tpe" else {}
    with quiet_optuna():
        if seed is not None and strategy not in _SEEDED_ONCE:
            return seeded_sampler(lambda one: make(seed=one, **options), seed)
        return make(seed=seed, **options)


def make_pruner(prune: Any) -> Any:
    """Return a pruner: of a name, or as it is; None for none.

    Raises `ConfigError` for an unknown name, `MissingPackageError` if the pruner needs a package.
    """
    if prune is None or prune is False:
        return None
    if not isinstance(prune, str):
        if hasattr(prune, "prune"):
            return prune
        raise ConfigError(
            f"prune must be one of {', '.join(PRUNERS)} or a pruner of Optuna, got {type(prune).__name__}"
        )
    _check_name("pruner", prune, tuple(PRUNERS))
    _check_packages("prune", prune)
    pruners = load_optuna().pruners
    if prune == "patient":
        with quiet_optuna():
            return pruners.PatientPruner(pruners.MedianPruner(), patience=3)
    if prune == "threshold":
        raise ConfigError("prune='threshold' needs bounds: give optuna.pruners.ThresholdPruner(lower=..., upper=...)")
    with quiet_optuna():
        return getattr(pruners, PRUNERS[prune])(**_PRUNER_ARGUMENTS.get(prune, {}))
