"""Imported by Python at its start, since it lies first on PYTHONPATH: see `unitrack.capture.children`.

It costs each process a few milliseconds: unitrack is imported when one of the SDKs is. It then imports the
`sitecustomize` that it hides.
"""

from __future__ import annotations

import os
import sys
from importlib.machinery import PathFinder

TYPE_CHECKING = False  # `typing`, `collections` and `importlib.abc` would cost each process 40 ms
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

_WATCHED = ("wandb", "mlflow", "torch.utils.tensorboard", "tensorboardX", "trackio")
_HERE = os.path.dirname(os.path.abspath(__file__))


class _First:
    """A finder of modules that begins to capture at the first import of an SDK."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in _WATCHED or self not in sys.meta_path:
            return None
        sys.meta_path.remove(self)
        try:
            from unitrack.capture.starting import capture_as_told  # noqa: PLC0415  # when an SDK is imported
        except ImportError as error:
            sys.stderr.write(f"unitrack: {name} is not captured in {sys.executable}: {error}\n")
            return None
        hook = capture_as_told()
        return None if hook is None else hook.find_spec(name, path, target)


def _is_of_unitrack() -> bool:
    """Return whether this process is a courier or a command of unitrack, which call SDKs themselves."""
    words = iter(sys.orig_argv[1:])
    for word in words:
        if word == "-m":
            module = next(words, "")
            return module == "unitrack" or module.startswith("unitrack.")
        if word in ("-X", "-W"):
            next(words, "")
        elif not word.startswith("-"):
            return os.path.basename(word) == "unitrack"
    return False


def _import_hidden() -> None:
    """Import the `sitecustomize` that would have been imported without this one."""
    others = [entry for entry in sys.path if os.path.abspath(entry) != _HERE]
    spec = PathFinder.find_spec("sitecustomize", others)
    if spec is None or spec.loader is None:
        return
    import importlib.util  # noqa: PLC0415  # 5 ms, which a process without another `sitecustomize` need not pay

    module = importlib.util.module_from_spec(spec)
    sys.modules["sitecustomize"] = module
    spec.loader.exec_module(module)


if os.environ.get("UNITRACK_CAPTURE") and not _is_of_unitrack():
    sys.meta_path.insert(0, _First())
_import_hidden()
