"""The frameworks that have an integration: the table of them, and the error for one that is not installed.

`python -m unitrack.integrations.frameworks docs/how-to/integrations.md` renews the table there.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import msgspec

from unitrack.errors import MissingPackageError


class Framework(msgspec.Struct, frozen=True):
    """One framework, and its integration."""

    title: str
    """What its authors call it."""
    requirement: str
    """What pip installs, with the lowest version that works."""
    names: tuple[str, ...]
    """The public names of the integration."""
    tested: str
    """The versions that its tests have passed with."""

    @property
    def install(self) -> str:
        """The command that installs it."""
        quoted = " ".join(f"'{one}'" if re.search("[<>[]", one) else one for one in self.requirement.split())
        return f"pip install {quoted}"


FRAMEWORKS = {
    "transformers": Framework(
        "Transformers, TRL", "transformers[torch]>=5", ("UnitrackCallback",), "5.0.0, 5.24.0; TRL 1.16.0"
    ),
    "sklearn": Framework("scikit-learn", "scikit-learn>=1.9", ("UnitrackCallback",), "1.9.1"),
    "lightning": Framework("Lightning", "lightning>=2.5", ("UnitrackLogger",), "2.5.0, 2.6.6"),
    "accelerate": Framework("Accelerate", "accelerate>=1.15", ("UnitrackTracker",), "1.15.0"),
    "stable_baselines3": Framework(
        "Stable-Baselines3", "stable-baselines3>=2.7", ("UnitrackCallback", "UnitrackWriter"), "2.7.0, 2.9.2"
    ),
    "ignite": Framework("PyTorch Ignite", "pytorch-ignite>=0.5.2", ("UnitrackLogger", "UnitrackSaver"), "0.5.2, 0.5.5"),
    "fastai": Framework("fastai", "fastai>=2.8.12", ("UnitrackCallback",), "2.8.12"),
    "xgboost": Framework("XGBoost", "xgboost>=2.1", ("UnitrackCallback",), "2.1.4, 3.2.0"),
    "lightgbm": Framework("LightGBM", "lightgbm>=4.7", ("UnitrackCallback",), "4.7.0"),
    "keras": Framework("Keras", "keras>=3.8", ("UnitrackCallback",), "3.8.0, 3.15.1, on JAX"),
    "optuna": Framework("Optuna", "optuna>=4.6", ("UnitrackCallback",), "4.6.0, 5.0.0"),
    "hydra": Framework("Hydra", "hydra-core>=1.3.2", ("UnitrackCallback",), "1.3.2, 1.3.8"),
    "ray": Framework(
        "Ray Tune, Ray Train", "ray[train,tune]>=2.60", ("UnitrackTuneCallback", "UnitrackTrainCallback"), "2.60.0"
    ),
}
"""By the name of its module in `unitrack.integrations`."""


def missing(module: str, error: ImportError) -> ImportError:
    """Return the error for a framework that can't be imported; `error` itself if a package that it needs is missing.

    `module`: the integration's, `__name__`.
    """
    name = module.rpartition(".")[2]
    framework = FRAMEWORKS[name]
    if error.name and error.name.partition(".")[0] != name:
        return error
    return MissingPackageError(f"{module} needs {framework.title}: {framework.install} ({error})")


def table() -> str:
    """Return a Markdown table of the frameworks, in the order of `FRAMEWORKS`."""
    rows = ["| framework | install | in `unitrack.integrations` | tested with |", "|---|---|---|---|"]
    for module, framework in FRAMEWORKS.items():
        names = ", ".join(f"`{name}`" for name in framework.names)
        rows.append(f"| {framework.title} | `{framework.install}` | `{module}`: {names} | {framework.tested} |")
    return "\n".join(rows)


def with_table(page: str) -> str:
    """Return a Markdown page with a new table below its marker `<!-- frameworks -->`."""
    return re.sub(r"(<!-- frameworks -->\n)(?:\|.*\n)*", lambda marker: f"{marker[1]}{table()}\n", page)


if __name__ == "__main__":
    file = Path(sys.argv[1])
    file.write_text(with_table(file.read_text(encoding="utf-8")), encoding="utf-8")
