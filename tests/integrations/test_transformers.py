"""Transformers and TRL, by the contract and by what is their own."""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from pathlib import Path
from typing import Any, ClassVar

import pytest
from unitrack_tests.device import Device
from unitrack_tests.integration_examples import run_example

import unitrack
from unitrack.testing import IntegrationContract, recorded

pytest.importorskip("transformers", reason="it needs torch")
pytest.importorskip("accelerate", reason="transformers[torch] has it")

from transformers import (
    EarlyStoppingCallback,
    LlamaConfig,
    LlamaForCausalLM,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)
from transformers.integrations import rewrite_logs

from unitrack.integrations.transformers import UnitrackCallback

pytestmark = pytest.mark.filterwarnings("ignore:.*pin_memory.*")
DATA = [{"input_ids": [1, 2, 3], "labels": [1, 2, 3]} for _ in range(8)]


def model() -> LlamaForCausalLM:
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=16, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1,
            bos_token_id=1, eos_token_id=2, pad_token_id=0,
        )
    )  # fmt: skip


class Witness(TrainerCallback):
    """Keeps what the trainer reports, and raises in the third step."""

    def __init__(self, interrupt: BaseException | None = None) -> None:
        self.interrupt = interrupt
        self.points: dict[str, list[tuple[int, float]]] = defaultdict(list)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        for name, value in rewrite_logs(logs).items():
            self.points[name].append((state.global_step, value))

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.interrupt is not None and state.global_step == 2:
            raise self.interrupt


def trainer(*callbacks: Any, **options: Any) -> Trainer:
    quiet = {"disable_tqdm": True, "use_cpu": True, "save_strategy": "no", "logging_steps": 1}
    arguments = TrainingArguments(
        "out", **{**quiet, "per_device_train_batch_size": 2, "num_train_epochs": 2, "eval_strategy": "epoch", **options}
    )
    return Trainer(model(), arguments, train_dataset=DATA, eval_dataset=DATA[:2], callbacks=list(callbacks))


class TestTransformers(IntegrationContract):
    params: ClassVar = {"transformers.learning_rate": 5e-05, "transformers.model.hidden_size": 8}

    def make(self, **start: Any) -> UnitrackCallback:
        return UnitrackCallback(**start)

    def train(self, logger: UnitrackCallback, *, interrupt: BaseException | None = None) -> Any:
        witness = Witness(interrupt)
        trainer(logger, witness).train()
        logger.finish()
        return witness.points

    def train_until_stopped(self, logger: UnitrackCallback) -> Any:
        witness = Witness()
        stopped = trainer(
            logger, witness, EarlyStoppingCallback(1, 100.0), num_train_epochs=9, metric_for_best_model="loss",
            load_best_model_at_end=True, save_strategy="epoch",
        )  # fmt: skip
        stopped.train()
        assert stopped.state.epoch == 2
        logger.finish()
        return witness.points


def test_by_name() -> None:
    """With the name of the trainer's run; what follows training is in it, until the next training begins."""
    with recorded() as runs:
        first = trainer(report_to="unitrack", run_name="first")
        first.train()
        first.evaluate()
        first.predict(DATA[:2])
        trainer(report_to="unitrack", run_name="second").train()
        assert [(run.name, run.status) for run in runs] == [("first", "finished"), ("second", "running")]
        unitrack.current_run().finish()
    assert [step for step, _ in runs[0].points["eval/loss"]] == [4, 8, 8]
    assert [step for step, _ in runs[0].points["test/loss"]] == [8]


def test_no_device_is_waited_for() -> None:
    """A scalar is handed over as it is, and read in another thread."""
    device = Device(is_open=False)
    with recorded() as runs:
        callback = UnitrackCallback(delivery="thread")
        one = trainer(callback)
        one.remove_callback(PrinterCallback)
        one.state.global_step = 7
        one.log({"loss": device.scalar(0.5)})
        device.open.set()
        callback.finish()
    assert runs[0].points["train/loss"] == [(7, 0.5)]
    assert threading.get_ident() not in device.readers


def test_evaluation_alone() -> None:
    """Is a run of its own."""
    callback = UnitrackCallback()
    with recorded() as runs:
        trainer(callback).evaluate()
        callback.finish()
    [run] = runs
    assert run.status == "finished"
    assert run.params["transformers.model.hidden_size"] == 8
    assert [step for step, _ in run.points["eval/loss"]] == [0]


@pytest.mark.parametrize("log_model", [True, "all"])
def test_checkpoints(log_model: Any) -> None:
    """The best one, or each."""
    callback = UnitrackCallback(log_model=log_model)
    with recorded() as runs:
        trainer(callback, save_strategy="epoch", load_best_model_at_end=True, metric_for_best_model="loss").train()
        callback.finish()
    names = {name.split("/")[2] for name in runs[0].files if name.endswith("/model.safetensors")}
    assert names == ({"step-8"} if log_model is True else {"step-4", "step-8"})
    [version] = [one.version for one in runs[0].records if "step-8" in getattr(one, "name", "")]
    assert "best" in version.aliases


@pytest.mark.filterwarnings("ignore")  # TRL calls parts of Transformers that are deprecated
def test_completions_of_trl(tmp_path: Path) -> None:
    """As a table, at the step at which TRL has logged them."""
    trl = pytest.importorskip("trl", reason="it is not in each environment")
    callback = UnitrackCallback()
    with recorded() as runs:
        grpo(trl, callback).train()
        callback.finish()
    [run] = runs
    assert [step for step, _ in run.points["train/reward"]] == [1, 2]
    tables = {name: json.loads(content) for name, content in run.files.items()}
    assert set(tables) == {"train/completions-1.json", "train/completions-2.json", "eval/completions-2.json"}
    assert {"prompt", "completion", "advantage"} <= set(tables["eval/completions-2.json"]["columns"])
    assert "c d" in str(tables["eval/completions-2.json"])
    assert "a b" in str(tables["train/completions-2.json"])


def grpo(trl: Any, *callbacks: Any) -> Any:
    from datasets import Dataset
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {word: number for number, word in enumerate(["<pad>", "<s>", "</s>", *"abcdefghijklm"])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    arguments = trl.GRPOConfig(
        "out", per_device_train_batch_size=2, num_generations=2, max_completion_length=3, max_steps=2, logging_steps=1,
        use_cpu=True, disable_tqdm=True, save_strategy="no", log_completions=True, bf16=False,
        eval_strategy="steps", eval_steps=2, per_device_eval_batch_size=2,
    )  # fmt: skip
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>", padding_side="left"
    )
    return trl.GRPOTrainer(
        model(),
        lambda completions, **_: [float(len(one)) for one in completions],
        arguments,
        train_dataset=Dataset.from_list([{"prompt": "a b"}] * 4),
        eval_dataset=Dataset.from_list([{"prompt": "c d"}] * 2),
        processing_class=fast,
        callbacks=list(callbacks),
    )


def test_example() -> None:
    [run] = run_example("transformers_trainer")
    assert (run.name, run.status) == ("counting", "finished")
    assert [step for step, _ in run.points["train/loss"]] == [1, 2, 3]
    assert [step for step, _ in run.points["eval/loss"]] == [1, 2, 3, 3]
    assert "checkpoint/v0/step-3/model.safetensors" in run.files
