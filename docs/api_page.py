"""The API page: each name of `unitrack.__all__`, in groups. `python docs/api_page.py` renews docs/reference/api.md.

MkDocs loads this file as hooks too: a page that is not current, or a public name without a docstring, ends the build.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import unitrack

PAGE = Path(__file__).parent / "reference" / "api.md"

INTRODUCTION = """\
# Python API

Every public name of `unitrack`: what is on this page stays from version to version. The site shows signatures and
docstrings here; `help(unitrack.Run)` prints the same. [Hooks](hooks.md) has what plugins use.
"""

GROUPS: dict[str, tuple[str, tuple[str, ...]]] = {
    "Runs": (
        "Start a run, log to it, end it.",
        ("start_run", "Run", "DeliveryReport", "SinkReport", "Link"),
    ),
    "The current run": (
        "Functions for code that has no handle: each calls the method of its name of the current run.",
        (
            "current_run",
            "log",
            "log_metric",
            "log_metrics",
            "define_metric",
            "log_param",
            "log_params",
            "set_tags",
            "log_artifact",
            "log_artifacts",
            "use_artifact",
            "log_checkpoint",
            "log_code",
            "log_text",
            "log_dict",
            "log_figure",
            "log_image",
            "log_histogram",
            "log_table",
            "log_audio",
            "log_video",
            "log_html",
            "log_model",
            "log_graph",
            "watch",
            "unwatch",
            "log_hparams",
            "log_pr_curve",
            "log_embedding",
            "log_dataset",
            "log_environment",
            "alert",
        ),
    ),
    "Seeds": (
        "Random numbers that are the same again. [Go on with a run](../how-to/resume.md) shows checkpoints with them.",
        ("seed_everything",),
    ),
    "Media": (
        "Values that `log` takes beside numbers.",
        ("Image", "Figure", "Histogram", "Table", "Audio", "Video", "Html"),
    ),
    "Trackers": (
        "The classic interface of five methods, and its helpers.",
        (
            "ExperimentTracker",
            "Tracker",
            "LocalExperimentTracker",
            "MLflowTracker",
            "safe_log_artifact",
            "validate_metric",
            "MAX_ARTIFACT_SIZE",
        ),
    ),
    "Reading": (
        "Runs as any backend holds them. [Read runs](../how-to/read.md) shows their use.",
        ("runs", "compare_experiments", "sql", "export"),
    ),
    "Managing": (
        "What is done with stored runs. [Copy runs to another backend](../how-to/copy.md) and"
        " [Verify](../how-to/verify.md) show its use.",
        ("compare", "copy", "verify"),
    ),
    "Sweeps": (
        "Many runs that search for good params. `unitrack.sweeps` has the kinds of params.",
        ("sweep", "run_sweep"),
    ),
    "Frameworks": (
        "What frameworks report. [Log from a framework](../how-to/integrations.md) has a callback for each.",
        ("autolog",),
    ),
    "Capture": (
        "What code logs through other trackers. `unitrack.capture` is a package that can be called: the call is"
        " `start_capture`. [Capture](../how-to/capture.md) shows its use.",
        ("capture",),
    ),
    "Configuration": ("The configuration as a Python object.", ("ExperimentConfig",)),
    "Errors and warnings": (
        "Every error derives from `UnitrackError`.",
        (
            "UnitrackError",
            "ConfigError",
            "RunExistsError",
            "RunFinishedError",
            "NoActiveRunError",
            "QueryError",
            "InvalidTypeError",
            "InvalidValueError",
            "ArtifactNotFoundError",
            "JournalError",
            "MissingPackageError",
            "DeliveryError",
            "SweepError",
            "TrialPruned",
            "DeliveryWarning",
            "AlertWarning",
        ),
    ),
    "Plugins": ("The marker for hooks.", ("hookimpl",)),
}
"""Title: introduction and names, in the order of the page."""

HELPERS = {
    "Capture": ("unitrack.capture.starting.start_capture",),
    "Seeds": ("unitrack.environment.seeds.Seeds",),
    "Managing": (
        *(f"unitrack.manager.copy_report.{name}" for name in ("CopyReport", "CopiedRun", "CopyProgress")),
        "unitrack.manager.comparison.comparison.Comparison",
        "unitrack.manager.comparison.rows.Row",
        "unitrack.manager.comparison.rows.MetricRow",
        "unitrack.manager.verification.verification.Verification",
        "unitrack.manager.verification.check.Check",
        "unitrack.manager.verification.difference.Difference",
    ),
    "Reading": ("unitrack.reading.listing.Runs", "unitrack.reading.stored_run.StoredRun"),
    "Sweeps": (
        "unitrack.sweeps.result.SweepResult",
        "unitrack.sweeps.outcome.TrialResult",
        "unitrack.sweeps.grid_sweep.SweepRuns",
    ),
    "Errors and warnings": tuple(
        f"unitrack.errors.{name}" for name in ("SourceError", "MissingLocationError", "NotFoundError")
    ),
}
"""Classes that no public name stands for, but whose objects public functions return or raise."""


def api_page() -> str:
    """Return the page as Markdown. Raise `ValueError` if a public name is in no group, or a group has another."""
    grouped = [name for _, names in GROUPS.values() for name in names]
    if sorted(grouped) != sorted(unitrack.__all__):
        odd = set(grouped) ^ set(unitrack.__all__)
        raise ValueError(f"either in `unitrack.__all__` or in a group, but not in both: {odd}")
    parts = [INTRODUCTION]
    for title, (introduction, names) in GROUPS.items():
        parts.append(f"## {title}\n\n{introduction}\n")
        methods = [name for name in names if _is_method_of_run(name)]
        if methods:
            rows = [f"| [`unitrack.{name}`][unitrack.Run.{name}] | {_first_sentence(name)} |" for name in methods]
            parts.append("\n".join(["| function | does |", "|---|---|", *rows]) + "\n")
        shown = [f"unitrack.{name}" for name in names if name not in methods] + list(HELPERS.get(title, ()))
        parts += [f"::: {name}\n" for name in shown]
    return "\n".join(parts)


def _is_method_of_run(name: str) -> bool:
    """Return whether a function stands for a method of `Run`, which the page documents already."""
    method = getattr(unitrack.Run, name, None)
    return method is not None and inspect.unwrap(getattr(unitrack, name)) is method


def _first_sentence(name: str) -> str:
    text = inspect.getdoc(getattr(unitrack.Run, name)) or ""
    return " ".join(re.split(r"(?<=[.:])\s", text, maxsplit=1)[0].split()).rstrip(":")


def undocumented() -> list[str]:
    """Return the public names, and the public methods of public classes, that have no docstring."""
    missing = []
    for name in unitrack.__all__:
        value = getattr(unitrack, name)
        if not (inspect.isclass(value) or inspect.isfunction(value)):
            continue
        if not inspect.getdoc(value) or (inspect.isclass(value) and not value.__doc__):
            missing.append(name)
        if inspect.isclass(value):
            members = [(key, member) for key, member in inspect.getmembers(value, _is_documentable) if key[0] != "_"]
            missing += [f"{name}.{key}" for key, member in members if not inspect.getdoc(member)]
    return missing


def _is_documentable(member: object) -> bool:
    return inspect.isfunction(member) or isinstance(member, property)


def on_pre_build(**_: Any) -> None:
    """Refuse to build a page that says less than the package has."""
    from mkdocs.exceptions import PluginError  # noqa: PLC0415  # the tests load this file without MkDocs

    if missing := undocumented():
        raise PluginError(f"without a docstring: {', '.join(missing)}")
    if PAGE.read_text(encoding="utf-8") != api_page():
        raise PluginError(f"{PAGE.name} is not current: python docs/api_page.py")


if __name__ == "__main__":
    PAGE.write_text(api_page(), encoding="utf-8")
