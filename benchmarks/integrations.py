"""What the integrations cost a step, beside the loggers that frameworks or trackers bring themselves.

`python benchmarks/integrations.py [--steps 300] [--rounds 3] [--only WORD ...]`. Each candidate trains in a process of
its own; rounds are interleaved. "step" is the median time between two steps, and "more" what that is above no logger;
"call" is the time of the whole call that trains, from the start of its run to its end. Candidates whose packages are
missing are left out: Keras's own TensorBoard callback and that of W&B need TensorFlow.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

NOTHING, OURS, MANY = "no logger", "unitrack, local", "unitrack, 4 sinks"
SINKS: dict[str, list[Any]] = {
    OURS: ["local"],
    MANY: [
        "local",
        {"mlflow": {"tracking_uri": "sqlite:///mlflow.db"}},
        {"wandb": {"mode": "offline"}},
        "tensorboard",
    ],
}
WANDB, MLFLOW, TENSORBOARD = "wandb offline", "mlflow SQLite", "TensorBoard"
X = np.random.default_rng(0).normal(size=(200, 4)).astype("float32")
Y = (X[:, 0] > 0).astype("float32")
RESULT = "result.json"
Stamp = Callable[[], None]


def xgboost(name: str, steps: int, stamp: Stamp) -> None:
    """Boost trees, with one set that is evaluated."""
    import xgboost

    class Clock(xgboost.callback.TrainingCallback):  # type: ignore[misc]
        def before_iteration(self, *args: Any) -> bool:
            stamp()
            return False

    callbacks: list[Any] = [Clock()]
    if name in SINKS:
        from unitrack.integrations.xgboost import UnitrackCallback

        callbacks.append(UnitrackCallback(sinks=SINKS[name]))
    elif name == WANDB:
        from wandb.integration.xgboost import WandbCallback

        callbacks.append(WandbCallback())
    elif name == MLFLOW:
        import mlflow

        mlflow.xgboost.autolog(log_models=False, log_datasets=False)
    data = xgboost.DMatrix(X, Y)
    params = {"max_depth": 1, "nthread": 1}
    xgboost.train(params, data, steps, evals=[(data, "train")], verbose_eval=False, callbacks=callbacks)


def lightgbm(name: str, steps: int, stamp: Stamp) -> None:
    """Boost trees, with one set that is evaluated."""
    import lightgbm

    def clock(env: Any) -> None:
        stamp()

    clock.before_iteration = True  # type: ignore[attr-defined]
    callbacks: list[Any] = [clock]
    if name in SINKS:
        from unitrack.integrations.lightgbm import UnitrackCallback

        callbacks.append(UnitrackCallback(sinks=SINKS[name]))
    elif name == WANDB:
        from wandb.integration.lightgbm import wandb_callback

        callbacks.append(wandb_callback())
    elif name == MLFLOW:
        import mlflow

        mlflow.lightgbm.autolog(log_models=False, log_datasets=False)
    data = lightgbm.Dataset(X, Y)
    lightgbm.train({"num_leaves": 2, "num_threads": 1, "verbosity": -1}, data, steps, [data], callbacks=callbacks)


def keras(name: str, steps: int, stamp: Stamp) -> None:
    """Train a layer; a step is an epoch of one batch."""
    import keras

    class Clock(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            stamp()

    callbacks: list[Any] = [Clock()]
    if name in SINKS:
        from unitrack.integrations.keras import UnitrackCallback

        callbacks.append(UnitrackCallback(sinks=SINKS[name]))
    elif name == MLFLOW:
        import mlflow

        callbacks.append(mlflow.keras.MlflowCallback())
    elif name != NOTHING:
        raise ImportError("it needs TensorFlow")
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(X, Y, batch_size=200, epochs=steps, verbose=0, callbacks=callbacks)


def lightning(name: str, steps: int, stamp: Stamp) -> None:
    """Train a layer; each batch is logged."""
    import torch
    from lightning.pytorch import Callback, LightningModule, Trainer, loggers

    from unitrack.integrations.lightning import UnitrackLogger

    class Model(LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(4, 1)

        def training_step(self, batch: Any, index: int) -> Any:
            loss = self.layer(batch[0]).square().mean()
            self.log("loss", loss)
            return loss

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), 0.01)

    class Clock(Callback):  # type: ignore[misc]
        def on_train_batch_start(self, *args: Any) -> None:
            stamp()

    logger = {
        NOTHING: lambda: False,
        OURS: lambda: UnitrackLogger(sinks=SINKS[OURS]),
        MANY: lambda: UnitrackLogger(sinks=SINKS[MANY]),
        WANDB: lambda: loggers.WandbLogger(offline=True),
        MLFLOW: lambda: loggers.MLFlowLogger(tracking_uri="sqlite:///mlflow.db"),
        TENSORBOARD: lambda: loggers.TensorBoardLogger("."),
    }[name]()
    data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.from_numpy(X)), batch_size=20)
    trainer = Trainer(
        max_steps=steps,
        max_epochs=-1,
        accelerator="cpu",
        log_every_n_steps=1,
        logger=logger,
        callbacks=[Clock()],
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
    )
    torch.set_num_threads(1)  # more of them wait for each other on a machine that is in use
    trainer.fit(Model(), data)
    if isinstance(logger, UnitrackLogger):
        logger.finish()


def transformers(name: str, steps: int, stamp: Stamp) -> None:
    """Train a tiny language model; each batch is logged."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, PrinterCallback, Trainer, TrainerCallback, TrainingArguments
    from transformers.integrations import MLflowCallback, TensorBoardCallback, WandbCallback

    from unitrack.integrations.transformers import UnitrackCallback

    class Clock(TrainerCallback):  # type: ignore[misc]
        def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
            stamp()

    loggers: dict[str, Callable[[], list[Any]]] = {
        NOTHING: lambda: [],
        OURS: lambda: [UnitrackCallback(sinks=SINKS[OURS])],
        MANY: lambda: [UnitrackCallback(sinks=SINKS[MANY])],
        WANDB: lambda: [WandbCallback()],
        MLFLOW: lambda: [MLflowCallback()],
        TENSORBOARD: lambda: [TensorBoardCallback()],
    }
    torch.set_num_threads(1)  # more of them wait for each other on a machine that is in use
    callbacks = loggers[name]()
    sizes = {"vocab_size": 8, "hidden_size": 8, "intermediate_size": 8}
    model = LlamaForCausalLM(LlamaConfig(**sizes, num_hidden_layers=1, num_attention_heads=1))
    data = [{"input_ids": [1, 2, 3], "labels": [1, 2, 3]}] * 8
    options = {"max_steps": steps, "logging_steps": 1, "save_strategy": "no", "use_cpu": True, "disable_tqdm": True}
    trainer = Trainer(model, TrainingArguments("out", **options), train_dataset=data, callbacks=[Clock(), *callbacks])
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    for callback in callbacks:
        if isinstance(callback, UnitrackCallback):
            callback.finish()


