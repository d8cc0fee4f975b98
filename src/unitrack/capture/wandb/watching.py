"""`wandb.watch`: gradients and parameters of torch modules as histograms, every so many batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from unitrack.capture.wandb.media import Histogram


class Watch:
    """The hooks on the parameters of modules. What they see is logged with the next call of `log`."""

    def __init__(self, log: Callable[[dict[str, Any]], None]) -> None:
        self._log = log
        self._handles: list[Any] = []

    def add(self, models: Any, log: str | None, every: int) -> None:
        """Watch modules. `log`: "gradients", "parameters" or "all"."""
        for number, model in enumerate(models if isinstance(models, Sequence) else [models]):
            prefix = f"graph_{number}" if number else ""
            if log in ("gradients", "all"):
                for name, parameter in model.named_parameters():
                    if parameter.requires_grad:
                        hook = self._hook(f"{prefix}gradients/{name}", every)
                        self._handles.append(parameter.register_hook(hook))
            if log in ("parameters", "all"):
                self._handles.append(model.register_forward_hook(self._forward(prefix, every)))

    def _hook(self, name: str, every: int) -> Callable[[Any], None]:
        count = 0

        def see(gradient: Any) -> None:
            nonlocal count
            count += 1
            if count >= every:
                count = 0
                self._see(name, gradient)

        return see

    def _forward(self, prefix: str, every: int) -> Callable[[Any, Any, Any], None]:
        count = 0

        def see(module: Any, inputs: Any, output: Any) -> None:
            nonlocal count
            count += 1
            if count >= every:
                count = 0
                for name, parameter in module.named_parameters():
                    self._see(f"{prefix}parameters/{name}", parameter.data)

        return see

    def _see(self, name: str, tensor: Any) -> None:
        flat = tensor.detach().float().flatten()
        finite = flat[flat.isfinite()]
        if len(finite):
            self._log({name: Histogram(finite.cpu().numpy())})

    def remove(self) -> None:
        """Watch no longer."""
        while self._handles:
            self._handles.pop().remove()
