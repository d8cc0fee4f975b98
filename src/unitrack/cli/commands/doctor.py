"""`unitrack doctor`: whether each configured backend can be used from here, and what to mend."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from unitrack.cli import completion
from unitrack.cli.parameters import AS_JSON

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rich.table import Table

    from unitrack.cli.doctor.check_process import CheckOrder
    from unitrack.config import Resolved, SinkSettings
    from unitrack.hookspecs import Backend, Finding

_TIMEOUT_S = 30.0
"""Importing mlflow costs 5 to 8 s; two SDKs at once on a small machine may take twice that."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor")(check_backends)


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """One finding, and the sink that it is about."""

    sink: str
    """The name of a sink; "unitrack" for what concerns all."""
    ok: bool
    subject: str
    message: str


def check_backends(
    sinks: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SINK",
            help="Sinks configured here, or backends. Default: all configured.",
            autocompletion=completion.sinks,
        ),
    ] = None,
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", min=0.1, help="What one backend's check may take.")
    ] = _TIMEOUT_S,
    as_json: AS_JSON = False,
) -> None:
    """Check each configured backend for real: package, options, reachability, credentials. Exit code 1 if any fails."""
    from unitrack.cli import FAILED
    from unitrack.cli.arguments import choose_sink, configured
    from unitrack.errors import ConfigError
    from unitrack.terminal.console import make_console, print_json

    try:
        resolved = configured()
    except ConfigError as error:
        checked = [Checked(sink="unitrack", ok=False, subject="configuration", message=str(error))]
    else:
        chosen = [choose_sink(resolved, name) for name in sinks or []] or list(resolved.settings.sinks)
        checked = list(_check_all(resolved, chosen, timeout))
    failed = [finding for finding in checked if not finding.ok]
    if as_json:
        print_json(checked)
    else:
        console = make_console()
        console.print(_table(checked))
        console.print(f"\n{len(failed)} of {len(checked)} checks failed" if failed else "\nall is well")
    if failed:
        raise typer.Exit(FAILED)


def _check_all(resolved: Resolved, sinks: list[SinkSettings], timeout: float) -> Iterator[Checked]:
    from concurrent.futures import ThreadPoolExecutor

    from unitrack.capture.checking import check_sdks
    from unitrack.cli.doctor.check_runs import runs_here
    from unitrack.cli.doctor.own_checks import check_courier, check_root
    from unitrack.cli.doctor.version_bounds import check_namesake, check_versions

    tracking = resolved.settings.tracking
    with ThreadPoolExecutor(max_workers=len(sinks) + 1) as threads:
        courier = threads.submit(check_courier, timeout, tracking.courier_nice)
        waiting = [(sink, threads.submit(_check_sink, sink, resolved.origins, timeout)) for sink in sinks]
        own = (
            check_root(tracking.root),
            *runs_here(resolved),
            *check_namesake(),
            *check_versions(),
            *check_sdks(),
            courier.result(),
        )
        yield from (_of("unitrack", finding) for finding in own)
        for sink, findings in waiting:
            yield from (_of(sink.name, finding) for finding in findings.result())


def _of(name: str, finding: Finding) -> Checked:
    return Checked(sink=name, ok=finding.ok, subject=finding.subject, message=finding.message)


def _check_sink(sink: SinkSettings, origins: Mapping[str, str], timeout: float) -> list[Finding]:
    from unitrack.cli.doctor.check_process import run_check
    from unitrack.errors import ConfigError
    from unitrack.hookspecs import Finding
    from unitrack.plugins.options import convert_options
    from unitrack.plugins.registry import installed

    plugins = installed()
    try:
        backend = plugins.sink_backend(sink.backend)
    except ConfigError as error:
        return [Finding(ok=False, subject="plugin", message=str(error))]
    found = next(plugin for plugin in plugins.plugins if sink.backend in plugin.backends)
    findings = [Finding(ok=True, subject="plugin", message=f"{found.distribution} {found.version}")]
    try:
        options = convert_options(backend, sink.options, sink.name)
    except ConfigError as error:
        return [*findings, Finding(ok=False, subject="options", message=str(error))]
    findings.append(Finding(ok=True, subject="options", message=_origins_of_options(sink, origins)))
    if options.is_disabled():
        return [*findings, Finding(ok=True, subject="mode", message="disabled: runs go on without this sink")]
    if backend.check is None:
        return findings
    return findings + run_check(_order(backend, backend.check, options), timeout)


def _origins_of_options(sink: SinkSettings, origins: Mapping[str, str]) -> str:
    """Return where each option comes from: it explains why data goes where it does."""
    named = [f"{option} from {origins.get(f'tracking.sinks.{sink.name}.{option}', '?')}" for option in sink.options]
    return "; ".join(["valid", *named])


def _order(backend: Backend, check: str, options: msgspec.Struct) -> CheckOrder:
    import sys

    from unitrack.cli.doctor.check_process import CheckOrder

    return CheckOrder(
        check=check,
        options_type=f"{backend.options.__module__}:{backend.options.__qualname__}",
        options=msgspec.to_builtins(options),
        sys_path=[path for path in sys.path if path],
    )


def _table(checked: list[Checked]) -> Table:
    from unitrack.terminal.console import cell, make_table

    table = make_table("", "sink", "checked", "found")
    before = ""
    for one in checked:
        mark = cell("ok", "green") if one.ok else cell("fail", "bold red")
        table.add_row(mark, cell("" if one.sink == before else one.sink), cell(one.subject), cell(one.message))
        before = one.sink
    return table
