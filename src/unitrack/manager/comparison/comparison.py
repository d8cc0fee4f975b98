"""The comparison of several runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from unitrack.environment.snapshot import is_environment
from unitrack.manager.comparison.layout import Layout, headline, labels_of
from unitrack.manager.comparison.rows import MetricRow, Row, metric_rows, rows_of
from unitrack.reading import StoredRun

if TYPE_CHECKING:
    from rich.console import Console


class Comparison:
    """Several runs beside each other: `print(comparison)` shows a table, and a notebook does as well.

    Params and metrics are read from summaries; no history is. Artifacts are read when `artifacts` is asked for.
    """

    def __init__(self, runs: Sequence[StoredRun], baseline: int, goals: Mapping[str, str]) -> None:
        self.runs = tuple(runs)
        self.baseline = baseline
        """The index of the run that the others are compared with."""
        self._goals = goals

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The name of each run; with its id, and where need be its location, where two have the same name."""
        return labels_of(self.runs)

    @cached_property
    def params(self) -> list[Row]:
        """Params but those of the environment: the ones that differ first."""
        return rows_of([run.params for run in self.runs], lambda name: not is_environment(name))

    @cached_property
    def environment(self) -> list[Row]:
        """Python, platform, packages and the git commit, as `log_environment` logs them: what differs first."""
        return rows_of([run.params for run in self.runs], is_environment)

    @cached_property
    def tags(self) -> list[Row]:
        """Tags: the ones that differ first."""
        return rows_of([run.tags for run in self.runs])

    @cached_property
    def metrics(self) -> list[MetricRow]:
        """Metrics: the last and the best value of each run, and how it compares with the baseline."""
        return metric_rows([run.metrics for run in self.runs], self.baseline, self._goals)

    @cached_property
    def artifacts(self) -> list[Row]:
        """The SHA-256 of each file among the artifacts, those that differ first. All of them are read.

        Raises `SourceError` if one can't be read.
        """
        return rows_of([run.digests() for run in self.runs])

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as mappings and lists: what `--json` prints."""
        return {
            "runs": [
                headline(run) | {"label": label, "is_baseline": number == self.baseline}
                for number, (run, label) in enumerate(zip(self.runs, self.labels, strict=True))
            ],
            **{
                section: [{"name": row.name, "differs": row.differs, "values": list(row.values)} for row in rows]
                for section, rows in self._sections().items()
            },
            "metrics": [
                {
                    "name": row.name,
                    "direction": row.direction,
                    "last": list(row.last),
                    "best": list(row.best),
                    "delta": list(row.delta),
                    "is_better": [row.is_better(number) for number in range(len(self.runs))],
                }
                for row in self.metrics
            ],
        }

    def layout(self, *, show_all: bool = False) -> Layout:
        """Return the lines of the table; with `show_all` also those in which all runs are the same."""
        sections = {
            section: [row for row in rows if show_all or row.differs] for section, rows in self._sections().items()
        }
        hidden = sum(len(rows) for rows in self._sections().values()) - sum(map(len, sections.values()))
        return Layout(self.labels, self.baseline, sections, self.metrics, hidden)

    def print_to(self, console: Console, *, show_all: bool = False) -> None:
        """Print the tables as they fit the console."""
        self.layout(show_all=show_all).print_to(console)

    def to_markdown(self, *, show_all: bool = False) -> str:
        """Return a table in Markdown, a column for each run."""
        return self.layout(show_all=show_all).to_markdown()

    def to_csv(self, *, show_all: bool = True) -> str:
        """Return a table as CSV, a line for each run."""
        return self.layout(show_all=show_all).to_csv()

    def __str__(self) -> str:
        return self.layout().as_text()

    def __repr__(self) -> str:
        return f"<Comparison of {', '.join(self.labels)}>"

    def _repr_html_(self) -> str:
        return self.layout().to_html()

    def _sections(self) -> dict[str, list[Row]]:
        found = {"params": self.params, "tags": self.tags, "environment": self.environment}
        if "artifacts" in self.__dict__:  # read only when they were asked for
            found["artifacts"] = self.artifacts
        return found
