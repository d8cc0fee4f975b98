"""Saving a model in its framework's own format, safe ones first. A framework is imported only by its own objects."""

from __future__ import annotations

import importlib.util
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from unitrack.errors import InvalidTypeError, InvalidValueError

Saver = Callable[[Any, Path], Path]
"""Called with a model and an empty folder; writes a file or a folder there and returns its path."""

_savers: dict[type, Saver] = {}
_REMEDY = (
    "register a saver for it with unitrack.models.register_saver, or save it to a file and pass the path to log_model"
)


def register_saver(kind: type, saver: Saver) -> None:
    """Have `log_model` save objects of `kind`, and of what derives from it, with `saver`: before any saver of ours.

    Of several that fit, the one of the nearest class is taken; registering one for the same class again replaces it.
    """
    _savers[kind] = saver


def save_model(model: Any, folder: Path) -> Path:
    """Write `model` into `folder` and return the file or folder that holds it.

    By the saver registered for its class; else what has `save_pretrained` by that, torch modules as a state dict (loads
    with `weights_only=True`), scripted and exported ones whole, Keras as `.keras`, XGBoost as JSON, LightGBM's and
    CatBoost's in their own formats, scikit-learn estimators with skops (pickled without it). Raises `InvalidTypeError`
    for other objects, `InvalidValueError` if a registered saver doesn't return what it wrote.
    """
    for kind in type(model).__mro__:
        if kind in _savers:
            return _written(_savers[kind](model, folder), folder, kind)
    torch = sys.modules.get("torch")
    if torch is not None and (saved := _save_torch(torch, model, folder)):
        return saved
    if hasattr(model, "save_pretrained"):
        model.save_pretrained(folder / "model")
        return folder / "model"
    families = {kind.__module__.partition(".")[0] for kind in type(model).__mro__}  # a class of the user's derives
    if families & {"keras", "tensorflow"}:
        model.save(folder / "model.keras")
        return folder / "model.keras"
    if hasattr(model, "save_model"):
        suffix = ".txt" if "lightgbm" in families else ".cbm" if "catboost" in families else ".json"
        model.save_model(str(folder / f"model{suffix}"))
        return folder / f"model{suffix}"
    if hasattr(model, "get_params") and hasattr(model, "fit"):
        return _save_estimator(model, folder)
    raise InvalidTypeError(f"log_model can't save a {type(model).__name__}: {_REMEDY}")


def _written(path: Path, folder: Path, kind: type) -> Path:
    path = Path(path)
    if not path.exists() or path.parent.resolve() != folder.resolve():
        raise InvalidValueError(
            f"the saver of {kind.__name__} returned {str(path)!r}: it must write a file or a folder into the folder "
            f"that it is given, and return its path"
        )
    return path


def _save_torch(torch: Any, model: Any, folder: Path) -> Path | None:
    if isinstance(model, torch.jit.ScriptModule):
        torch.jit.save(model, folder / "model.pt")
        return folder / "model.pt"
    if isinstance(model, torch.nn.Module) and not hasattr(model, "save_pretrained"):
        torch.save(model.state_dict(), folder / "model.pt")
        return folder / "model.pt"
    export = sys.modules.get("torch.export")
    if export is not None and isinstance(model, export.ExportedProgram):
        export.save(model, folder / "model.pt2")
        return folder / "model.pt2"
    return None


def _save_estimator(model: Any, folder: Path) -> Path:
    if importlib.util.find_spec("skops") is not None:
        from skops import io

        io.dump(model, folder / "model.skops")
        return folder / "model.skops"
    path = folder / "model.pkl"
    try:
        path.write_bytes(pickle.dumps(model, protocol=5))  # not joblib's form, which MLflow can't load
    except (pickle.PicklingError, AttributeError, TypeError) as error:  # all three mean that it holds, say, a lambda
        raise InvalidTypeError(f"log_model can't pickle a {type(model).__name__}: {error}; {_REMEDY}") from error
    return path
