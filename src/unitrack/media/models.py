"""Saving a model in its framework's own format, preferring formats that are safe to load.

A framework is recognised by its objects and never imported to look for them.
"""

from __future__ import annotations

import importlib.util
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from unitrack.errors import InvalidTypeError, InvalidValueError
from unitrack.media.signatures import evaluating

Saver = Callable[[Any, Path], Path]
"""A function that gets a model and an empty folder, writes a file or a folder there, and returns its path."""

_savers: dict[type, Saver] = {}
_REMEDY = (
    "register a saver for it with unitrack.media.models.register_saver, or save it to a file and pass the path to "
    "log_model"
)


def register_saver(kind: type, saver: Saver) -> None:
    """Make `log_model` save objects of `kind` and of its subclasses with `saver`, instead of the built-in way.

    If several savers match, the one of the nearest class is used. Registering another for the same class replaces it.
    """
    _savers[kind] = saver


def save_model(model: Any, folder: Path, example: Any = None) -> Path:
    """Write `model` into `folder` and return the file or folder that holds it.

    A saver that is registered for its class is used first. Without one: a torch module is saved as a state dict (loads
    with `weights_only=True`), a scripted or exported one whole, a model with `save_pretrained` by that method, Keras as
    `.keras`, XGBoost as JSON, LightGBM and CatBoost in their own formats, a scikit-learn estimator with skops (pickled
    if skops is missing). With an `example` of its input, a torch module is exported as a program, which needs none of
    its code to be loaded. Raises `InvalidTypeError` for other objects, `InvalidValueError` if a registered saver does
    not return the path of what it wrote.
    """
    for kind in type(model).__mro__:
        if kind in _savers:
            return _written(_savers[kind](model, folder), folder, kind)
    torch = sys.modules.get("torch")
    if torch is not None and (saved := _save_torch(torch, model, folder, example)):
        return saved
    if hasattr(model, "save_pretrained"):
        model.save_pretrained(folder / "model")
        return folder / "model"
    families = {kind.__module__.partition(".")[0] for kind in type(model).__mro__}  # with the bases of a user's class
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


def least_bytes(model: Any) -> int:
    """Return the bytes that `save_model` writes at least; 0 if only the file itself will tell."""
    torch = sys.modules.get("torch")
    is_own = any(kind in _savers for kind in type(model).__mro__)
    if torch is None or is_own or not isinstance(model, torch.nn.Module):
        return 0
    from unitrack.media import states  # noqa: PLC0415  # only for versions of torch's models

    return states.least_bytes(model.state_dict())


def _written(path: Path, folder: Path, kind: type) -> Path:
    path = Path(path)
    if not path.exists() or path.parent.resolve() != folder.resolve():
        raise InvalidValueError(
            f"the saver of {kind.__name__} returned {str(path)!r}: it must write a file or a folder into the folder "
            f"that it is given, and return its path"
        )
    return path


def _save_torch(torch: Any, model: Any, folder: Path, example: Any) -> Path | None:
    if isinstance(model, torch.jit.ScriptModule):
        torch.jit.save(model, folder / "model.pt")
        return folder / "model.pt"
    if isinstance(model, torch.nn.Module) and example is not None:
        return _export_torch(torch, model, folder / "model.pt2", example)
    if isinstance(model, torch.nn.Module) and not hasattr(model, "save_pretrained"):
        torch.save(model.state_dict(), folder / "model.pt")
        return folder / "model.pt"
    export = sys.modules.get("torch.export")
    if export is not None and isinstance(model, export.ExportedProgram):
        export.save(model, folder / "model.pt2")
        return folder / "model.pt2"
    return None


def _export_torch(torch: Any, model: Any, file: Path, example: Any) -> Path:
    """Export a module as a program for any number of samples, as far as its code allows; else for that of the example.

    Raises `InvalidValueError` for a module that torch can't export.
    """
    from torch import export  # noqa: PLC0415  # a second, for modules with an example only

    if example.ndim and example.shape[0] == 1:
        example = torch.cat([example, example])  # torch takes a size of 1 for a constant
    shapes = ({0: export.Dim.AUTO},) if example.ndim else None
    try:
        with evaluating(model):
            export.save(export.export(model, (example,), dynamic_shapes=shapes), file)
    except Exception as error:  # whatever the module's code raises
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InvalidValueError(
            f"log_model: torch can't export a {type(model).__name__} ({reason}); without input_example, its state dict "
            "is saved"
        ) from error
    return file


def _save_estimator(model: Any, folder: Path) -> Path:
    if importlib.util.find_spec("skops") is not None:
        from skops import io  # noqa: PLC0415  # optional, and imports scikit-learn: seconds

        io.dump(model, folder / "model.skops")
        return folder / "model.skops"
    path = folder / "model.pkl"
    try:
        path.write_bytes(pickle.dumps(model, protocol=5))  # not by joblib: MLflow can't load its format
    except (pickle.PicklingError, AttributeError, TypeError) as error:  # for example: the model holds a lambda
        raise InvalidTypeError(f"log_model can't pickle a {type(model).__name__}: {error}; {_REMEDY}") from error
    return path
