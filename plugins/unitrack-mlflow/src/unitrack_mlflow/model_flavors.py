"""The MLflow flavour of a saved model, read from its file: no framework is imported, nothing is unpickled.

Each flavour has a layout that its `mlflow.<flavour>.load_model` expects (mlflow 3, `save_model` of each).
"""

from __future__ import annotations

import importlib.util
import pickletools
import zipfile
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import IO, Any

import msgspec

from unitrack.hookspecs import decode

_TORCH_GLOBALS = ("torch ", "torch._utils ", "torch.serialization ", "torch.storage ", "collections OrderedDict")
"""How what a state dict's pickle refers to begins: what `torch.load(weights_only=True)` takes too."""
_MAX_OPCODES = 1_000_000  # of a pickle's that are looked through


class Flavor(msgspec.Struct, frozen=True, kw_only=True):
    """How MLflow keeps a model."""

    name: str | None
    """Of the flavour; None for what MLflow loads by other means than `load_model`."""
    file: str
    """Where the model's file goes in the model's folder."""
    options: Mapping[str, Any] = {}
    """What the flavour says of itself."""
    pyfunc: Mapping[str, Any] | None = None
    """What `mlflow.pyfunc` needs to load it; None if it can't."""
    needs: Mapping[str, str | None] = {}
    """Distributions that load it, with their versions where the file tells them; the framework's comes first."""
    version_key: str = ""
    """What the flavour calls the framework's version."""
    beside: Mapping[str, str] = {}
    """Small files to go with it, by their paths: their content."""


def flavor_of(file: Path) -> Flavor | None:
    """The flavour of a model's file; None if MLflow has none for it, or it is not what its suffix says."""
    reader = _READERS.get(file.suffix)
    if reader is None or not file.is_file():
        return None
    try:
        return reader(file)
    except Exception:  # whatever is in the file, it is no model then
        return None


def _skops(file: Path) -> Flavor | None:
    """scikit-learn's own types may be trusted, such as the trees of a forest, which skops doesn't trust unasked. A
    type of anybody else's is for the user to vouch for.
    """
    if not all(map(importlib.util.find_spec, ("skops", "sklearn"))):
        return None
    from skops import io  # noqa: PLC0415  # optional, and it imports scikit-learn: a second

    types: list[str] = io.get_untrusted_types(file=file)  # reads its schema; makes no object
    if not all(one.startswith("sklearn.") for one in types):
        return None
    return _sklearn("model.skops", "skops", skops_trusted_types=types or None)


def _pickled(file: Path) -> Flavor | None:
    """A pickle whose outermost object is scikit-learn's."""
    with file.open("rb") as opened:
        first = next(_globals(opened), "")
    return _sklearn("model.pkl", "pickle") if first.startswith("sklearn.") else None


def _sklearn(file: str, form: str, **options: Any) -> Flavor:
    return Flavor(
        name="sklearn",
        file=file,
        options={"pickled_model": file, "serialization_format": form, **options},  # MLflow's word, whatever its form
        pyfunc={"loader_module": "mlflow.sklearn", "model_path": file, "predict_fn": "predict"},
        version_key="sklearn_version",
        needs={"scikit-learn": None} | ({"skops": None} if form == "skops" else {}),
    )


class _XgboostLearner(msgspec.Struct):
    learner_model_param: dict[str, Any]
    attributes: dict[str, str] = {}


class _Xgboost(msgspec.Struct):
    """What XGBoost's JSON says of a model (its "Introduction to Model IO")."""

    learner: _XgboostLearner
    version: tuple[int, int, int]


_XGBOOST_CLASSES = {"classifier": "XGBClassifier", "regressor": "XGBRegressor", "ranker": "XGBRanker"}


def _xgboost(file: Path) -> Flavor:
    found = decode(file.read_bytes(), _Xgboost)
    estimator = msgspec.json.decode(found.learner.attributes.get("scikit_learn", "{}")).get("_estimator_type")
    name = _XGBOOST_CLASSES.get(estimator)
    version = ".".join(map(str, found.version))
    kind = f"xgboost.sklearn.{name}" if name else "xgboost.core.Booster"
    return Flavor(
        name="xgboost",
        file="model.json",
        options={"data": "model.json", "model_class": kind, "model_format": "json"},
        pyfunc={"loader_module": "mlflow.xgboost", "data": "model.json"},
        version_key="xgb_version",
        needs={"xgboost": version} | ({"scikit-learn": None} if name else {}),
    )


def _lightgbm(file: Path) -> Flavor | None:
    with file.open("rb") as opened:
        if opened.read(13) != b"tree\nversion=":
            return None
    return Flavor(
        name="lightgbm",
        file="model.lgb",
        options={"data": "model.lgb", "model_class": "lightgbm.basic.Booster"},
        pyfunc={"loader_module": "mlflow.lightgbm", "data": "model.lgb"},
        version_key="lgb_version",
        needs={"lightgbm": None},
    )


def _keras(file: Path) -> Flavor | None:
    with zipfile.ZipFile(file) as archive:
        version: str = msgspec.json.decode(archive.read("metadata.json"))["keras_version"]
    if version.startswith("2."):
        return None  # that is TensorFlow's, and `mlflow.keras` is Keras 3
    return Flavor(
        name="keras",
        file="data/model.keras",
        options={"data": "data", "save_exported_model": False},
        pyfunc={"loader_module": "mlflow.keras"},
        version_key="keras_version",
        needs={"keras": version},
        beside={"data/keras_module.txt": "keras"},
    )


def _torch(file: Path) -> Flavor | None:
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        if any(name.endswith("/constants.pkl") for name in names) and any("/code/" in name for name in names):
            return _torch_program("model.pth")  # TorchScript
        [index] = [name for name in names if name.count("/") == 1 and name.endswith("/data.pkl")]
        with archive.open(index) as opened:
            if not all(name.startswith(_TORCH_GLOBALS) for name in _globals(opened)):
                return None  # a pickled module
    return Flavor(name=None, file="state_dict.pth", needs={"torch": None})  # for `mlflow.pytorch.load_state_dict`


def _torch_exported(file: Path) -> Flavor | None:
    return _torch_program("model.pt2") if zipfile.is_zipfile(file) else None


def _torch_program(file: str) -> Flavor:
    pickler = "mlflow.pytorch.pickle_module"
    return Flavor(
        name="pytorch",
        file=f"data/{file}",
        options={"model_data": "data"},
        pyfunc={"loader_module": "mlflow.pytorch", "data": "data", "pickle_module_name": pickler},
        version_key="pytorch_version",
        needs={"torch": None},
        beside={"data/pickle_module_info.txt": pickler} if file == "model.pth" else {},
    )


def _globals(opened: IO[bytes]) -> Iterator[str]:
    """Yield the globals of a pickle as "module name", in order. Raises `ValueError` if the file is no pickle."""
    texts: list[str] = []
    for opcode, argument, _ in islice(pickletools.genops(opened), _MAX_OPCODES):
        if opcode.name == "GLOBAL":
            yield str(argument)
        elif opcode.name == "STACK_GLOBAL":
            yield " ".join(texts[-2:]) if len(texts) > 1 else "?"
        elif isinstance(argument, str):
            texts.append(argument)


_READERS: dict[str, Callable[[Path], Flavor | None]] = {
    ".skops": _skops,
    ".pkl": _pickled,
    ".json": _xgboost,
    ".txt": _lightgbm,
    ".keras": _keras,
    ".pt": _torch,
    ".pth": _torch,
    ".pt2": _torch_exported,
}
"""By the suffix, as `unitrack.media.models` gives it."""
