"""`from unitrack.capture.tensorboard import SummaryWriter`: torch's writer, which logs to unitrack alone.

It needs neither torch nor TensorBoard. `unitrack capture --replace tensorboard` puts this module in the place of
`torch.utils.tensorboard` and `tensorboardX`.
"""

from __future__ import annotations

import os
import socket
import time
from types import TracebackType
from typing import Any, Self

from unitrack.capture.forwarding.tensorboard_calls import TensorBoardCalls
from unitrack.capture.session import session

NOT_KEPT = (
    "add_custom_scalars",
    "add_custom_scalars_marginchart",
    "add_custom_scalars_multilinechart",
    "add_embedding",
    "add_graph",
    "add_mesh",
    "add_onnx_graph",
    "add_pr_curve",
    "add_pr_curve_raw",
    "add_tensor",
)
"""Methods that can be called, and are counted in the report."""


class SummaryWriter(TensorBoardCalls):
    """A writer whose log directory is the name of a run. Nothing is written to that directory."""

    def __init__(
        self, log_dir: str | os.PathLike[str] | None = None, comment: str = "", *args: Any, **kwargs: Any
    ) -> None:
        """`log_dir`: by default "runs/<date>_<host>" and the comment. Other arguments change nothing."""
        given = log_dir or kwargs.get("logdir")
        self.log_dir = os.fspath(given) if given else os.path.join("runs", _default(comment))
        super().__init__(self.log_dir)

    @property
    def logdir(self) -> str:
        """The log directory, as tensorboardX calls it."""
        return self.log_dir

    def get_logdir(self) -> str:
        """Return the log directory."""
        return self.log_dir

    def flush(self) -> None:
        """Do nothing: what a call has returned for is safe."""

    def __getattr__(self, name: str) -> Any:
        if name not in NOT_KEPT:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

        def count(*args: Any, **kwargs: Any) -> None:
            session.report.miss(f"SummaryWriter.{name}")

        return count

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close("finished" if kind is None else "failed")


def _default(comment: str) -> str:
    return f"{time.strftime('%b%d_%H-%M-%S')}_{socket.gethostname()}{comment}"


__all__ = ["SummaryWriter"]
