"""The differences between two runs that are no fault, because a backend or a sink's options declare them."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from unitrack.hookspecs import Backend


class Allowances(msgspec.Struct, frozen=True, kw_only=True):
    """What the other run need not hold as the reference holds it. Such differences are stated, and do not fail."""

    exact_floats: bool = True
    """False compares values as 32-bit floats, which is all that the backend declares to hold."""
    text_params: bool = False
    """Whether a param may be the text of the value: a backend that was written by another program may hold no other."""
    annotations: bool = True
    """Whether the backend keeps what artifacts were logged with, such as captions."""
    keep_every: int = 1
    """Above 1, points may be missing: the sink gets every n-th point of a metric."""
    changed_by: tuple[str, ...] = ()
    """Middleware of the sink that filters, renames or redacts: no difference is then a fault."""
    superseded: Mapping[str, int] = {}
    """By metric: from this step on, points may differ, since training went back and the backend withdraws no points."""

    @classmethod
    def of(cls, backend: Backend) -> Allowances:
        """Return what a backend declares."""
        return cls(exact_floats=backend.exact_floats, annotations=backend.keeps_annotations)
