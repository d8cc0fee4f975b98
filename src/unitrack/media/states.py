"""The state of a training as a file that is safe to load: no code of the file runs.

With tensors of torch it is `torch.save`'s file, which `torch.load(weights_only=True)` takes. With NumPy arrays it is an
`.npz` file, in which the structure around the arrays is JSON. Without either it is a JSON file.
"""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from unitrack.errors import InvalidTypeError, InvalidValueError, SourceError

_STRUCTURE = "unitrack.json"
"""The member of an `.npz` file that holds the structure, as bytes."""
_MARK = "$unitrack"
"""The key of a JSON object that stands for what JSON has not."""
_DEEPEST = 100


def as_state(state: Any) -> Mapping[Any, Any]:
    """Return a state as a mapping: as it is, or what its `state_dict()` gives. Raises `InvalidTypeError`."""
    if not isinstance(state, Mapping) and callable(getattr(state, "state_dict", None)):
        state = state.state_dict()
    if not isinstance(state, Mapping):
        raise InvalidTypeError(
            f"a checkpoint is a mapping, an object with state_dict(), or the path of a file, got {type(state).__name__}"
        )
    return state


def suffix_of(state: Mapping[Any, Any]) -> str:
    """Return the suffix of the file that `save_state` writes: .pt, .npz or .json. Raises `InvalidValueError`."""
    kinds = {_kind(leaf) for leaf in _leaves(state, _DEEPEST)}
    return ".pt" if "tensor" in kinds else ".npz" if "array" in kinds else ".json"


def least_bytes(state: Mapping[Any, Any]) -> int:
    """Return the bytes that a file of a state takes at least: those of its tensors and arrays.

    Only what the tensors tell of themselves is read, nothing of their devices. Raises `InvalidValueError`.
    """
    return sum(_storages(_leaves(state, _DEEPEST)).values())


def _storages(leaves: Iterator[Any]) -> dict[object, int]:
    """Return the bytes of each piece of memory: tensors that share one are saved once."""
    found: dict[object, int] = {}
    for number, leaf in enumerate(leaves):
        kind = _kind(leaf)
        if kind == "array":
            found[number] = int(leaf.nbytes)
        elif kind == "tensor":
            try:
                storage = leaf.untyped_storage()
                found["at", storage.data_ptr() or -number] = int(storage.nbytes())
            except (RuntimeError, NotImplementedError):  # a sparse one, or one without memory
                continue
    return found


def save_state(state: Mapping[Any, Any], path: Path) -> None:
    """Write a state into a file with the suffix of `suffix_of`.

    Raises `InvalidTypeError`, which names the place, for a value that such a file can't hold, and `OSError`.
    """
    if path.suffix == ".pt":
        sys.modules["torch"].save(_as_plain_mappings(state), path)
        return
    arrays: dict[str, Any] = {}
    structure = json.dumps(_encoded(state, arrays, "state")).encode()
    if path.suffix == ".json":
        path.write_bytes(structure)
        return
    import numpy  # noqa: PLC0415  # there are arrays, so it is imported

    with path.open("xb") as file:
        numpy.savez(file, **{_STRUCTURE: numpy.frombuffer(structure, numpy.uint8)}, **arrays)


def load_state(path: Path) -> Any:
    """Return the state in a file that `save_state` has written. Raises `SourceError` if it can't be loaded safely."""
    try:
        if path.suffix == ".json":
            return _decoded(json.loads(path.read_bytes()), {})
        if path.suffix == ".npz":
            import numpy  # noqa: PLC0415  # optional; who saved arrays has it

            with numpy.load(path, allow_pickle=False) as arrays:
                return _decoded(json.loads(arrays[_STRUCTURE].tobytes()), arrays)
        if path.suffix in (".pt", ".pth"):
            return _load_torch(path)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise SourceError(f"can't load the checkpoint {path}: {error}") from error
    raise SourceError(f"the checkpoint {path} is a file of your own: load it as you have saved it")


