"""The watch of one torch module: on every n-th pass in training it copies gradients and parameters, on their device.

Other passes cost one Python call of the outermost module. On a sampled one, each parameter gets a hook that copies its
gradient once `backward` has accumulated it; the sample is complete when all have, or when the next pass begins.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from unitrack.errors import warn_caller
from unitrack.media.graphs import torch_of
from unitrack.values.device import own_copy


class Sample:
    """Copies of tensors, by kind and name, each with a function that waits until its copy is made."""

    def __init__(self, step: int) -> None:
        self.step = step
        self.bytes = 0
        """What the copies take."""
        self.tensors: dict[tuple[str, str], tuple[Any, Callable[[], object]]] = {}

    def add(self, kind: str, name: str, tensor: Any) -> None:
        """Copy a tensor. A sparse one counts with its values alone."""
        tensor = tensor.detach()
        tensor = tensor.coalesce().values() if tensor.is_sparse else tensor
        self.tensors[kind, name] = own_copy(tensor)
        self.bytes += tensor.numel() * tensor.element_size()


class ModelWatch:
    """Samples one module until it is closed."""

    def __init__(
        self,
        model: Any,
        kinds: tuple[str, ...],
        every: int,
        prefix: str,
        next_step: Callable[[], int | None],
        submit: Callable[[Sample], None],
    ) -> None:
        """`prefix`: before the names of parameters. `next_step`: the step of a sample, None to leave it out."""
        self.model = model
        self._torch = torch_of(model, "watch")
        self._kinds = kinds
        self._every = every
        self._prefix = prefix
        self._next_step = next_step
        self._submit = submit
        self._passes = 0
        self._sample: Sample | None = None
        self._missing: set[str] = set()
        self._gradient_hooks: list[Any] = []
        self._lock = threading.Lock()  # torch calls hooks of gradients in its own threads
        self._hook = model.register_forward_pre_hook(self._before_forward)

    def submit(self) -> None:
        """Hand in the sample that is under way, if there is one."""
        with self._lock:
            sample, self._sample = self._sample, None
            hooks, self._gradient_hooks = self._gradient_hooks, []
        for hook in hooks:
            hook.remove()
        if sample is not None and sample.tensors:
            self._submit(sample)

    def close(self) -> None:
        """Sample no more. A sample that is under way is dropped."""
        self._hook.remove()
        with self._lock:
            self._sample = None
            hooks, self._gradient_hooks = self._gradient_hooks, []
        for hook in hooks:
            hook.remove()

    def _before_forward(self, module: Any, args: Any) -> None:
        if not module.training or not self._torch.is_grad_enabled():
            return
        number = self._passes
        self._passes += 1
        if self._sample is None and number % self._every:
            return
        try:
            self.submit()
            if number % self._every == 0:
                self._begin(module)
        except Exception as error:  # training goes on, whatever a tensor is
            self.close()
            warn_caller(f"the model {type(module).__name__} is no longer watched: {type(error).__name__}: {error}")

    def _begin(self, module: Any) -> None:
        step = self._next_step()
        if step is None:
            return
        sample = Sample(step)
        trained = {name: one for name, one in module.named_parameters() if one.requires_grad}
        if "parameters" in self._kinds:
            for name, parameter in module.named_parameters():
                sample.add("parameters", self._prefix + name, parameter)
        if "gradients" not in self._kinds or not trained:
            self._sample = sample
            self.submit()
            return
        self._sample, self._missing = sample, set(trained)
        self._gradient_hooks = [
            parameter.register_post_accumulate_grad_hook(self._copier(name)) for name, parameter in trained.items()
        ]

    def _copier(self, name: str) -> Callable[[Any], None]:
        def copy(parameter: Any) -> None:
            with self._lock:
                sample = self._sample
                if sample is None or parameter.grad is None:
                    return
                sample.add("gradients", self._prefix + name, parameter.grad)
                self._missing.discard(name)
                is_complete = not self._missing
            if is_complete:
                self.submit()

        return copy
