"""The TensorBoard backend of unitrack. Cheap to import: nothing here imports tensorboard."""

from __future__ import annotations

from unitrack import hookimpl
from unitrack.hookspecs import Backend, Variable
from unitrack_tensorboard.options import TensorBoardOptions

__all__ = ["TensorBoardOptions", "register_backends"]
__version__ = "0.1.0"

LOGDIR_VARIABLES = ("TENSORBOARD_LOGDIR", "TENSORBOARD_LOG_DIR", "TENSORBOARD_LOGGING_DIR")
"""TensorBoard has no variable of its own; images of clusters set the first two, transformers reads the third."""


@hookimpl
def register_backends() -> list[Backend]:
    """TensorBoard: a sink, a source, and what `unitrack doctor` looks at."""
    return [
        Backend(
            name="tensorboard",
            summary="TensorBoard event files, written without TensorFlow or torch",
            sink="unitrack_tensorboard.sink:TensorBoardSink",
            options=TensorBoardOptions,
            source="unitrack_tensorboard.source:TensorBoardSource",
            variables=tuple(Variable(name, option="logdir") for name in LOGDIR_VARIABLES),
            stores=("tensorboard/*/events.out.tfevents.*",),
            requires=("tensorboard", "google_crc32c", "PIL"),
            install="unitrack-tensorboard",
            keeps_annotations=True,
            native={
                "metrics": "scalars",
                "params": "hparams, text",
                "tags": "text",
                "description": "text",
                "status": "hparams, text",
                "text": "text",
                "json": "text",
                "figure": "images",
                "image": "images",
                "video": "images (GIF)",
                "audio": "audio (WAV)",
                "histogram": "histograms",
                "table": "text",
                "pr_curve": "PR curves",
                "embedding": "projector",
                "graph": "graphs",
            },
            rewinds=True,
            kinds_in_order=False,  # each kind has tags of its own
            exact_floats=True,  # beside the float32 that is shown
            non_finite="exact",
            confirms="flush",
            check="unitrack_tensorboard.check:check",
        )
    ]
