"""The result of a sweep: its trials as a sequence, a table, the best one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, overload

from unitrack.errors import MissingPackageError, SweepError
from unitrack.reading import Runs, runs
from unitrack.reading.frames.column import Column, column_of
from unitrack.reading.frames.table import Table
from unitrack.records import PARENT, flatten
from unitrack.sweeps.engine import load_optuna, quiet_optuna
from unitrack.sweeps.outcome import TrialResult, ranked
from unitrack.values.plain import to_plain


class SweepResult(Sequence[TrialResult]):
    """The trials of a sweep, in the order in which they began. It prints as a table, the best trial first."""

    def __init__(
        self,
        name: str,
        metric: str,
        mode: Literal["min", "max"],
        trials: Sequence[TrialResult],
        *,
        run_id: str = "",
        root: str | Path = "",
        study: Any = None,
    ) -> None:
        self.name = name
        """The name under which the sweep goes on."""
        self.metric = metric
        """The metric that it optimizes."""
        self.mode: Literal["min", "max"] = mode
        """Whether a small value is good, or a large one."""
        self.run_id = run_id
        """The id of the parent run."""
        self.study = study
        """Optuna's study, for its plots and everything else that Optuna can do with it."""
        self._root = Path(root)
        self._trials = tuple(trials)

    @overload
    def __getitem__(self, index: int) -> TrialResult: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[TrialResult]: ...
    def __getitem__(self, index: int | slice) -> TrialResult | Sequence[TrialResult]:
        return self._trials[index]

    def __len__(self) -> int:
        return len(self._trials)

    # -- the best -----------------------------------------------------------------------------------------------------

    @property
    def ranked(self) -> list[TrialResult]:
        """The trials that finished, the best first."""
        return ranked(self._trials, self.mode)

    @property
    def best(self) -> TrialResult:
        """The best trial. Raises `SweepError` if none has finished."""
        if not (finished := self.ranked):
            raise SweepError(f"sweep {self.name!r} has no trial that finished")
        return finished[0]

    @property
    def failed(self) -> list[TrialResult]:
        """The trials that failed."""
        return [one for one in self._trials if one.status == "failed"]

    def importances(self, evaluator: Any = None) -> dict[str, float]:
        """Return how much each param matters for the metric, the most important first; in total they are 1.

        `evaluator`: one of `optuna.importance`; by default Optuna's own choice (PED-ANOVA in Optuna 5). fANOVA
        (`FanovaImportanceEvaluator()`) needs scikit-learn. Raises `SweepError` if too few trials have finished, or none
        differs from the others, `MissingPackageError` if the evaluator needs a package.
        """
        if len(self.ranked) < 2:
            raise SweepError(f"sweep {self.name!r} tells no importances: fewer than two trials have finished")
        optuna = load_optuna()
        try:
            with quiet_optuna():
                found = optuna.importance.get_param_importances(self.study, evaluator=evaluator)
        except ImportError as error:
            raise MissingPackageError(f"importances: {error}") from None
        except (ValueError, RuntimeError) as error:
            raise SweepError(f"sweep {self.name!r} tells no importances: {error}") from error
        return dict(found)

    # -- runs and tables ----------------------------------------------------------------------------------------------

    @property
    def runs(self) -> Runs:
        """The runs of the trials, as the local files below the root have them: curves, params, artifacts."""
        return runs(str(self._root), filter=f"tags.{PARENT} == {self.run_id!r}")

    def table(self) -> Table:
        """Return the trials as a table, the best first: it has `to_pandas()`, `to_polars()` and Arrow's stream."""
        first = self.ranked
        is_ranked = {one.number for one in first}
        rows = first + [one for one in self._trials if one.number not in is_ranked]
        params = [flatten(_plain(one.params)) for one in rows]
        columns = {
            "number": Column("int", [one.number for one in rows]),
            "status": Column("text", [one.status for one in rows]),
            self.metric: Column("float", [one.value for one in rows]),
        }
        for prefix, values in (("params.", params), ("metrics.", [one.metrics for one in rows])):
            for name in dict.fromkeys(name for one in values for name in one):
                if prefix == "params." or name != self.metric:
                    columns[prefix + name] = column_of([one.get(name) for one in values])
        columns["seconds"] = Column("float", [round(one.seconds, 3) for one in rows])
        columns["run_id"] = Column("text", [one.run_id for one in rows])
        if self.failed:
            columns["error"] = Column("text", [one.error or None for one in rows])
        return Table(columns, f"sweep {self.name}, {self.mode} of {self.metric}")

    def to_pandas(self) -> Any:
        """Return the trials as a `pandas.DataFrame`, the best first. Raises `MissingPackageError` without pandas."""
        return self.table().to_pandas()

    def __repr__(self) -> str:
        return repr(self.table())

    def _repr_html_(self) -> str:
        return self.table()._repr_html_()  # notebooks call it, and this is one's own


def _plain(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return params of any types as texts and numbers."""
    plain: dict[str, Any] = to_plain(params)
    return plain
