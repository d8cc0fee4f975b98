"""W&B's sweep YAML, as it is: the whole file is checked at once, and each problem names its key and line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from unitrack.config.files import read_file
from unitrack.config.layers import Layer
from unitrack.errors import ConfigError
from unitrack.sweeps.commands import DEFAULT_COMMAND, macro_problem
from unitrack.sweeps.definition import Definition, EarlyTermination, Method, Metric
from unitrack.sweeps.wandb_keys import Keys, Problems
from unitrack.sweeps.wandb_parameters import read_parameters

_METHODS = ("grid", "random", "bayes")
_GOALS = ("minimize", "maximize")
_KEYS = (
    "program", "method", "metric", "parameters", "early_terminate", "run_cap", "command", "name", "description",
    "project", "entity", "controller", "imports", "apiVersion", "kind", "settings",
)  # fmt: skip
_ELSEWHERE = {
    "job": "it starts a job of W&B Launch: name a `program` or a `command`",
    "image_uri": "it starts a job of W&B Launch: name a `program` or a `command`, such as one of `docker run`",
    "scheduler": "it configures W&B's own schedulers: choose a `method`",
    "metrics": "a sweep has one objective: choose one as `metric`",
}
"""Keys of W&B that a sweep of unitrack can't follow, and why."""

_MAX_BANDS = 100


def read_sweep_file(path: Path) -> Definition:
    """Return the sweep that a YAML file of W&B defines.

    Raises `ConfigError` with a line for each problem: unknown keys, wrong values, what a sweep here can't do.
    """
    if path.suffix.lower() not in (".yaml", ".yml", ".json"):
        raise ConfigError(f"{path}: expected a sweep as YAML (.yaml or .yml); a program goes after `--`")
    return read_sweep(read_file(path, aliases=True))


def read_sweep(layer: Layer) -> Definition:
    """Return the sweep that the content of a file defines; see `read_sweep_file`."""
    problems = Problems(layer)
    keys = Keys(layer.values, (), problems, _KEYS, _ELSEWHERE)
    method = cast("Method", keys.choice("method", _METHODS, required=True) or "grid")
    if layer.values.get("method") == "custom":
        problems.replace(("method",), "the method custom runs W&B's own schedulers: choose grid, random or bayes")
    metric = _metric(keys)
    notes = list(_notes(layer.values))
    parameters = read_parameters(layer.values.get("parameters"), method, problems, notes)
    stopping = _early_terminate(keys)
    if metric is None and "metric" not in layer.values:
        for key, needs in (("method", method == "bayes"), ("early_terminate", stopping is not None)):
            if needs:
                problems.add((key,), "needs a metric: add `metric: {name: loss, goal: minimize}`")
    program = keys.text("program")
    command = _command(keys, program, problems)
    run_cap = keys.integer("run_cap", least=1)
    name, description, project = (keys.text(key) for key in ("name", "description", "project"))
    problems.raise_any()
    return Definition(
        method=method,
        parameters=parameters,
        command=command,
        program=program,
        metric=metric,
        early_terminate=stopping,
        run_cap=run_cap,
        name=name,
        project=project,
        description=description,
        notes=tuple(notes),
    )


def _metric(keys: Keys) -> Metric | None:
    given = keys.mapping("metric", ("name", "goal", "target", "impute", "impute_while_running"))
    if given is None:
        return None
    name = given.text("name", required=True)
    goal = given.choice("goal", _GOALS) or "minimize"
    target = given.number("target")
    return Metric(name=name or "", goal=cast("Any", goal), target=target)


def _early_terminate(keys: Keys) -> EarlyTermination | None:
    given = keys.mapping("early_terminate", ("type", "min_iter", "max_iter", "s", "eta", "strict"))
    if given is None:
        return None
    given.choice("type", ("hyperband",), required=True)
    eta = given.number("eta")
    eta = 3.0 if eta is None else eta
    if eta <= 1:
        given.problem("eta", f"expected a number above 1, got {eta:g}")
        return None
    strict = given.boolean("strict") or False
    least, most = given.integer("min_iter", least=1), given.integer("max_iter", least=1)
    count = given.integer("s", least=1)
    if most is None and least is None:
        if "min_iter" not in given.values and "max_iter" not in given.values:
            given.problem(None, "give min_iter, or max_iter and s: when trials are judged")
        return None
    if most is not None and count is None:
        if "s" not in given.values:
            given.problem("max_iter", "needs `s`, the number of times that trials are judged before")
        return None
    bands = _bands_below(most, count, eta) if most is not None and count is not None else _bands_from(least or 1, eta)
    if not bands:
        given.problem("max_iter", f"divided by eta ({eta:g}) it is below 1: no trial would ever be judged")
    return EarlyTermination(bands=bands, eta=eta, strict=strict)


def _bands_below(most: int, count: int, eta: float) -> tuple[int, ...]:
    """Return `most` divided by eta, by eta squared ..., at most `count` of them and none below 1; ascending."""
    band = float(most)
    bands: list[int] = []
    for _ in range(min(count, _MAX_BANDS)):
        band /= eta
        if band < 1:
            break
        bands.append(int(band))
    return tuple(sorted(bands))


def _bands_from(least: int, eta: float) -> tuple[int, ...]:
    """Return `least`, and each time eta times as much, up to numbers that no training logs."""
    band = float(least)
    bands: list[int] = []
    while len(bands) < _MAX_BANDS and band < 1e12:
        bands.append(int(band))
        band *= eta
    return tuple(bands)


def _command(keys: Keys, program: str | None, problems: Problems) -> tuple[str, ...]:
    given = keys.values.get("command")
    if given is None:
        if program is None and "program" not in keys.values:
            problems.add((), "there is no `program`, and no `command`: say what a trial runs")
        return DEFAULT_COMMAND
    if isinstance(given, str):
        problems.add(("command",), 'expected a list such as ["${env}", "python", "${program}", "${args}"], got text')
        return ()
    if not isinstance(given, list) or not given:
        problems.add(("command",), "expected a list of the command's parts")
        return ()
    parts = []
    for index, part in enumerate(given):
        if isinstance(part, dict | list) or part is None:
            problems.add(("command", index), f"expected text, got {part!r}")
            continue
        text = str(part)
        if problem := macro_problem(text):
            problems.add(("command", index), problem)
        if text == "${program}" and program is None and "program" not in keys.values:
            problems.add(("command", index), "there is no `program` in the file")
        parts.append(text)
    return tuple(parts)


def _notes(values: Mapping[str, Any]) -> Iterator[str]:
    if "entity" in values:
        yield "entity is left to the configuration: it is an option of the sink wandb"
    metric = values.get("metric")
    if isinstance(metric, dict) and metric.get("impute") in ("best", "latest"):
        yield "metric.impute is left out: trials that fail are not part of what the search learns from"
    if values.get("method") == "bayes":
        yield "bayes is Optuna's TPE here; W&B's is a Gaussian process"
    if "imports" in values or "settings" in values:
        yield "imports and settings are W&B's own, and left out"
