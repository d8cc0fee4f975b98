"""A small neural network learns scikit-learn's handwritten digits: real data that is already on the machine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import confusion_matrix
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SEED = 0
BATCH_SIZE = 64
HIDDEN_UNITS = 64
LEARNING_RATE = 3e-3
_MAX_PIXEL = 16  # the data's own scale


class Step(msgspec.Struct, frozen=True):
    """One step of training."""

    number: int
    loss: float
    """Cross-entropy of the mini-batch, in nats."""
    accuracy: float
    """Of the test set, 0 ... 1."""


class Training:
    """A training that is the same each time: iterate to train, then look at `model` and `confusion_figure`."""

    def __init__(self, steps: int) -> None:
        self.steps = steps
        images, digits = load_digits(return_X_y=True)
        self._train, self._test, self._train_digits, self._test_digits = train_test_split(
            images / _MAX_PIXEL, digits, test_size=0.25, stratify=digits, random_state=SEED
        )
        self.model = MLPClassifier((HIDDEN_UNITS,), learning_rate_init=LEARNING_RATE, random_state=SEED)

    @property
    def params(self) -> dict[str, Any]:
        """The hyperparameters of this training."""
        return {
            "model": {"kind": "MLPClassifier", "hidden_units": HIDDEN_UNITS},
            "optimizer": {"kind": "adam", "learning_rate": LEARNING_RATE},
            "batch_size": BATCH_SIZE,
            "steps": self.steps,
            "seed": SEED,
            "data": {"train": len(self._train), "test": len(self._test)},
        }

    def __iter__(self) -> Iterator[Step]:
        random = np.random.default_rng(SEED)
        for number in range(self.steps):
            batch = random.choice(len(self._train), BATCH_SIZE, replace=False)
            self.model.partial_fit(self._train[batch], self._train_digits[batch], classes=range(10))
            yield Step(number, float(self.model.loss_), float(self.model.score(self._test, self._test_digits)))

    def confusion_figure(self) -> Figure:
        """Return the confusion matrix of the test set as a figure."""
        from matplotlib.figure import Figure  # noqa: PLC0415  # matplotlib costs 480 ms; no pyplot: no window, no global state

        counts = confusion_matrix(self._test_digits, self.model.predict(self._test))
        figure = Figure(figsize=(4.5, 4))
        axes = figure.subplots()
        axes.imshow(counts, cmap="Blues")
        for (row, column), count in np.ndenumerate(counts):
            if count:
                color = "white" if row == column else "black"
                axes.text(column, row, str(count), ha="center", va="center", color=color)
        axes.set(title="digits of the test set", xlabel="taken for", ylabel="is", xticks=range(10), yticks=range(10))
        return figure
