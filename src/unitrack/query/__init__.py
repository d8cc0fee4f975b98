"""The query language, in which runs are chosen and ordered: `params.lr < 0.01 and metrics.loss.min < 0.3`.

A query is parsed, never evaluated as Python. It knows nothing of backends: it is asked whether it matches a run. Rules
of other kinds are parsed by the same parser with a vocabulary of their own.
"""

from __future__ import annotations
