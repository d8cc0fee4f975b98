"""Doing something right after a module is imported, or at once if it is imported already."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

Then = Callable[[ModuleType], None]


class ImportHook(MetaPathFinder):
    """Finds the modules that it watches with the finders behind it, and calls a function once each is loaded.

    `replacements` are modules that another one takes the place of, each with the name of that one.
    """

    def __init__(self, then: Mapping[str, Then], replacements: Mapping[str, str]) -> None:
        self._then = dict(then)
        self._replacements = dict(replacements)
        self._finding: set[str] = set()

    def install(self) -> None:
        """Watch imports from now on, and call the functions of modules that are imported already."""
        sys.meta_path.insert(0, self)
        for name, other in self._replacements.items():
            module = sys.modules.get(name)
            if module is not None and module.__name__ != other:
                sys.modules[name] = importlib.import_module(other)
                _rebind(module, sys.modules[name])
        for name, then in self._then.items():
            module = sys.modules.get(name)
            if module is not None and not _is_loading(module):
                then(module)

    def remove(self) -> None:
        """Watch no longer."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of a watched module, found by the other finders, with a loader that tells of its end."""
        other = self._other(name)
        if other is not None:
            return ModuleSpec(name, _Replacement(other))
        if name not in self._then or name in self._finding:
            return None
        self._finding.add(name)
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self._finding.discard(name)
        if spec is None or spec.loader is None:
            return spec
        spec.loader = _Watched(spec.loader, self._then[name])
        return spec

    def _other(self, name: str) -> str | None:
        """Return the module that takes the place of one, or of a module in it."""
        if name in self._replacements:
            return self._replacements[name]
        package = next((package for package in self._replacements if name.startswith(f"{package}.")), None)
        if package is None:
            return None
        other = f"{self._replacements[package]}{name.removeprefix(package)}"
        try:
            return other if importlib.util.find_spec(other) is not None else None
        except ModuleNotFoundError:  # the one that takes the place has no modules in it
            return None


class _Watched(Loader):
    """A loader that does what another one does, then calls a function."""

    def __init__(self, loader: Loader, then: Then) -> None:
        self._loader = loader
        self._call = then

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader  # the module looks as without us
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        self._call(module)


class _Replacement(Loader):
    """A loader that gives another module in the place of the one that is asked for."""

    def __init__(self, name: str) -> None:
        self._name = name

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = importlib.import_module(self._name)
        self._identity = module.__spec__, module.__loader__, module.__package__, module.__name__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__, module.__loader__, module.__package__, module.__name__ = self._identity


def _rebind(module: ModuleType, other: ModuleType) -> None:
    """Give the names by which other modules hold a module, or its public names, those of the one in its place.

    A notebook has imported the SDK in a cell above, as a rule.
    """
    names = {id(value): name for name, value in vars(module).items() if not name.startswith("_") and callable(value)}
    inside = module.__name__.partition(".")[0]
    for holder_name, holder in list(sys.modules.items()):
        if not isinstance(holder, ModuleType) or holder_name.startswith((inside, "unitrack")):
            continue
        for name, value in list(vars(holder).items()):
            if value is module:
                setattr(holder, name, other)
            elif id(value) in names and hasattr(other, names[id(value)]):
                setattr(holder, name, getattr(other, names[id(value)]))


def _is_loading(module: ModuleType) -> bool:
    """Return whether a module is being imported at this moment."""
    return bool(getattr(module.__spec__, "_initializing", False))
