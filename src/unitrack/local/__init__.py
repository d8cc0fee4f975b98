"""The local backend: plain files in the run folder. It is declared like the backend of any plugin."""

from __future__ import annotations

from unitrack.hookspecs import Backend, hookimpl
from unitrack.local.options import LocalOptions


@hookimpl
def register_backends() -> list[Backend]:
    """Return the backend `local`."""
    return [
        Backend(
            name="local",
            summary="plain files in the run folder: metadata.json, params.json, metrics.jsonl, artifacts/",
            sink="unitrack.local.sink:LocalSink",
            source="unitrack.local.opening:open_source",
            options=LocalOptions,
            shared_options=("artifact_location",),
            rewinds=True,
            stores=("*/.unitrack/run.json", ".artifacts/lock"),
            kinds_in_order=False,
            keeps_run_folder=True,
            keeps_annotations=True,
            once_per_run=True,
            native={
                "metrics": "metrics.jsonl",
                "params": "params.json",
                "tags": "metadata.json",
                "description": "metadata.json",
                "status": "metadata.json",
            },
            check="unitrack.local.check:check_places",
        )
    ]
