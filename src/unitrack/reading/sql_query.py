"""SQL over the runs of any locations, by DuckDB in memory."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from unitrack.errors import MissingPackageError, QueryError
from unitrack.hookspecs import decode, install_command
from unitrack.reading.frames import Table, column_of, points_table, runs_table
from unitrack.reading.frames.details import metrics_table, params_table, tags_table
from unitrack.reading.listing import Runs, runs
from unitrack.reading.stored_run import StoredRun
from unitrack.system.installation import CORE
from unitrack.validation.arguments import as_text

_LOCKED = {"enable_external_access": "false", "lock_configuration": "true"}
_PLACE = re.compile(r"^LINE \d+: (?P<line>.*)\n(?P<blanks> *)\^", re.MULTILINE)
"""Where DuckDB marks the place of an error."""


def sql(
    query: str, *locations: str | Path | Sequence[StoredRun], metrics: str | Collection[str] | None = None
) -> Table:
    """Return the result of a query, in DuckDB's SQL, over the runs of some locations, or of the configured root.

    A location is one that `unitrack.runs` takes, or the runs that it returned. The tables:

    - `runs`: run_id, name, project, status, started, ended, location, and a column for each "params.NAME",
      "metrics.NAME" and "tags.NAME".
      Names that differ in case alone are in the other tables only, as SQL does not tell them apart.
    - `params` and `tags`: run_id, location, name, value as text; `params` also has `number`.
    - `metrics`: run_id, location, metric, last, last_step, first, min, max, mean, points, step_of_min, step_of_max.
    - `points`: run_id, run_name, location, metric, step, value, time; one row a point. `metrics=["loss", "val/*"]`
      reads these metrics alone.

    Only the tables that the query names are read. Times are in UTC, without a timezone. The query can reach neither
    files nor the network. Raises `QueryError` for bad SQL, `MissingPackageError` without the extra `[sql]`, and as
    `unitrack.runs` does.
    """
    duckdb = _need_duckdb()
    query = as_text(query, "the query")
    with duckdb.connect(":memory:", config=_LOCKED) as connection:
        try:
            for name, table in _tables(_named_in(query, connection), locations, metrics).items():
                connection.register(name, table.for_sql())
            result = connection.execute(query)
            names = [column[0] for column in result.description or ()]
            rows = result.fetchall() if names else []
        except duckdb.Error as error:
            raise _explained(str(error), query) from None
    return Table({name: column_of(column) for name, column in zip(_distinct(names), _turned(rows, names), strict=True)})


def _need_duckdb() -> Any:
    try:
        import duckdb  # noqa: PLC0415  # optional
        import nanoarrow  # noqa: F401, PLC0415  # optional: DuckDB reads the tables through it
    except ImportError as error:
        command = install_command(f"{CORE}[sql]")
        raise MissingPackageError(f"SQL needs the package {error.name!r}: run `{command}`") from None
    return duckdb


def _named_in(query: str, connection: Any) -> set[str]:
    """Return the tables that a query names, in lower case, as DuckDB parses it. Raises `QueryError`."""
    [[parsed]] = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [query]).fetchall()
    tree = decode(parsed, dict[str, Any])
    if tree["error"]:
        problem = tree["error_message"].replace(" can be serialized to json!", " are allowed")
        place = int(tree.get("position", 0))
        raise QueryError(f"bad SQL: {problem}", query, place, place + 1)
    if not tree["statements"]:
        raise QueryError("bad SQL: there is no query", query, 0, 1)
    return {name.lower() for name in _base_tables(tree)}


def _base_tables(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        if node.get("type") == "BASE_TABLE":
            yield node["table_name"]
        node = list(node.values())
    if isinstance(node, list):
        for part in node:
            yield from _base_tables(part)


def _tables(
    named: Collection[str],
    locations: Sequence[str | Path | Sequence[StoredRun]],
    metrics: str | Collection[str] | None,
) -> Mapping[str, Table]:
    make: dict[str, Callable[[list[StoredRun]], Table]] = {
        "runs": runs_table,
        "params": params_table,
        "tags": tags_table,
        "metrics": metrics_table,
        "points": lambda found: points_table(found, metrics),
    }
    wanted = make.keys() & named
    found: list[StoredRun] = []
    for location in (locations or (None,)) if wanted else ():
        some = runs(location) if location is None or isinstance(location, (str, Path)) else location
        found += some.read_summaries() if isinstance(some, Runs) and wanted != {"points"} else some
    return {name: make[name](found) for name in wanted}


def _turned(rows: list[tuple[Any, ...]], names: list[str]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in names]


def _distinct(names: list[str]) -> list[str]:
    """Return names of which none is there twice, as in `SELECT *` of a join: the second is called "name_1"."""
    found: list[str] = []
    for name in names:
        number, free = 0, name
        while free in found:
            number += 1
            free = f"{name}_{number}"
        found.append(free)
    return found


def _explained(message: str, query: str) -> QueryError:
    """Return the error of DuckDB with the mark in the query itself, which DuckDB shows in part."""
    problem = " ".join(message.partition("\nLINE ")[0].split())
    if "Table with name" in problem:
        problem = f"{problem.partition(' Did you mean')[0]} There are runs, params, metrics, tags and points."
    start, end = 0, len(query)
    if mark := _PLACE.search(message):
        line = mark["line"]
        column = len(mark["blanks"]) - len("LINE 1: ")
        shown = line.removeprefix("...").removesuffix("...")
        found = query.find(shown)
        if found >= 0 and column >= 0:
            start = found + column - (len(line) - len(line.removeprefix("...")))
            end = start + 1
    return QueryError(f"bad SQL: {problem}", query, start, end)
