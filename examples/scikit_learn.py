"""Train a scikit-learn model on the digits, and log its params, its metrics, a confusion matrix and the model.
At the end it reads the run back, from the local files here: any other backend gives the same.
"""

from matplotlib.figure import Figure
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import ConfusionMatrixDisplay, accuracy_score, f1_score
from sklearn.model_selection import train_test_split

import unitrack

images, labels = load_digits(return_X_y=True)
train_images, test_images, train_labels, test_labels = train_test_split(images / 16, labels, random_state=0)

with unitrack.start_run("logistic-regression", project="digits", tags=["baseline"]) as run:
    model = LogisticRegression(C=0.1, max_iter=200)
    run.log_params(model.get_params())
    model.fit(train_images, train_labels)

    predicted = model.predict(test_images)
    figure = Figure()
    ConfusionMatrixDisplay.from_predictions(test_labels, predicted, ax=figure.subplots())
    run.log(
        {
            "test/accuracy": accuracy_score(test_labels, predicted),
            "test/f1": f1_score(test_labels, predicted, average="macro"),
            "confusion": figure,
        }
    )
    run.log_model(model, "model")

stored = unitrack.runs().find("logistic-regression")
print("C:", stored.params["C"])
print("accuracy:", round(stored.summary["test/accuracy"], 2))
print("artifacts:", *sorted(artifact.name for artifact in stored.artifacts))
