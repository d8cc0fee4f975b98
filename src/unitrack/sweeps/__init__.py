"""Sweeps: many runs of one function or program, which search for good params.

`unitrack.sweep` runs them; here are the kinds of params for its space.
"""

from unitrack.sweeps.params import integers, log_uniform, uniform
from unitrack.sweeps.space import choice

__all__ = ["choice", "integers", "log_uniform", "uniform"]
