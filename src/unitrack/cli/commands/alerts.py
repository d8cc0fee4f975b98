"""`unitrack alerts`: what rules would have found in a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from unitrack.cli.parameters import AS_JSON, FROM, STORED_RUN

if TYPE_CHECKING:
    from unitrack.alerts.evaluation import Firing
    from unitrack.alerts.rules import Rule


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("alerts")(replay_alerts)


def replay_alerts(
    run: STORED_RUN,
    location: FROM = None,
    rule: Annotated[
        list[str] | None,
        typer.Option("--rule", metavar="NAME=CONDITION", help="A rule to try, instead of the run's own; repeatable."),
    ] = None,
    as_json: AS_JSON = False,
) -> None:
    """Replay alert rules over a run of any backend: when would each have been raised, and why?

    Without --rule, the rules that are configured here; without any, those that the run was logged with.
    """
    from unitrack.alerts.evaluation import replay
    from unitrack.manager.choosing import choose_run
    from unitrack.names import nearest
    from unitrack.terminal.console import print_json, visible

    stored = choose_run(run, location)
    rules = _rules(rule or [], stored.tags)
    found = list(replay(stored.records(), rules))
    if as_json:
        print_json({"rules": {one.name: one.when for one in rules}, "alerts": found})
        return
    for one in found:
        typer.echo(visible(f"{_at(one)}  {one.rule}  {one.text}"))
    known = stored.summary.keys()
    for name in sorted({metric for one in rules for metric in one.metrics} - known):
        meant = nearest(name, known)
        hint = f": did you mean {meant!r}?" if meant else ""
        typer.echo(visible(f"the run has no metric {name!r}{hint}"), err=True)
    silent = [one.name for one in rules if one.name not in {firing.rule for firing in found}]
    if silent:
        typer.echo(visible(f"never raised: {', '.join(silent)}"))


def _rules(given: list[str], tags: Mapping[str, str]) -> list[Rule]:
    from unitrack.alerts.rules import Rule, rules_of
    from unitrack.config import resolve
    from unitrack.errors import ConfigError

    pairs = dict(resolve().settings.alerts.rules)
    if given:
        pairs = {}
        for text in given:
            name, equals, when = text.partition("=")
            if not (equals and name.strip()):
                raise ConfigError(f"--rule {text!r} is not NAME=CONDITION, such as diverged='loss > 10'")
            pairs[name.strip()] = when
    rules = [Rule.parse(name, when) for name, when in pairs.items()] or rules_of(tags)
    if not rules:
        raise ConfigError("there is no rule: give --rule NAME=CONDITION, or configure alerts.rules")
    return rules


def _at(firing: Firing) -> str:
    from unitrack.reading.table import as_local_time

    step = "" if firing.step is None else f"  step {firing.step}"
    return f"{as_local_time(firing.time)}{step}"
