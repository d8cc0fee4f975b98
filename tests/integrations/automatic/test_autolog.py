"""`unitrack.autolog()`: each framework whose packages are here."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import unitrack
from unitrack.testing import recorded
from unitrack.testing.recording import Recordings

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(60, 3)).astype("float32")
Y = (X[:, 0] > 0).astype(int)


@pytest.fixture
def runs() -> Iterator[Recordings]:
    with recorded() as runs:
        yield runs


def need(*modules: str) -> Any:
    """Return a module, or skip the test; the others have to be there as well."""
    found = [pytest.importorskip(one, reason="not in each environment", exc_type=ImportError) for one in modules]
    return found[-1]


def test_pipeline(runs: Recordings) -> None:
    """Its params are leaves; its parts are no trainings of their own."""
    need("sklearn.callback")
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    with unitrack.autolog("sklearn", name="mine"):
        pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=0.5)).fit(X, Y)
    LogisticRegression().fit(X, Y)
    [run] = runs
    assert (run.name, run.status) == ("mine", "finished")
    assert run.params["sklearn.logisticregression.C"] == 0.5
    assert run.params["sklearn.standardscaler.class"] == "StandardScaler"
    assert run.values("training_score") == [pipeline.score(X, Y)]
    assert any(name.startswith("model/model.") for name in run.files)


def test_search_in_the_current_run(runs: Recordings) -> None:
    """Also of a class that is defined later, and whose parent's `fit` is logged too."""
    need("sklearn.callback")
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV

    with unitrack.autolog("sklearn", log_models=False), unitrack.start_run("outer") as outer:

        class Mine(LogisticRegression):
            def fit(self, X: Any, y: Any) -> Any:
                return super().fit(X, y)

        search = GridSearchCV(Mine(), {"C": [0.1, 1.0]}, cv=2).fit(X, Y)
        assert not outer.has_ended
    [run] = runs
    assert run.values("mean_test_score") == search.cv_results_["mean_test_score"].tolist()
    assert run.params["sklearn.best_params.C"] == search.best_params_["C"]
    assert list(run.files) == ["cv_results.json"]


def test_what_can_not_be_logged_is_a_warning(runs: Recordings) -> None:
    """And an error of the training is that of its run."""
    need("sklearn.callback")
    from sklearn.linear_model import LogisticRegression

    class Unscored(LogisticRegression):
        def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
            raise ZeroDivisionError

    with unitrack.autolog("sklearn", log_models=False):
        with pytest.warns(UserWarning, match="autolog: the score was not logged: ZeroDivisionError"):
            Unscored().fit(X, Y)
        with pytest.raises(ValueError, match="Found input variables with inconsistent"):
            LogisticRegression().fit(X, Y[1:])
    assert [run.status for run in runs] == ["finished", "failed"]


def test_xgboost(runs: Recordings) -> None:
    """An estimator of it is one run, with both what it reports and its params."""
    xgboost = need("sklearn.callback", "xgboost")
    with unitrack.autolog("sklearn", "xgboost"):
        model = xgboost.XGBClassifier(n_estimators=3, eval_metric="logloss").fit(X, Y, eval_set=[(X, Y)], verbose=False)
        xgboost.train({"max_depth": 2}, xgboost.DMatrix(X, Y), 2)
    estimator, booster = runs
    assert estimator.values("validation_0.logloss") == model.evals_result()["validation_0"]["logloss"]
    assert estimator.params["sklearn.n_estimators"] == 3
    assert [name for name in estimator.files if name.endswith("model.json")] == ["model/model.json"]
    assert "model/model.json" in booster.files
    assert booster.params["xgboost.max_depth"] == 2


def test_lightgbm_that_stops_early(runs: Recordings) -> None:
    """Its run ends at once, which a callback alone can't do."""
    lightgbm = need("lightgbm")
    data = lightgbm.Dataset(X[:40], Y[:40])
    params = {"objective": "binary", "verbosity": -1, "num_threads": 1, "min_data_in_leaf": 2}
    with unitrack.autolog("lightgbm"):
        booster = lightgbm.train(
            params,
            data,
            200,
            valid_sets=[data.create_valid(X[40:], Y[40:])],
            callbacks=[lightgbm.early_stopping(2, verbose=False)],
        )
    [run] = runs
    assert run.status == "finished"
    assert 0 < booster.best_iteration < 200
    assert run.params["lightgbm.best_iteration"] == booster.best_iteration
    assert len(run.points["valid_0.binary_logloss"]) == booster.best_iteration + 2
    assert "model/model.txt" in run.files


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of Keras and NumPy
def test_keras(runs: Recordings) -> None:
    keras = need("jax", "keras")
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile(optimizer="sgd", loss="mse")
    with unitrack.autolog("keras"):
        history = model.fit(X, Y, epochs=2, verbose=0)
        with pytest.raises(ValueError, match="cardinality"):
            model.fit(X, Y[1:], verbose=0)
    finished, failed = runs
    assert finished.values("loss") == history.history["loss"]
    assert "model/model.keras" in finished.files
    assert (finished.status, failed.status) == ("finished", "failed")
    assert "fit" not in vars(keras.Model)


def test_names() -> None:
    with pytest.raises(unitrack.ConfigError, match=r"'sklern' is none of .*did you mean 'sklearn'"):
        unitrack.autolog("sklern")
    with pytest.raises(TypeError, match="no argument 'nam'; did you mean 'name'"):
        unitrack.autolog(nam="mine")


def test_nothing_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("sklearn", "xgboost", "lightgbm", "keras"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.warns(UserWarning, match="is imported yet"):
        assert unitrack.autolog().frameworks == ()
