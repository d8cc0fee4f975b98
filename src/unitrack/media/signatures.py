"""What a model takes and gives, found by calling it with an example."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

from unitrack.errors import InvalidTypeError, InvalidValueError

_MOST_VALUES = 10_000
"""Numbers of an example that are kept with the model: a row or a few, not a data set."""


def signature_of(model: Any, example: Any) -> dict[str, Any]:
    """Return the signature of a model as JSON values: `inputs` and `outputs`, and the example as `input_example`.

    Each has `dtype` and `shape`, whose first axis, that of the samples, is -1. `example`: an array or a tensor that the
    model takes. Raises `InvalidTypeError` for another example, and `InvalidValueError` if the model refuses it.
    """
    inputs = _as_array(example, "input_example")
    try:
        outputs = _as_array(_call(model, example), "what the model returns")
    except InvalidTypeError:
        outputs = None
    except Exception as error:
        raise InvalidValueError(
            f"log_model: {type(model).__name__} can't take the input_example of shape {tuple(inputs.shape)} and type "
            f"{inputs.dtype}: {error}"
        ) from error
    found: dict[str, Any] = {"inputs": [_tensor_of(inputs)]}
    if outputs is not None:
        found["outputs"] = [_tensor_of(outputs)]
    few = inputs[:1] if inputs.size > _MOST_VALUES and inputs.ndim else inputs
    return {"signature": found} | ({"input_example": few.tolist()} if few.size <= _MOST_VALUES else {})


def _call(model: Any, example: Any) -> Any:
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(model, torch.nn.Module):
        with evaluating(model), torch.no_grad():
            return model(example)
    return (model.predict if hasattr(model, "predict") else model)(example)


@contextlib.contextmanager
def evaluating(model: Any) -> Iterator[None]:
    """Have a torch module in evaluation mode, and bring back its mode."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


def _as_array(value: Any, what: str) -> Any:
    import numpy  # noqa: PLC0415  # optional; who has arrays has it

    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    found = numpy.asarray(value) if hasattr(value, "__array__") or isinstance(value, list) else None
    if found is None or found.dtype.kind not in "biuf":
        raise InvalidTypeError(
            f"log_model: {what} must be an array or a tensor of numbers, got {type(value).__name__}; save a model that "
            "takes others without input_example"
        )
    return found


def _tensor_of(array: Any) -> dict[str, Any]:
    return {"dtype": str(array.dtype), "shape": [-1, *array.shape[1:]] if array.ndim else []}
