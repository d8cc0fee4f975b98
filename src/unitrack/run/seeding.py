"""`unitrack.seed_everything`: one seed for the process, recorded in its runs."""

from __future__ import annotations

from unitrack.environment import seeds
from unitrack.environment.seeds import Seeds
from unitrack.run.current import current_run


def seed_everything(seed: int, *, deterministic: bool = False) -> Seeds:
    """Seed every random number generator that is in use, record the seed, and return what was seeded.

    `random`, and NumPy's global generator, torch (with its CUDA devices) and TensorFlow if they are imported: so call
    it after the imports. Nothing is imported. JAX has no global generator: the result's `jax_key` is a key of the seed.
    `PYTHONHASHSEED` is set, which acts only on child processes; the result's `notes` say so.

    `deterministic=True` also tells torch (`use_deterministic_algorithms`, cuDNN, `CUBLAS_WORKSPACE_CONFIG`) and
    TensorFlow (`enable_op_determinism`) to use only deterministic algorithms. They are slower, and torch raises an
    error where it has none.

    The current run, or else each run that this process starts afterwards, gets the param `random_seed`, unless it has
    one; and `deterministic_algorithms` if asked for. A seed of the configuration (`reproducibility.random_seed`) is set
    when a run starts, and so replaces this one. Raises `InvalidTypeError` or `InvalidValueError` for a seed that is no
    integer in 0 ... 2**32 - 1.
    """
    done = seeds.seed_everything(seed, deterministic=deterministic)
    run = current_run()
    if run is not None and "random_seed" not in run.config:
        run.log_params(done.params())
    return done
