"""XGBoost: two sets that are evaluated at each iteration, early stopping, and the model."""

import xgboost
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

from unitrack.integrations.xgboost import UnitrackCallback

X_train, X_test, y_train, y_test = train_test_split(*load_breast_cancer(return_X_y=True), random_state=0)
train, test = xgboost.DMatrix(X_train, y_train), xgboost.DMatrix(X_test, y_test)

xgboost.train(
    {"objective": "binary:logistic", "max_depth": 3},
    train,
    num_boost_round=30,
    evals=[(train, "train"), (test, "test")],
    early_stopping_rounds=5,
    verbose_eval=False,
    callbacks=[UnitrackCallback(name="boosting", log_model=True)],
)
