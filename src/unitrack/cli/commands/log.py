"""`unitrack log`: points, params and tags from inside the command of `unitrack exec`."""

from __future__ import annotations

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("log")(log_values)


def log_values(
    metrics: Annotated[
        list[str] | None, typer.Argument(metavar="NAME=VALUE", help="Metrics, such as loss=0.3.")
    ] = None,
    step: Annotated[
        int | None, typer.Option("--step", "-s", metavar="N", min=0, help="Their step. Default: the next one.")
    ] = None,
    param: Annotated[
        list[str] | None, typer.Option("--param", "-p", metavar="NAME=VALUE", help="A param of the run; repeatable.")
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option("--tag", "-t", metavar="NAME=VALUE", help="A tag of the run; repeatable.")
    ] = None,
) -> None:
    """Log to the run of the `unitrack exec` around this command: `unitrack log loss=0.3 --step 7`."""
    from unitrack.cli.arguments import pairs_of
    from unitrack.cli.execution.inside import next_step, run_of_command, value_of
    from unitrack.errors import ConfigError

    values = pairs_of(metrics or [], "metric")
    params = {name: value_of(text) for name, text in pairs_of(param or [], "--param").items()}
    tags = pairs_of(tag or [], "--tag")
    if not (values or params or tags):
        raise ConfigError("there is nothing to log: give NAME=VALUE, --param or --tag")
    points = {name: _number(name, text) for name, text in values.items()}
    with run_of_command() as run:
        if params:
            run.log_params(params)
        if tags:
            run.set_tags(tags)
        if points:
            run.log_metrics(points, step=next_step(run.path, step))


def _number(name: str, text: str) -> float:
    from unitrack.errors import ConfigError

    try:
        return float(text)
    except ValueError:
        why = "give a text with --param or --tag"
        raise ConfigError(f"metric {name!r} must be a number, got {text!r}: {why}") from None
