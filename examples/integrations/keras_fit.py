"""Keras: the metrics of each epoch and of every tenth batch, and the model."""

import keras
import numpy as np

from unitrack.integrations.keras import UnitrackCallback

X = np.random.default_rng(0).normal(size=(256, 8)).astype("float32")
y = X.sum(axis=1, keepdims=True)

model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(16, activation="relu"), keras.layers.Dense(1)])
model.compile(optimizer="adam", loss="mse", metrics=["mae"])
model.fit(
    X,
    y,
    epochs=3,
    batch_size=16,
    validation_split=0.25,
    verbose=0,
    callbacks=[UnitrackCallback(name="regression", every_batches=10, log_model=True)],
)