FRAMEWORKS = {
    "xgboost": xgboost,
    "lightgbm": lightgbm,
    "keras": keras,
    "lightning": lightning,
    "transformers": transformers,
}
CANDIDATES = [NOTHING, OURS, MANY, WANDB, MLFLOW, TENSORBOARD]
WITHOUT = {"xgboost": [TENSORBOARD], "lightgbm": [TENSORBOARD]}
"""Loggers that nobody brings for a framework."""


def train(framework: str, name: str, steps: int) -> tuple[float, float]:
    """Train in this process. Returns the median time of a step in microseconds, and that of the call in seconds."""
    stamps: list[int] = []
    FRAMEWORKS[framework](NOTHING, 2, lambda: None)  # so that imports and compilers are not measured
    if name in SINKS:
        importlib.import_module(f"unitrack.integrations.{framework}")
    with _run_of_peer(framework, name):
        began = time.perf_counter()
        FRAMEWORKS[framework](name, steps, lambda: stamps.append(time.perf_counter_ns()))
    wall = time.perf_counter() - began
    spent = [later - earlier for earlier, later in itertools.pairwise(stamps)]
    return statistics.median(spent) / 1000, wall


@contextlib.contextmanager
def _run_of_peer(framework: str, name: str) -> Iterator[None]:
    """The run that a peer's callback needs: Lightning's loggers start their own."""
    if name == MLFLOW:
        import mlflow

        mlflow.set_tracking_uri("sqlite:///mlflow.db")
        with mlflow.start_run() if framework != "lightning" else contextlib.nullcontext():
            yield
    elif name == WANDB and framework != "lightning":
        import wandb

        with wandb.init(mode="offline", settings=wandb.Settings(silent=True, console="off")):
            yield
    else:
        yield


def measure(framework: str, name: str, steps: int) -> tuple[float, float] | None:
    """Train in a process of its own; None if something is missing for it."""
    with tempfile.TemporaryDirectory(prefix="unitrack-bench-", ignore_cleanup_errors=True) as folder:
        command = [sys.executable, __file__, "--one", framework, name, "--steps", str(steps)]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        if done.returncode == 0:
            step, wall = json.loads(Path(folder, RESULT).read_text())
            return step, wall
    if "ImportError" in done.stderr or "ModuleNotFoundError" in done.stderr:
        return None
    raise RuntimeError(done.stderr)


def run(folder: Path | None = None, steps: int = 300, rounds: int = 3, only: list[str] | None = None) -> Table:
    """Measure all candidates of all frameworks whose names hold one of the words `only`."""
    table = Table(title=f"integrations: {steps} steps, {rounds} rounds; us a step, s a call")
    for column in ("framework", "logger", "step", "more", "call"):
        table.add_column(column, justify="left" if column in ("framework", "logger") else "right")
    for framework in FRAMEWORKS:
        if only and not any(word in framework for word in only):
            continue
        names = [name for name in CANDIDATES if name not in WITHOUT.get(framework, [])]
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
        for _ in range(rounds):
            for name in names:
                if (one := measure(framework, name, steps)) is not None:
                    found[name].append(one)
        medians = {
            name: tuple(statistics.median(values) for values in zip(*many, strict=True))
            for name, many in found.items()
            if many
        }
        for name, (step, wall) in medians.items() if NOTHING in medians else ():
            more = f"{step - medians[NOTHING][0]:.0f}" if name != NOTHING else ""
            table.add_row(framework, name, f"{step:.0f}", more, f"{wall:.2f}")
    return table


def main() -> None:
    """Measure, or be one of those that are measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--one", nargs=2)
    given = parser.parse_args()
    if given.one:
        Path(RESULT).write_text(json.dumps(train(*given.one, given.steps)))
    else:
        for framework in FRAMEWORKS:  # one after the other, so that each table is seen when it is there
            if not given.only or any(word in framework for word in given.only):
                Console().print(run(None, given.steps, given.rounds, [framework]))


if __name__ == "__main__":
    main()
