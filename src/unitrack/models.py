"""Saving a model in its framework's own format, safe ones first. A framework is imported only by its own objects."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

from unitrack.errors import InvalidTypeError, MissingPackageError


def save_model(model: Any, folder: Path) -> Path:
    """Write `model` into `folder` and return the file or folder that holds it.

    torch modules as a state dict (loads with `weights_only=True`), scikit-learn estimators with skops (joblib without
    it), XGBoost as JSON, Keras as `.keras`, anything with `save_pretrained` by that. Raises `InvalidTypeError` for
    other objects.
    """
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(model, torch.nn.Module):
        torch.save(model.state_dict(), folder / "model.pt")
        return folder / "model.pt"
    if hasattr(model, "save_pretrained"):
        model.save_pretrained(folder / "model")
        return folder / "model"
    family = type(model).__module__.partition(".")[0]
    if family in ("keras", "tensorflow"):
        model.save(folder / "model.keras")
        return folder / "model.keras"
    if hasattr(model, "save_model"):  # XGBoost, LightGBM's booster, CatBoost
        model.save_model(str(folder / "model.json"))
        return folder / "model.json"
    if hasattr(model, "get_params") and hasattr(model, "fit"):
        return _save_estimator(model, folder)
    raise InvalidTypeError(
        f"log_model can't save a {type(model).__name__}: save it to a file and pass the path, or use log_artifact"
    )


def _save_estimator(model: Any, folder: Path) -> Path:
    if importlib.util.find_spec("skops") is not None:
        from skops import io

        io.dump(model, folder / "model.skops")
        return folder / "model.skops"
    try:
        import joblib
    except ImportError:
        raise MissingPackageError("log_model of a scikit-learn estimator needs skops: `pip install skops`") from None
    joblib.dump(model, folder / "model.joblib")
    return folder / "model.joblib"
