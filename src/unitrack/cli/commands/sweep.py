"""`unitrack sweep`: many runs of one program with different params, by W&B's sweep YAML or by options."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from unitrack.cli import completion
from unitrack.cli.parameters import AS_JSON

if TYPE_CHECKING:
    from unitrack.sweeps.definition import Definition
    from unitrack.sweeps.program_sweep import AgentOptions, ProgramSweep

_INTERRUPTED = 130
"""The exit code of a shell for a program that Ctrl-C has ended."""

_SPACE = "NAME=VALUES"
WORKERS = Annotated[
    int, typer.Option("--workers", "-w", metavar="N", min=1, max=1000, help="Trials at a time in this process.")
]
STORAGE = Annotated[
    str | None,
    typer.Option(
        "--storage",
        metavar="URL",
        help="A database, for agents on several machines: postgresql://host/name. Default: a file below the root.",
    ),
]
SINKS = Annotated[
    list[str] | None,
    typer.Option(
        "--sink",
        metavar="NAME",
        help="A sink or backend of the runs; repeatable. Default: the configured ones.",
        autocompletion=completion.sinks,
    ),
]
SEED = Annotated[int | None, typer.Option("--seed", metavar="N", min=0, help="Of what is drawn.")]
SWEEP = Annotated[str, typer.Argument(metavar="NAME", help="The sweep's name.", autocompletion=completion.sweeps)]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        no_args_is_help=True,
        help="Run a program many times with different params. `unitrack sweep FILE` takes W&B's sweep YAML, `unitrack"
        " sweep --grid NAME=VALUES -- COMMAND` any program: both are `unitrack sweep run`, whose help has all options.",
    )
    group.command("run")(run)
    group.command("join")(join)
    group.command("show")(show_sweep)
    group.command("list")(list_sweeps)
    app.add_typer(group, name="sweep")


def run(
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE|COMMAND",
            help="W&B's sweep YAML; or, after `--`, the command, with the names of params in braces.",
        ),
    ],
    grid: Annotated[
        list[str] | None,
        typer.Option("--grid", metavar=_SPACE, help="A param to take all combinations of: lr=0.1,0.01; repeatable."),
    ] = None,
    random: Annotated[
        list[str] | None,
        typer.Option(
            "--random",
            metavar=_SPACE,
            help="A param to draw: a choice (adam,sgd), LOW..HIGH, LOW..HIGH:log, LOW..HIGH:STEP; repeatable.",
        ),
    ] = None,
    bayes: Annotated[
        list[str] | None,
        typer.Option("--bayes", metavar=_SPACE, help="The same, but learning from the trials before; repeatable."),
    ] = None,
    metric: Annotated[
        str | None, typer.Option("--metric", "-m", metavar="NAME", help="The metric to optimize, such as val/loss.")
    ] = None,
    mode: Annotated[
        str | None, typer.Option("--mode", metavar="min|max", help="Which value is best. Default: min.")
    ] = None,
    trials: Annotated[
        int | None, typer.Option("--trials", "-n", metavar="N", min=1, help="The number of trials, of all agents.")
    ] = None,
    workers: WORKERS = 1,
    name: Annotated[
        str | None,
        typer.Option(
            "--name",
            metavar="NAME",
            help="The sweep's name, by which it goes on. Default: the one in the file, the file's, else two words.",
        ),
    ] = None,
    project: Annotated[str | None, typer.Option("--project", metavar="NAME", help="The runs' project.")] = None,
    sinks: SINKS = None,
    timeout: Annotated[
        float | None,
        typer.Option("--trial-timeout", metavar="SECONDS", min=0.001, help="After which a trial is ended as failed."),
    ] = None,
    seed: SEED = None,
    storage: STORAGE = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan; start nothing.")] = False,
    as_json: AS_JSON = False,
) -> None:
    """Run a sweep, or go on with the one of this name: each trial is a run, whose params are in the command.

    A trial's program logs by `unitrack.start_run` or `unitrack log`. It fails by its exit code; the sweep goes on.
    Ctrl-C ends the trials that run; the same command goes on afterwards, and `unitrack sweep join NAME` helps, here or
    on another machine.
    """
    from unitrack.sweeps.place import new_sweep_name
    from unitrack.sweeps.program_sweep import ProgramSweep

    spaces = {"grid": grid or [], "random": random or [], "bayes": bayes or []}
    definition = _definition(arguments, spaces, metric, mode, trials, project)
    chosen = name or definition.name or (None if any(spaces.values()) else Path(arguments[0]).stem)
    chosen = chosen or new_sweep_name()
    agent = _agent(workers, seed, storage, sinks)
    if dry_run:
        _show_plan(definition, chosen)
        return
    _conduct(ProgramSweep.begin(definition, chosen, agent, timeout), as_json=as_json)


def join(
    name: SWEEP,
    workers: WORKERS = 1,
    sinks: SINKS = None,
    seed: SEED = None,
    storage: STORAGE = None,
    as_json: AS_JSON = False,
) -> None:
    """Take part in a sweep: take trials that no other agent has, until there are enough."""
    from unitrack.sweeps.program_sweep import ProgramSweep

    _conduct(ProgramSweep.join(name, _agent(workers, seed, storage, sinks)), as_json=as_json)


def show_sweep(name: SWEEP, storage: STORAGE = None, as_json: AS_JSON = False) -> None:
    """Show the trials of a sweep, the best first."""
    from unitrack.cli.sweep_view import print_sweep
    from unitrack.sweeps.stored_sweeps import read_sweep

    print_sweep(read_sweep(name, storage), as_json=as_json)


def list_sweeps(storage: STORAGE = None, as_json: AS_JSON = False) -> None:
    """List the sweeps below the root, or in a database, with their best trials."""
    from unitrack.cli.sweep_view import print_sweeps
    from unitrack.sweeps.stored_sweeps import read_sweeps

    print_sweeps(read_sweeps(storage), as_json=as_json)


def _definition(
    arguments: Sequence[str],
    spaces: dict[str, list[str]],
    metric: str | None,
    mode: str | None,
    trials: int | None,
    project: str | None,
) -> Definition:
    """Return the sweep that the arguments define. Raises `ConfigError` for those that contradict each other."""
    import msgspec

    from unitrack.errors import ConfigError
    from unitrack.sweeps.definition import Metric
    from unitrack.sweeps.wandb_yaml import read_sweep_file

    if mode not in (None, "min", "max"):
        raise ConfigError(f"--mode must be min or max, got {mode!r}")
    given = [method for method, parameters in spaces.items() if parameters]
    if len(given) > 1:
        raise ConfigError(f"--{given[0]} and --{given[1]}: a sweep has one method; give all params by one of them")
    if given:
        definition = _of_options(arguments, given[0], spaces[given[0]])
    elif meant := _meant_command(arguments[0]):
        raise ConfigError(f"there is no file {arguments[0]!r}; did you mean `unitrack sweep {meant}`?")
    elif len(arguments) > 1:
        raise ConfigError(
            f"expected one file, got {' '.join(arguments)!r}: for a command, say what varies: --grid lr=0.1,0.01 -- ..."
        )
    else:
        definition = read_sweep_file(Path(arguments[0]))
    changed: dict[str, Any] = {}
    if metric or mode:
        before = definition.metric
        wanted = metric or (before.name if before else None)
        if wanted is None:
            raise ConfigError("--mode needs --metric: the name of the metric")
        goal = {"min": "minimize", "max": "maximize", None: before.goal if before else "minimize"}[mode]
        changed["metric"] = Metric(name=wanted, goal=goal, target=before.target if before else None)
    if trials is not None:
        changed["run_cap"] = trials
    if project is not None:
        changed["project"] = project
    definition = msgspec.structs.replace(definition, **changed)
    if definition.method == "bayes" and definition.metric is None:
        raise ConfigError("--bayes needs --metric: the name of the metric that it learns from")
    return definition


def _of_options(arguments: Sequence[str], method: Any, parameters: Sequence[str]) -> Definition:
    from unitrack.sweeps.commands import check_places, unplaced
    from unitrack.sweeps.definition import Definition
    from unitrack.sweeps.space_arguments import read_parameters

    read = read_parameters(parameters, method)
    names = [one.name for one in read]
    check_places(arguments, names)
    notes = [
        f"{one} is nowhere in the command as {{{one}}}: the program must read it from run.config"
        for one in unplaced(arguments, names)
    ]
    return Definition(method=method, parameters=read, command=tuple(arguments), has_macros=False, notes=tuple(notes))


def _meant_command(argument: str) -> str | None:
    """Return the command below `unitrack sweep` that was probably meant by what is no file."""
    from unitrack.names import nearest

    return None if Path(argument).exists() else nearest(argument, ("join", "show", "list", "run"))


def _agent(workers: int, seed: int | None, storage: str | None, sinks: list[str] | None) -> AgentOptions:
    from unitrack.sweeps.program_sweep import AgentOptions

    return AgentOptions(workers=workers, seed=seed, storage=storage, sinks=tuple(sinks or ()))


def _show_plan(definition: Definition, name: str) -> None:
    from unitrack.cli.sweep_view import print_plan
    from unitrack.sweeps.program_sweep import check_size

    check_size(definition)
    print_plan(definition, name)


def _conduct(sweep: ProgramSweep, *, as_json: bool) -> None:
    """Run the trials of a sweep that this agent takes, and print what came out."""
    from unitrack.cli.sweep_view import announce, print_sweep
    from unitrack.errors import SweepError
    from unitrack.sweeps.overview import Overview
    from unitrack.sweeps.progress import make_progress
    from unitrack.sweeps.stored_sweeps import StoredSweep

    announce(sweep)
    overview = Overview(sweep.name, sweep.metric, sweep.mode, sweep.size, sweep.results)
    try:
        with make_progress(overview, is_transient=True) as progress:
            sweep.run(progress.show)
    except KeyboardInterrupt:
        typer.echo(f"stopped: `unitrack sweep join {sweep.name}` goes on", err=True)
        raise typer.Exit(_INTERRUPTED) from None
    except SweepError:
        print_sweep(StoredSweep.of(sweep), as_json=as_json)
        raise
    print_sweep(StoredSweep.of(sweep), as_json=as_json)
