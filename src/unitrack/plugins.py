"""Finding plugins by their entry points, and loading by name what they declare."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_type_hints

import msgspec
import pluggy

from unitrack import middleware
from unitrack.config.expansion import EnvironmentText
from unitrack.entry_points import EntryPoint, find_entry_points
from unitrack.errors import ConfigError
from unitrack.hookspecs import Backend, Middleware, PluginSpec, SinkOptions, Validators
from unitrack.installation import install_command
from unitrack.learned import learned
from unitrack.manifest import LaneSpec, Wrapping
from unitrack.redaction import redact, remember_secrets

GROUP = "unitrack"
"""The entry-point group of plugins."""

OFFICIAL = {
    "mlflow": "unitrack-core[mlflow]",
    "wandb": "unitrack-core[wandb]",
    "tensorboard": "unitrack-core[tensorboard]",
    "trackio": "unitrack-core[trackio]",
}
"""Backends that come in a distribution of ours, and what installs it."""


class Plugin(msgspec.Struct, frozen=True, kw_only=True):
    """One entry point, loaded or not."""

    name: str
    module: str
    distribution: str
    version: str
    backends: tuple[str, ...] = ()
    error: str | None = None
    """Why it is disabled."""


class Plugins:
    """All plugins of this environment. One that fails on import disables only itself."""

    def __init__(self, entry_points: list[EntryPoint]) -> None:
        self._manager = pluggy.PluginManager("unitrack")
        self._manager.add_hookspecs(PluginSpec)
        self._backends: dict[str, Backend] = {}
        self._middleware: dict[str, Middleware] = {one.name: one for one in middleware.register_middleware()}
        self.plugins: list[Plugin] = [self._load(entry) for entry in entry_points]

    def _load(self, entry: EntryPoint) -> Plugin:
        described = Plugin(
            name=entry.name,
            module=entry.value,
            distribution=entry.distribution,
            version=entry.version,
        )
        module = None
        try:
            module = entry.load()
            self._manager.register(module, entry.name)
            self._manager.check_pending()
            declared = tuple(getattr(module, "register_backends", tuple)())
            for backend in declared:
                if backend.name in self._backends:
                    raise ConfigError(f"the backend {backend.name!r} is already served by another plugin")
            wrappers = {one.name: one for one in getattr(module, "register_middleware", tuple)()}
            for name in wrappers.keys() & self._middleware.keys():
                raise ConfigError(f"the middleware {name!r} is built in, or another plugin's")
        except (Exception, SystemExit) as error:
            if module is not None and self._manager.is_registered(module):
                self._manager.unregister(module)
            return msgspec.structs.replace(described, error=f"{type(error).__name__}: {error}")
        self._backends.update({backend.name: backend for backend in declared})
        self._middleware.update(wrappers)
        return msgspec.structs.replace(described, backends=tuple(backend.name for backend in declared))

    @property
    def backends(self) -> Mapping[str, Backend]:
        """The backends that can be asked for, by name."""
        return self._backends

    @property
    def middleware(self) -> Mapping[str, Middleware]:
        """What the options of any sink may ask for, by name."""
        return self._middleware

    def backend(self, name: str) -> Backend:
        """The backend called `name`, its packages present.

        Raises `ConfigError` for one that is unknown, not installed or whose plugin failed, with what to do.
        """
        backend = self._backends.get(name)
        if backend is None:
            raise ConfigError(self._why_missing(name))
        for module in backend.requires:
            if importlib.util.find_spec(module) is None:
                raise ConfigError(
                    f"sink {name!r} needs the package {module!r}, which is not installed: "
                    f"run `{install_command(backend.install or module)}`"
                )
        return backend

    def _why_missing(self, name: str) -> str:
        for plugin in self.plugins:
            if plugin.error and plugin.name == name:
                return f"the plugin of sink {name!r} ({plugin.module}) is disabled: {plugin.error}"
        if name in OFFICIAL:
            return f"sink {name!r} is not installed: run `{install_command(OFFICIAL[name])}`"
        known = sorted({*self._backends, *OFFICIAL})
        close = _close_matches(name, known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known)}"
        return f"unknown sink {name!r}: {hint} (see `unitrack plugins`)"

    def validators(self) -> list[Validators]:
        """The validators of all plugins, in the order of registration."""
        return list(reversed(self._manager.hook.register_validators()))


def _close_matches(word: str, known: Iterable[str], n: int) -> list[str]:
    import difflib  # only once something is wrong

    return difflib.get_close_matches(word, known, n=n)


@functools.cache
def installed() -> Plugins:
    """The plugins of this environment, discovered once a process.

    `local` comes first, the others follow in the order of their names, so that what they add is deterministic.
    """
    found = {entry.name: entry for entry in find_entry_points(GROUP)}
    return Plugins(sorted(found.values(), key=lambda entry: (entry.name != "local", entry.name)))


def make_lane(
    name: str, backend: Backend, options: Mapping[str, Any], places: Mapping[str, str] | None = None
) -> LaneSpec:
    """The lane of a sink called `name`, its options checked: those of the backend, and the middleware among them.

    `places`: of each option, and of the sink itself as "", the place that sets it, for messages. Raises `ConfigError`
    naming the place, the sink, the key, and the nearest right one.
    """
    remember_secrets(options)
    converted = convert_options(backend, options, name, places)
    return LaneSpec.of(name, backend, converted, _middleware(backend, options, name, places or {}))


def convert_options(
    backend: Backend, options: Mapping[str, Any], sink_name: str, places: Mapping[str, str] | None = None
) -> SinkOptions:
    """A sink's options as its backend types them, without middleware, paths anchored in the working directory.

    Raises `ConfigError` naming the place, the sink, the key, and the nearest right one; see `make_lane`.
    """
    fields = _fields(backend)
    known = [*fields, *installed().middleware]
    for key in options:
        if key not in known:
            close = _close_matches(str(key), known, n=1)
            its_own = ", ".join(fields) or "no options of its own"
            every = ", ".join(name for name in known if name not in fields)
            hint = f"did you mean {close[0]!r}?" if close else f"it knows {its_own}, and as every sink {every}"
            raise ConfigError(f"{_at(places, key)}sink {sink_name!r} has no option {key!r}: {hint}")
    own = {key: _typed(backend, key, value) for key, value in options.items() if key in fields}
    try:
        converted = msgspec.convert(own, learned(backend.options))
    except msgspec.ValidationError as error:
        key = _culprit(error, own)
        raise ConfigError(f"{_at(places, key)}sink {sink_name!r}, {_explain(error, backend, own, key)}") from None
    return converted.anchored(Path.cwd())


def _at(places: Mapping[str, str] | None, option: str) -> str:
    """The place of an option, as a message begins with it; what a caller gave needs none."""
    place = (places or {}).get(option) or (places or {}).get("", "")
    return f"{place}: " if place not in ("", "call", "config", "default") else ""


def _typed(backend: Backend, option: str, value: object) -> object:
    """What the text of an environment variable means for an option: a number, true and false, or the text."""
    if not isinstance(value, EnvironmentText):
        return value
    wanted = get_type_hints(backend.options, include_extras=True)[option]
    for is_strict in (True, False):
        try:
            return msgspec.to_builtins(msgspec.convert(str(value), wanted, strict=is_strict))
        except msgspec.ValidationError:
            continue
    return str(value)


def _fields(backend: Backend) -> list[str]:
    return [field.encode_name for field in msgspec.structs.fields(backend.options)]


def _middleware(
    backend: Backend, options: Mapping[str, Any], sink_name: str, places: Mapping[str, str]
) -> tuple[Wrapping, ...]:
    """What of the options is middleware, in their order. A field of the backend's own of that name is the backend's."""
    known, own = installed().middleware, _fields(backend)
    found = []
    for key, value in options.items():
        if key in own:
            continue
        try:
            is_strict = not isinstance(value, EnvironmentText)
            plain = value if is_strict else str(value)
            checked = msgspec.to_builtins(msgspec.convert(plain, learned(known[key].option), strict=is_strict))
        except msgspec.ValidationError:
            from unitrack.config.expected import expected

            raise ConfigError(
                f"{_at(places, key)}sink {sink_name!r}, option {key!r}: expected {expected(known[key].option)}, "
                f"got {redact(value, key)!r}"
            ) from None
        found.append(Wrapping(name=key, wrapper=known[key].wrapper, value=checked))
    return tuple(found)


def load_object(path: str) -> Any:
    """What "module:name" stands for."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


def _culprit(error: msgspec.ValidationError, options: Mapping[str, Any]) -> str:
    """The option that a message of msgspec, or of the options' own check, speaks of; "" if it names none."""
    text = str(error)
    named = text.partition(" - at `$.")[2].partition(".")[0].partition("[")[0].rstrip("`")
    return named if named in options else next((key for key in options if re.match(rf"{re.escape(key)}\b", text)), "")


def _explain(error: msgspec.ValidationError, backend: Backend, options: Mapping[str, Any], key: str) -> str:
    from unitrack.config.expected import expected

    if " - at `$." not in str(error) or key not in options:
        return str(error)
    wanted = expected(get_type_hints(backend.options, include_extras=True)[key])
    return f"option {key!r}: expected {wanted}, got {redact(options[key], key)!r}"
