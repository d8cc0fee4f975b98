"""scikit-learn: the fit of a pipeline with its score after each iteration, and a search with all its candidates."""

from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from unitrack.integrations.sklearn import UnitrackCallback

X, y = load_iris(return_X_y=True)

pipeline = make_pipeline(StandardScaler(), LogisticRegression())
pipeline.set_callbacks(UnitrackCallback(name="pipeline", scoring="neg_log_loss", log_model=True)).fit(X, y)

search = GridSearchCV(LogisticRegression(max_iter=300), {"C": [0.1, 1.0, 10.0]})
search.set_callbacks(UnitrackCallback(name="search")).fit(X, y)
