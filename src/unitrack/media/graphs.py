"""The layers of a torch module: their order, shapes and parameters, as JSON and as a table in text."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from unitrack.errors import InvalidTypeError, InvalidValueError
from unitrack.records import Layer, ModelGraph


def graph_of(model: Any, example: Any = None) -> ModelGraph:
    """Return the layers of a torch module.

    `example`: a tensor, a tuple of arguments or a mapping of them by name. The model is called with it once, without
    gradients and in evaluation mode, to learn the shapes, and which layers a layer gets its input from. Raises
    `InvalidTypeError` for other models, `InvalidValueError` if the model refuses the example.
    """
    torch = torch_of(model, "log_graph")
    seen = _Seen(torch)
    if example is not None:
        seen.call(model, example)
    return ModelGraph(
        tuple(
            Layer(
                name=name,
                type=type(module).__name__,
                parameters=sum(one.numel() for one in module.parameters(recurse=False)),
                trainable=sum(one.numel() for one in module.parameters(recurse=False) if one.requires_grad),
                inputs=tuple(seen.inputs.get(name, ())),
                shapes=tuple(seen.shapes.get(name, ())),
            )
            for name, module in model.named_modules()
        )
    )


def torch_of(model: Any, call: str) -> Any:
    """Return torch, which the model is a module of. Raises `InvalidTypeError` for any other object."""
    torch = sys.modules.get("torch")  # a module of it can't be there without it
    if torch is None or not isinstance(model, torch.nn.Module):
        raise InvalidTypeError(f"{call} takes a torch module, got {type(model).__name__}")
    return torch


def graph_text(graph: ModelGraph) -> str:
    """Return the layers as a table, with the totals below."""
    head = ("layer", "type", "output shape", "parameters")
    rows = [
        (layer.name or "(model)", layer.type, ", ".join(map(_shape, layer.shapes)), f"{layer.parameters:,}")
        for layer in graph.layers
    ]
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = [
        "  ".join(cell.rjust(width) if last else cell.ljust(width) for cell, width, last in _cells(row, widths))
        for row in (head, tuple("-" * width for width in widths), *rows)
    ]
    total = sum(layer.parameters for layer in graph.layers)
    trainable = sum(layer.trainable for layer in graph.layers)
    return "\n".join([*lines, "", f"{total:,} parameters, {trainable:,} of them trainable", ""])


def _cells(row: tuple[str, ...], widths: list[int]) -> Iterator[tuple[str, int, bool]]:
    for number, (cell, width) in enumerate(zip(row, widths, strict=True)):
        yield cell, width, number == len(row) - 1


def _shape(shape: tuple[int, ...]) -> str:
    return f"({', '.join(map(str, shape))})"


class _Seen:
    """What one call of a model shows: the shapes of outputs, and where inputs come from."""

    def __init__(self, torch: Any) -> None:
        self._torch = torch
        self._made_by: dict[int, str] = {}
        self._kept: list[Any] = []
        self._last = ""
        self.shapes: dict[str, list[tuple[int, ...]]] = {}
        self.inputs: dict[str, list[str]] = {}

    def call(self, model: Any, example: Any) -> None:
        """Call the model. Its layers are in training again afterwards if they were before."""
        modes = [(module, module.training) for module in model.modules()]
        hooks = [
            hook
            for name, module in model.named_modules()
            for hook in (
                module.register_forward_pre_hook(self._before(name), with_kwargs=True),
                module.register_forward_hook(self._after(name)),
            )
        ]
        try:
            model.eval()
            with self._torch.no_grad():
                if isinstance(example, Mapping):
                    model(**example)
                else:
                    model(*(example if isinstance(example, tuple) else (example,)))
        except Exception as error:
            raise InvalidValueError(f"log_graph: the model refuses the example: {error}") from error
        finally:
            for hook in hooks:
                hook.remove()
            for module, training in modes:
                module.training = training
            self._kept.clear()

    def _before(self, name: str) -> Any:
        def hook(module: Any, args: Any, kwargs: Any) -> None:
            if next(module.children(), None) is not None or name in self.inputs:
                return
            sources = dict.fromkeys(
                source for tensor in self._tensors((args, kwargs)) if (source := self._made_by.get(id(tensor)))
            )
            # A tensor that came from a function between layers, such as an addition, is nobody's output.
            self.inputs[name] = list(sources) or ([self._last] if self._last else [])

        return hook

    def _after(self, name: str) -> Any:
        def hook(module: Any, args: Any, output: Any) -> None:
            tensors = list(self._tensors(output))
            self.shapes[name] = [tuple(map(int, tensor.shape)) for tensor in tensors]
            if next(module.children(), None) is None:
                self._last = name
                self._kept += tensors  # so that no other tensor gets the id of one
                self._made_by |= dict.fromkeys(map(id, tensors), name)

        return hook

    def _tensors(self, value: Any) -> Iterator[Any]:
        if isinstance(value, self._torch.Tensor):
            yield value
        elif isinstance(value, Mapping):
            for one in value.values():
                yield from self._tensors(one)
        elif isinstance(value, list | tuple):
            for one in value:
                yield from self._tensors(one)


def graph_bytes(graph: ModelGraph) -> bytes:
    """Return the layers as JSON."""
    return msgspec.json.format(msgspec.json.encode(graph), indent=2) + b"\n"
