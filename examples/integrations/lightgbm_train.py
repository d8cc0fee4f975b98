"""LightGBM: its estimator in a run of the user's, which has a number of its own as well."""

from lightgbm import LGBMClassifier
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

import unitrack
from unitrack.integrations.lightgbm import UnitrackCallback

X_train, X_test, y_train, y_test = train_test_split(*load_breast_cancer(return_X_y=True), random_state=0)

with unitrack.start_run("boosting") as run:
    model = LGBMClassifier(n_estimators=30, num_leaves=7, n_jobs=1, verbosity=-1)
    model.fit(X_train, y_train, eval_X=(X_test,), eval_y=(y_test,), callbacks=[UnitrackCallback(log_model=True)])
    run.summary["accuracy"] = model.score(X_test, y_test)
