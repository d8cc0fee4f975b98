"""unitrack's Weights & Biases backend. Importing this imports no SDK; the sink and the source do."""

from __future__ import annotations

from collections.abc import Iterable

from unitrack import hookimpl
from unitrack.hookspecs import Backend, Variable
from unitrack_wandb.options import WandbOptions

__all__ = ["WandbOptions", "register_backends"]
__version__ = "0.1.0"


@hookimpl
def register_backends() -> Iterable[Backend]:
    """The one backend that this plugin serves."""
    return [
        Backend(
            name="wandb",
            summary="Weights & Biases, online or as offline runs for `wandb sync`",
            sink="unitrack_wandb.sink:WandbSink",
            options=WandbOptions,
            source="unitrack_wandb.source:open_source",
            variables=(
                Variable("WANDB_MODE", option="mode", words={"dryrun": "offline", "run": "online"}),
                Variable("WANDB_PROJECT", option="project", key="experiment.project"),
                Variable("WANDB_ENTITY", option="entity"),
                Variable("WANDB_DIR", option="dir"),
                Variable("WANDB_BASE_URL", option="base_url"),
                Variable("WANDB_NAME", key="experiment.name"),
                Variable("WANDB_NOTES", key="experiment.description"),
                Variable("WANDB_RUN_GROUP", key="experiment.group"),
                Variable("WANDB_JOB_TYPE", key="experiment.job_type"),
                Variable("WANDB_TAGS", key="experiment.tags"),
            ),
            stores=("wandb/*run-*/*.wandb",),
            requires=("wandb",),
            install="unitrack-wandb",
            native={
                "metrics": "history, over the column `step`",
                "params": "config",
                "tags": "tags, and exactly in config",
                "description": "notes",
                "status": "state and exit code",
                "file": "artifact if it has a version, else file",
                "folder": "artifact if it has a version, else file",
                "model": "artifact if it has a version, else file",
                "figure": "image or HTML panel",
                "image": "image panel",
                "histogram": "histogram",
                "table": "table",
                "pr_curve": "table",
                "embedding": "table, with 2D projection",
                "audio": "audio panel",
                "video": "video panel",
                "html": "HTML panel",
                "code": "artifact of the type code",
                "dataset": "artifact of the type dataset",
            },
            rewinds=True,  # offline; what a server has stays
            keeps_annotations=True,
            exact_floats=True,
            non_finite="exact",
            confirms="end",  # the SDK's log does not survive a kill
            check="unitrack_wandb.check:check",
        )
    ]
