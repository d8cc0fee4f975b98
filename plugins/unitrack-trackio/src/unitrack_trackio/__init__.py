"""The trackio backend of unitrack. Cheap to import: nothing here imports trackio."""

from __future__ import annotations

from unitrack import hookimpl
from unitrack.hookspecs import Backend, Variable
from unitrack_trackio.options import TrackioOptions

__all__ = ["TrackioOptions", "register_backends"]
__version__ = "0.1.0"


@hookimpl
def register_backends() -> list[Backend]:
    """trackio: a sink, a source, and what `unitrack doctor` looks at."""
    return [
        Backend(
            name="trackio",
            summary="trackio's local projects, for its dashboard and `trackio sync`",
            sink="unitrack_trackio.sink:TrackioSink",
            options=TrackioOptions,
            source="unitrack_trackio.source:TrackioSource",
            variables=(Variable("TRACKIO_PROJECT", option="project", key="experiment.project"),),
            requires=("trackio",),
            install="unitrack-trackio",
            native={
                "metrics": "metrics",
                "params": "config",
                "tags": "config",
                "description": "config",
                "status": "config",
            },
            keeps_annotations=True,
            exact_floats=True,
            non_finite="exact",
            kinds_in_order=False,  # points are rows, all else is in the config
            confirms="flush",
            check="unitrack_trackio.check:check",
        )
    ]
