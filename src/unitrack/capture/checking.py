"""Whether the SDKs that are installed can be captured. None is imported: their source says which methods they have.

Importing them would cost seconds, for a line of `unitrack doctor`.
"""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from unitrack.capture.sdks import SDKS, patch_of
from unitrack.capture.session import session
from unitrack.hookspecs import Finding


def check_sdks() -> Iterator[Finding]:
    """Yield one finding on the SDKs that are installed; nothing if there are none."""
    good, bad = [], []
    for module in [module for sdk in SDKS.values() for module in sdk.hooks]:
        file = _file_of(module)
        if file is None:
            continue
        label = _label(module.partition(".")[0])
        missing = missing_methods(module, file)
        if missing:
            bad.append(f"{label} has no {', '.join(missing)}")
        elif label not in good:
            good.append(label)
    if bad:
        # no fault of the set-up: who does not capture has nothing to mend
        yield Finding(ok=True, subject="capture", message=f"{'; '.join(bad)}: `unitrack capture` passes these by")
    elif good:
        yield Finding(ok=True, subject="capture", message=f"{', '.join(good)}: each call that is captured is there")


def missing_methods(module: str, file: Path) -> list[str]:
    """Return the methods that are to be patched in a module, and that its file has not."""
    report = session.report
    before = dict(report.missed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            patch_of(module)(_like(module, file))
        except AttributeError as error:
            return [f"{module}: {error.name or error}"]
    found = [name for name in report.missed if name not in before]
    for name in found:
        del report.missed[name], report.troubles[name]
    return [name.partition(": ")[2] for name in found]


def _file_of(module: str) -> Path | None:
    """Return the file of a module that is installed. Only the package that it is in is looked for, nothing imported."""
    package, *inner = module.split(".")
    spec = importlib.util.find_spec(package)
    for place in (spec.submodule_search_locations if spec is not None else None) or ():
        file = Path(place, *inner).with_suffix(".py")
        if file.is_file():
            return file
    return None


def _like(name: str, file: Path) -> ModuleType:
    """Return a module whose classes have methods of the names of those in the file, which do nothing."""
    module = ModuleType(name)
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            methods = [one.name for one in node.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]
            setattr(module, node.name, type(node.name, (), dict.fromkeys(methods, _nothing)))
    return module


def _nothing(*args: object, **kwargs: object) -> None:
    """Do nothing."""


def _label(package: str) -> str:
    try:
        return f"{package} {importlib.metadata.version(package)}"
    except importlib.metadata.PackageNotFoundError:
        return package
