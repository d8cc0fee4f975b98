"""Lightning, by its contract and by what is its own."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import threading
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from unitrack_tests.device import Device
from unitrack_tests.integration_examples import run_example

import unitrack
from unitrack.testing import IntegrationContract, recorded

pytest.importorskip("lightning", reason="it needs torch")

import torch
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import Logger
from torch.utils.data import DataLoader, TensorDataset

from unitrack.integrations.lightning import UnitrackLogger

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning"),
]


class Model(LightningModule):
    """A linear model. `interrupt` is raised in the third step."""

    def __init__(self, lr: float = 0.1, interrupt: BaseException | None = None) -> None:
        super().__init__()
        self.save_hyperparameters(ignore="interrupt")
        self.layer = torch.nn.Linear(2, 1)
        self.interrupt = interrupt

    def training_step(self, batch: Any, index: int) -> Any:
        if self.interrupt is not None and index == 2:
            raise self.interrupt
        loss = self.layer(batch[0]).square().mean()
        self.log("loss", loss, on_step=True, on_epoch=True)
        return loss

    def validation_step(self, batch: Any, index: int) -> None:
        self.log("val_loss", self.layer(batch[0]).square().mean())

    def test_step(self, batch: Any, index: int) -> None:
        self.log("test_loss", self.layer(batch[0]).square().mean())

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), self.hparams.lr)


class Witness(Logger):
    """A second logger, which keeps what the trainer reports."""

    name = version = "witness"

    def __init__(self) -> None:
        self.points: dict[str, list[tuple[int, float]]] = defaultdict(list)

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        for name, value in metrics.items():
            self.points[name].append((step, value))

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None: ...


class Data(LightningDataModule):
    def train_dataloader(self) -> DataLoader[Any]:
        return data()

    val_dataloader = train_dataloader


def data() -> DataLoader[Any]:
    return DataLoader(TensorDataset(torch.ones(8, 2)), batch_size=2)


def trainer(*loggers: Any, **options: Any) -> Trainer:
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    return Trainer(logger=loggers, log_every_n_steps=1, **quiet, **{"enable_checkpointing": False, **options})


class TestLightning(IntegrationContract):
    params: ClassVar = {"lr": 0.1}

    def make(self, **start: Any) -> UnitrackLogger:
        return UnitrackLogger(**start)

    def train(self, logger: UnitrackLogger, *, interrupt: BaseException | None = None) -> Any:
        witness = Witness()
        before = signal.getsignal(signal.SIGINT)
        try:
            trainer(logger, witness, max_epochs=2).fit(Model(interrupt=interrupt), data(), data())
        except SystemExit:
            raise KeyboardInterrupt from None  # Lightning exits after Ctrl-C
        finally:
            signal.signal(signal.SIGINT, before)  # and ignores further ones
        logger.finish()
        return witness.points

    def train_until_stopped(self, logger: UnitrackLogger) -> Any:
        witness = Witness()
        stopping = EarlyStopping("val_loss", min_delta=100.0, patience=1)
        stopped = trainer(logger, witness, max_epochs=9, callbacks=[stopping])
        stopped.fit(Model(), data(), data())
        assert stopped.current_epoch == 2
        logger.finish()
        return witness.points


def test_what_follows_training_is_in_its_run() -> None:
    """Until another training begins."""
    with recorded() as runs:
        first = trainer(UnitrackLogger("first"), max_epochs=1)
        model = Model()
        first.fit(model, data(), data())
        trainer(first.logger).test(model, data(), verbose=False)
        assert first.logger.name == runs[0].name
        trainer(UnitrackLogger("second"), max_epochs=1).fit(model, data(), data())
        assert [run.status for run in runs] == ["finished", "running"]
        unitrack.current_run().finish()
    assert [step for step, _ in runs[0].points["test_loss"]] == [0]  # that of the new trainer
    assert [step for step, _ in runs[0].points["loss_step"]] == [0, 1, 2, 3]
    assert "test_loss" not in runs[1].points


def test_a_run_that_is_used_before_training() -> None:
    """Is not taken for a training that has failed."""
    with recorded() as runs:
        logger = UnitrackLogger("first")
        logger.experiment.set_tags({"stage": "test"})
        UnitrackLogger("second").experiment.log_metrics({"loss": 0.5}, step=0)
        assert [run.status for run in runs] == ["running"]
        logger.finish()
    assert [(run.name, run.status) for run in runs] == [("first", "finished")]


def test_no_device_is_waited_for() -> None:
    """A scalar is handed over as it is, and read in another thread."""
    device = Device(is_open=False)
    with recorded() as runs:
        logger = UnitrackLogger(delivery="thread")
        logger.log_metrics({"loss": device.scalar(0.5)}, step=7)
        device.open.set()
        logger.finish()
    assert runs[0].points == {"loss": [(7, 0.5)]}
    assert threading.get_ident() not in device.readers


def test_media() -> None:
    """At the step of the last metrics, or at a given one."""
    logger = UnitrackLogger()
    with recorded() as runs:
        logger.log_metrics({"loss": 0.5}, step=7)
        logger.log_image("sample", [np.zeros((4, 4)), torch.zeros(3, 4, 4)], caption=["a", "b"])
        logger.log_image("one", np.zeros((4, 4)))
        logger.log_audio("sound", [np.zeros(100)], step=8, sample_rate=[8000])
        logger.log_video("clip", [np.zeros((2, 4, 4, 3), np.uint8)], fps=[2])
        logger.log_text("answer", "forty-two")
        logger.log_text("answers", ["question", "answer"], [["what", "this"]])
        logger.log_table("scores", columns=["a", "b"], data=[[1, 2]])
        with pytest.raises(unitrack.InvalidValueError, match="'sample': caption must be a list of 1"):
            logger.log_image("sample", [np.zeros((4, 4))], caption=["a", "b"])
        logger.finish()
    assert sorted(runs[0].files) == [
        "answer-7.txt",
        "answers-7.json",
        "clip/0-7.gif",
        "one/0-7.png",
        "sample/0-7.png",
        "sample/1-7.png",
        "scores-7.json",
        "sound/0-8.wav",
    ]


@pytest.mark.parametrize("log_model", [True, "all"])
def test_checkpoints(log_model: Any, tmp_path: Path) -> None:
    """Lie below the run folder, and those that are kept are logged."""
    with recorded() as runs:
        logger = UnitrackLogger(log_model=log_model)
        best = ModelCheckpoint(monitor="val_loss", save_top_k=2)
        one = trainer(logger, max_epochs=3, enable_checkpointing=True, callbacks=[best])
        one.fit(Model(), data(), data())
        assert Path(best.best_model_path).is_relative_to(logger.experiment.path)
        logger.finish()
    steps = {"step-8.ckpt", "step-12.ckpt"} if log_model is True else {"step-4.ckpt", "step-8.ckpt", "step-12.ckpt"}
    assert {Path(name).name for name in runs[0].files} == steps
    [aliases] = [one.version.aliases for one in runs[0].records if "step-12" in getattr(one, "name", "")]
    assert "best" in aliases


def test_a_hyperparameter_that_is_too_large() -> None:
    """Is named in a warning, and the others are logged."""
    with recorded() as runs:
        logger = UnitrackLogger(config={"safeguards": {"max_param_bytes": 100}})
        with pytest.warns(UserWarning, match="not logged: .*'weights'"):
            logger.log_hyperparams({"lr": 0.1, "weights": [0.5] * 100})
        logger.finish()
    assert runs[0].params == {"lr": 0.1}


@pytest.mark.filterwarnings("default:.*LeafSpec.*:FutureWarning")
def test_a_checkpoint_that_is_too_large() -> None:
    """Is named in a warning, and training goes on."""
    with recorded() as runs:
        logger = UnitrackLogger(log_model=True, config={"safeguards": {"max_artifact_bytes": 10}})
        with pytest.warns(UserWarning, match=r"step=4.ckpt was not logged: .*too large"):
            trainer(logger, max_epochs=1, enable_checkpointing=True).fit(Model(), data(), data())
        logger.finish()
    assert runs[0].status == "finished"
    assert not runs[0].files


@pytest.mark.filterwarnings("ignore")  # jsonargparse calls some of Lightning's calls deprecated
def test_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """LightningCLI takes the logger and its arguments, and writes its configuration into the run folder."""
    pytest.importorskip("jsonargparse", reason="lightning[extra] has it")
    from lightning.pytorch.cli import LightningCLI

    logger = "--trainer.logger=unitrack.integrations.lightning.UnitrackLogger"
    options = ["--trainer.max_epochs=0", "--trainer.enable_progress_bar=false", "--seed_everything=1"]
    with recorded() as runs:
        for name in ("one", "two"):  # in a folder that another run has used
            arguments = [
                "fit",
                logger,
                f"--trainer.logger.name={name}",
                "--model.lr=0.25",
                "--seed_everything=1",
                *options,
            ]
            monkeypatch.setattr("sys.argv", ["train.py", *arguments])
            LightningCLI(Model, Data)
            run = unitrack.current_run()
            assert (run.path / "config.yaml").exists()
            run.finish()
    assert [run.name for run in runs] == ["one", "two"]
    assert runs[0].params["lr"] == 0.25


@pytest.mark.parametrize("strategy", ["ddp", "ddp_spawn"])
def test_two_processes(strategy: str, tmp_path: Path) -> None:
    """Only rank 0 logs, into one run, which the process that has started the others ends."""
    program = f"""
        import sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from test_lightning import Model, UnitrackLogger, data, trainer
        if __name__ == "__main__":
            logger = UnitrackLogger("two", sinks=["local"])
            trainer(logger, max_epochs=1, devices=2, strategy={strategy!r}).fit(Model(), data(), data())
    """
    (tmp_path / "two.py").write_text(textwrap.dedent(program))
    command = [sys.executable, "-W", "ignore", "two.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=140)
    assert done.returncode == 0, done.stderr
    [run] = unitrack.runs()
    assert run.status == "finished"
    assert run.params["lr"] == 0.1
    points = {name: metric.points for name, metric in run.metrics.items()}
    assert points == {"loss_step": 2, "loss_epoch": 1, "val_loss": 1, "epoch": 4}


@pytest.mark.filterwarnings("ignore:The .logger=True.")
def test_example(tmp_path: Path) -> None:
    [run] = run_example("lightning_trainer")
    assert run.status == "finished"
    assert run.params["lr"] == 0.05
    assert len(run.points["train/loss"]) == 24
    assert len(run.points["val/loss"]) == 3
    assert {Path(name).suffix for name in run.files} == {".ckpt", ".png"}
