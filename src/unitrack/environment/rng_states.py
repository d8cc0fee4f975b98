"""The states of random number generators as plain JSON values, which a checkpoint holds.

Nothing is imported for it, and nothing is unpickled: a state is numbers, and bytes as base64 text.
"""

from __future__ import annotations

import base64
import random
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from unitrack.errors import InvalidTypeError, InvalidValueError

_ARRAYS = ("uint32", "uint64", "uint8")
"""The element types of the arrays in the states of NumPy's bit generators."""
_JSON_INTEGER = 2**63
"""Integers from here on are texts: JSON readers don't hold the 128 bits of a PCG64."""


class _Kind(msgspec.Struct, frozen=True):
    """How the state of one kind of generator is read and written."""

    get: Callable[[Any], Any]
    set: Callable[[Any, Any], None]


def read_rng_states(generators: Mapping[str, Any]) -> dict[str, Any]:
    """Return the states of the global generators of the libraries that are imported, and of `generators`.

    These may be `random.Random`, NumPy's `Generator`, `BitGenerator` and `RandomState`, and `torch.Generator`. Raises
    `InvalidTypeError` for anything else.
    """
    states = {name: _require_kind(name, library).get(library) for name, library in _globals().items()}
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        states["cuda"] = [_as_text(state) for state in torch.cuda.get_rng_state_all()]
    own = {name: _require_kind(name, generator).get(generator) for name, generator in generators.items()}
    return states | ({"generators": own} if own else {})


def restore_rng_states(states: Mapping[str, Any], generators: Mapping[str, Any]) -> list[str]:
    """Set generators to saved states; return what could not be set, each as a sentence.

    Raises `InvalidTypeError` for an object in `generators` that is no generator, and `InvalidValueError` for a state
    that can't be one.
    """
    known = _globals()
    problems = []
    for name in ("random", "numpy", "torch"):
        if name in states and name not in known:
            problems.append(f"{name} is not imported: import it before load_state_dict")
        elif name in states:
            _set(name, known[name], states[name])
    if "cuda" in states:
        problems += _restore_cuda(states["cuda"])
    own = states.get("generators", {})
    for name, generator in generators.items():
        _require_kind(name, generator)
        if name in own:
            _set(name, generator, own[name])
        else:
            problems.append(f"the state holds no generator {name!r}: pass it to state_dict(generators=...) as well")
    if left := [name for name in own if name not in generators]:
        problems.append(f"pass load_state_dict(generators=...) those of {_listed(left)}")
    return problems


def _globals() -> dict[str, Any]:
    """Return the libraries with a global generator that are imported; each stands for its generator."""
    found: dict[str, Any] = {"random": random}
    for name in ("numpy", "torch"):
        library = sys.modules.get(name)
        if library is not None:
            found[name] = library.random if name == "numpy" else library.default_generator
    return found


def _require_kind(name: str, generator: Any) -> _Kind:
    kind = _kind_of(generator)
    if kind is None:
        raise InvalidTypeError(
            f"generators[{name!r}] must be a random.Random, a NumPy Generator or RandomState, or a torch.Generator, "
            f"got {type(generator).__name__}"
        )
    return kind


def _kind_of(generator: Any) -> _Kind | None:
    if generator is random or isinstance(generator, random.Random):
        return _PYTHON
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    if numpy is not None:
        if generator is numpy.random or isinstance(generator, numpy.random.RandomState):
            return _NUMPY_LEGACY
        if isinstance(generator, numpy.random.Generator):
            return _NUMPY
        if isinstance(generator, numpy.random.BitGenerator):
            return _NUMPY_BITS
    if torch is not None and isinstance(generator, torch.Generator):
        return _TORCH
    return None


def _set(name: str, generator: Any, state: Any) -> None:
    try:
        _require_kind(name, generator).set(generator, state)
    except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise InvalidValueError(f"the state of {name!r} is not one of such a generator: {error}") from error


def _restore_cuda(states: Iterable[Any]) -> list[str]:
    torch = sys.modules.get("torch")
    if torch is None:
        return []  # it is named already
    saved = list(states)
    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    for device, state in enumerate(saved[:there]):
        try:
            torch.cuda.set_rng_state(_as_tensor(state), device)
        except (RuntimeError, TypeError, ValueError) as error:
            raise InvalidValueError(f"the state of CUDA device {device} is not one: {error}") from error
    if there == len(saved):
        return []
    return [f"the state holds {len(saved)} CUDA devices, and there are {there} here"]


# -- each kind ---------------------------------------------------------------------------------------------------------


def _python_state(generator: Any) -> dict[str, Any]:
    version, words, gauss = generator.getstate()
    *key, position = words
    packed = b"".join(word.to_bytes(4, "little") for word in key)
    return {"version": version, "key": _base64(packed), "position": position, "gauss": gauss}


def _set_python(generator: Any, state: Any) -> None:
    packed = _bytes(state["key"])
    key = [int.from_bytes(packed[at : at + 4], "little") for at in range(0, len(packed), 4)]
    generator.setstate((state["version"], (*key, state["position"]), state["gauss"]))


def _torch_state(generator: Any) -> str:
    return _as_text(generator.get_state())


def _set_torch(generator: Any, state: Any) -> None:
    generator.set_state(_as_tensor(state))


def _as_text(tensor: Any) -> str:
    return _base64(bytes(tensor.tolist()))  # without NumPy, which torch need not have


def _as_tensor(text: Any) -> Any:
    torch = sys.modules["torch"]
    return torch.frombuffer(bytearray(_bytes(text)), dtype=torch.uint8)


_PYTHON = _Kind(_python_state, _set_python)
_NUMPY_LEGACY = _Kind(
    lambda generator: _plain(generator.get_state(legacy=False)),
    lambda generator, state: generator.set_state(_native(state)),
)
_NUMPY_BITS = _Kind(
    lambda bits: _plain(bits.state),
    lambda bits, state: setattr(bits, "state", _native(state)),
)
_NUMPY = _Kind(
    lambda generator: _plain(generator.bit_generator.state),
    lambda generator, state: setattr(generator.bit_generator, "state", _native(state)),
)
_TORCH = _Kind(_torch_state, _set_torch)


# -- values ------------------------------------------------------------------------------------------------------------


def _plain(value: Any) -> Any:
    """Return a state of NumPy's without arrays and without integers that JSON readers don't hold."""
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    if hasattr(value, "dtype") and value.shape:
        little = value.astype(value.dtype.newbyteorder("<"))
        return {"dtype": value.dtype.name, "base64": _base64(little.tobytes())}
    if isinstance(value, str | float) or value is None:
        return value
    number = int(value)
    return number if number < _JSON_INTEGER else {"integer": str(number)}


def _native(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    if "base64" in value:
        if value["dtype"] not in _ARRAYS:
            raise ValueError(f"unknown dtype {value['dtype']!r}")
        numpy = sys.modules["numpy"]
        stored = numpy.frombuffer(_bytes(value["base64"]), numpy.dtype(value["dtype"]).newbyteorder("<"))
        return stored.astype(value["dtype"])
    if "integer" in value:
        return int(value["integer"])
    return {key: _native(one) for key, one in value.items()}


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names))