def _load_torch(path: Path) -> Any:
    import pickle  # noqa: PLC0415  # for its error only

    import torch  # noqa: PLC0415  # seconds; who saved tensors has it

    try:
        with torch.serialization.safe_globals(_array_types()):
            return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError) as error:
        raise SourceError(
            f"torch can't load {path} safely: {str(error).splitlines()[0]}; if you trust it, use torch.load"
        ) from error


def _array_types() -> list[Any]:
    """Return what torch must know to load NumPy arrays and scalars: their types, which run no code of a file."""
    numpy = sys.modules.get("numpy")
    if numpy is None:
        return []
    core = getattr(numpy, "_core", None) or numpy.core
    types = {type(numpy.dtype(kind)) for kind in "?bBhHiIlLqQefdFD"}
    return [numpy.ndarray, numpy.dtype, *types, core.multiarray._reconstruct, core.multiarray.scalar]  # noqa: SLF001  # torch asks for these by name


def _kind(leaf: object) -> str:
    torch, numpy = sys.modules.get("torch"), sys.modules.get("numpy")
    if torch is not None and isinstance(leaf, torch.Tensor):
        return "tensor"
    if numpy is not None and isinstance(leaf, numpy.ndarray | numpy.generic):
        return "array"
    return ""


def _leaves(value: Any, levels: int) -> Iterator[Any]:
    if isinstance(value, Mapping | list | tuple):
        if not levels:
            raise InvalidValueError(f"the state of a checkpoint is nested more than {_DEEPEST} levels deep")
        for one in value.values() if isinstance(value, Mapping) else value:
            yield from _leaves(one, levels - 1)
    else:
        yield value


def _as_plain_mappings(value: Any) -> Any:
    """Return a state with dicts in place of other mappings, of which torch would refuse to load the class."""
    if isinstance(value, Mapping):
        return {key: _as_plain_mappings(one) for key, one in value.items()}
    return type(value)(map(_as_plain_mappings, value)) if type(value) in (list, tuple) else value


def _encoded(value: Any, arrays: dict[str, Any], place: str) -> Any:
    """Return a value as JSON values; arrays get names in `arrays`."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if _kind(value) == "array":
        if value.dtype.hasobject:
            raise InvalidTypeError(f"{place} is an array of Python objects, which can't be saved safely")
        name = f"a{len(arrays)}"
        arrays[name] = value
        return {_MARK: "array" if value.ndim or type(value).__name__ == "ndarray" else "scalar", "value": name}
    if isinstance(value, Mapping):
        if all(isinstance(key, str) for key in value) and _MARK not in value:
            return {key: _encoded(one, arrays, f"{place}[{key!r}]") for key, one in value.items()}
        pairs = [
            [_encoded(key, arrays, place), _encoded(one, arrays, f"{place}[{key!r}]")] for key, one in value.items()
        ]
        return {_MARK: "pairs", "value": pairs}
    if isinstance(value, list | tuple):
        items = [_encoded(one, arrays, f"{place}[{number}]") for number, one in enumerate(value)]
        return items if isinstance(value, list) else {_MARK: "tuple", "value": items}
    if isinstance(value, bytes | bytearray):
        return {_MARK: "bytes", "value": base64.b64encode(value).decode()}
    raise InvalidTypeError(
        f"a checkpoint can't hold {place}, a {type(value).__name__}: give numbers, texts, arrays, tensors, lists and "
        "mappings of them, or save it yourself and give the path of the file"
    )


def _decoded(value: Any, arrays: Mapping[str, Any]) -> Any:
    if isinstance(value, list):
        return [_decoded(one, arrays) for one in value]
    if not isinstance(value, dict):
        return value
    kind, inside = value.get(_MARK), value.get("value", "")
    if kind is None:
        return {key: _decoded(one, arrays) for key, one in value.items()}
    if kind in ("array", "scalar"):
        return arrays[inside] if kind == "array" else arrays[inside][()]
    if kind == "bytes":
        return base64.b64decode(inside)
    items = _decoded(inside, arrays)
    if kind == "tuple":
        return tuple(items)
    if kind == "pairs":
        return {tuple(key) if isinstance(key, list) else key: one for key, one in items}
    raise ValueError(f"it holds {kind!r}, which is of a newer version")
