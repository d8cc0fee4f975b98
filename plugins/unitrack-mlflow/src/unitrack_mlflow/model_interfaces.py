"""The signature and the example of input that a model was logged with, as MLflow keeps them with a model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
from mlflow.models import Model, ModelSignature
from mlflow.types import Schema, TensorSpec

from unitrack.hookspecs import convert
from unitrack.records import Artifact

_EXAMPLE = "input_example.json"


class _Tensor(msgspec.Struct, frozen=True):
    dtype: str
    shape: list[int]


class _Signature(msgspec.Struct, frozen=True):
    inputs: list[_Tensor]
    outputs: list[_Tensor] = []


class Interface(msgspec.Struct, frozen=True):
    """What a model takes and gives, as far as it is known."""

    signature: _Signature | None = None
    input_example: list[object] | None = None

    def add_to(self, model: Model, folder: Path) -> None:
        """Say it in the description of a model, whose files lie in `folder`."""
        if self.signature is None:
            return
        outputs = _schema(self.signature.outputs) if self.signature.outputs else None
        model.signature = ModelSignature(_schema(self.signature.inputs), outputs)
        if self.input_example is not None:
            (folder / _EXAMPLE).write_text(json.dumps(self.input_example))
            model.saved_input_example_info = {
                "artifact_path": _EXAMPLE,
                "type": "ndarray",
                "format": "tf-serving",
            }


def of(artifact: Artifact) -> Interface:
    """Return what the record of a model says of it."""
    try:
        return convert({key: artifact.annotations.get(key) for key in ("signature", "input_example")}, Interface)
    except (msgspec.ValidationError, TypeError):
        return Interface()


def files_of(artifact: Artifact) -> tuple[str, ...]:
    """Return the files that `Interface.add_to` writes."""
    interface = of(artifact)
    return () if interface.signature is None or interface.input_example is None else (_EXAMPLE,)


def _schema(tensors: Sequence[_Tensor]) -> Schema:
    return Schema([TensorSpec(np.dtype(one.dtype), one.shape) for one in tensors])
