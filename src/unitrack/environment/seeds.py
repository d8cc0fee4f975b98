"""One seed for every random number generator that is in use."""

from __future__ import annotations

import operator
import os
import random
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from unitrack.errors import InvalidTypeError, InvalidValueError, MissingPackageError

MAX_SEED = 2**32 - 1
"""The largest seed that NumPy's legacy generator and PYTHONHASHSEED take."""
HASH_SEED = "PYTHONHASHSEED"
_CUBLAS = "CUBLAS_WORKSPACE_CONFIG"
_CUBLAS_DETERMINISTIC = ":4096:8"
"""One of the two values with which cuBLAS is deterministic: the faster one, for 24 MiB of the device's memory."""
_HASH_SEED_AT_START = os.environ.get(HASH_SEED)
"""What the hashes of this process go by: Python reads the variable once, when it starts."""


class Seeds(msgspec.Struct, frozen=True, kw_only=True):
    """What `seed_everything` has seeded."""

    seed: int
    seeded: tuple[str, ...]
    """The libraries whose global generators have the seed, such as "random" and "torch"."""
    deterministic: bool = False
    """Whether deterministic algorithms were asked for."""
    notes: tuple[str, ...] = ()
    """What the seed does not do in this process, in words."""
    is_configured: bool = False
    """Whether it comes from the configuration of a run, and not from a call."""

    @property
    def jax_key(self) -> Any:
        """A JAX key of the seed: JAX has no global generator. Raises `MissingPackageError` without JAX.

        It is made here and not before, because the first key takes the accelerator's memory.
        """
        try:
            import jax  # noqa: PLC0415  # imported only by those who ask for a key
        except ImportError:
            raise MissingPackageError("a JAX key needs JAX: pip install jax") from None
        return jax.random.key(self.seed)

    def params(self) -> dict[str, Any]:
        """Return the params that record it in a run."""
        return {"random_seed": self.seed} | ({"deterministic_algorithms": True} if self.deterministic else {})


class LatestSeeds:
    """What was seeded last in this process, by a call or by the configuration of a run; None before."""

    def __init__(self) -> None:
        self.seeds: Seeds | None = None

    def as_record(self) -> dict[str, Any]:
        """Return it as the record of an environment holds it; empty before."""
        return {} if self.seeds is None else msgspec.to_builtins(self.seeds)


latest = LatestSeeds()
"""Of this process."""


def seed_everything(seed: int, *, deterministic: bool = False, is_configured: bool = False) -> Seeds:
    """Seed `random`, and NumPy (its global generator), torch and TensorFlow where they are imported; return what was.

    `PYTHONHASHSEED` is set for child processes. With `deterministic`, torch and TensorFlow are told to use only
    deterministic algorithms. Raises `InvalidTypeError` or `InvalidValueError` for a seed outside of 0 ... 2**32 - 1.
    """
    seed = check_seed(seed)
    random.seed(seed)
    seeded, notes = ["random"], []
    numpy, torch, tensorflow = (sys.modules.get(name) for name in ("numpy", "torch", "tensorflow"))
    if numpy is not None:
        numpy.random.seed(seed)
        seeded.append("numpy")
    if torch is not None:
        torch.manual_seed(seed)  # of all devices; those that are not in use yet get it when they are
        seeded.append("torch")
    if tensorflow is not None:
        tensorflow.random.set_seed(seed)
        seeded.append("tensorflow")
    os.environ[HASH_SEED] = str(seed)
    if str(seed) != _HASH_SEED_AT_START:
        notes.append(
            f"{HASH_SEED}={seed} acts on processes started from now on; the hashes of this one were fixed when it "
            "started"
        )
    if deterministic:
        notes += _use_deterministic_algorithms(torch, tensorflow)
    latest.seeds = Seeds(
        seed=seed,
        seeded=tuple(seeded),
        deterministic=deterministic,
        notes=tuple(notes),
        is_configured=is_configured,
    )
    return latest.seeds


def as_started(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment with the seed of hashes that this process was started with, which its hashes go by."""
    started = {name: value for name, value in environ.items() if name != HASH_SEED}
    return started if _HASH_SEED_AT_START is None else started | {HASH_SEED: _HASH_SEED_AT_START}


def check_seed(seed: Any) -> int:
    """Return a seed as an int. Raises `InvalidTypeError` or `InvalidValueError`."""
    try:
        checked = operator.index(seed)
    except TypeError:
        raise InvalidTypeError(f"the seed must be an int, got {type(seed).__name__} {seed!r}") from None
    if isinstance(seed, bool) or not 0 <= checked <= MAX_SEED:
        raise InvalidValueError(f"the seed must be an int in 0 ... {MAX_SEED}, got {seed!r}")
    return checked


def _use_deterministic_algorithms(torch: Any, tensorflow: Any) -> Iterator[str]:
    """Tell the libraries that are imported; yield what can't be done any more."""
    if torch is None and tensorflow is None:
        yield "neither torch nor TensorFlow is imported, so none was told to be deterministic: import it first"
    if torch is not None:
        if _CUBLAS not in os.environ:
            os.environ[_CUBLAS] = _CUBLAS_DETERMINISTIC
            if torch.cuda.is_available() and torch.cuda.is_initialized():
                yield f"CUDA was in use before {_CUBLAS} was set: cuBLAS may not follow it in this process"
        torch.use_deterministic_algorithms(True)
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True
    if tensorflow is not None:
        tensorflow.config.experimental.enable_op_determinism()
