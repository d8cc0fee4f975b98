"""The plugins of this environment, found by their entry points, and the backends and middleware they declare."""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
from collections.abc import Iterator, Mapping

import msgspec
import pluggy

from unitrack.config.sinks import DEFAULT_BACKEND
from unitrack.errors import ConfigError
from unitrack.hookspecs import Alert, Backend, Middleware, PluginSpec, Validators
from unitrack.names import nearest
from unitrack.plugins import middleware
from unitrack.plugins.entry_points import EntryPoint, find_entry_points
from unitrack.system.installation import install_command

GROUP = "unitrack"
"""The entry-point group of plugins."""

OFFICIAL = {
    "mlflow": "unitrack-core[mlflow]",
    "wandb": "unitrack-core[wandb]",
    "tensorboard": "unitrack-core[tensorboard]",
    "trackio": "unitrack-core[trackio]",
    "sql": "unitrack-core[database]",
}
"""Backends that come in a distribution of this project, and what installs it."""

_OFFICIAL_SHARED = {"mlflow": ("tracking_uri", "artifact_location")}
"""`Backend.shared_options` of official backends, to understand a configuration before their plugin is installed."""


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
        plugin = Plugin(
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
                self._check_is_free(backend.name)
            wrappers = {one.name: one for one in getattr(module, "register_middleware", tuple)()}
            for name in wrappers.keys() & self._middleware.keys():
                raise ConfigError(f"the middleware {name!r} is built in, or another plugin's")
        except (Exception, SystemExit) as error:
            if module is not None and self._manager.is_registered(module):
                self._manager.unregister(module)
            return msgspec.structs.replace(plugin, error=f"{type(error).__name__}: {error}")
        self._backends.update({backend.name: backend for backend in declared})
        self._middleware.update(wrappers)
        return msgspec.structs.replace(plugin, backends=tuple(backend.name for backend in declared))

    def add(self, backend: Backend) -> None:
        """Serve one more backend. Raises `ConfigError` if there is one of its name."""
        self._check_is_free(backend.name)
        self._backends[backend.name] = backend

    def remove(self, name: str) -> None:
        """Serve the backend called `name` no longer."""
        self._backends.pop(name, None)

    def _check_is_free(self, name: str) -> None:
        if name in self._backends:
            raise ConfigError(f"the backend {name!r} is already served by another plugin")

    @property
    def backends(self) -> Mapping[str, Backend]:
        """The backends of all plugins, by name."""
        return self._backends

    @property
    def sinks(self) -> list[str]:
        """The names of the backends that a run can be logged to; the others can only be read."""
        return [name for name, backend in self._backends.items() if backend.sink is not None]

    @property
    def middleware(self) -> Mapping[str, Middleware]:
        """The middleware that every sink takes as options, by name."""
        return self._middleware

    def backend(self, name: str) -> Backend:
        """Return the backend called `name`, whose packages are installed.

        Raises `ConfigError` for one that is unknown, not installed or whose plugin failed, and says what to do.
        """
        backend = self._backends.get(name)
        if backend is None:
            raise ConfigError(self._why_missing(name))
        for module in backend.requires:
            if importlib.util.find_spec(module) is None:
                raise ConfigError(
                    f"the backend {name!r} needs the package {module!r}, which is not installed: "
                    f"run `{install_command(backend.install or module)}`"
                )
        return backend

    def sink_backend(self, name: str) -> Backend:
        """Return the backend of a sink, as `backend` does. Raises `ConfigError` as well if it can only be read."""
        backend = self.backend(name)
        if backend.sink is None:
            raise ConfigError(
                f"{name!r} can only be read, so it is no sink: remove it from the sinks, or log to one of "
                f"{', '.join(self.sinks)}"
            )
        return backend

    def _why_missing(self, name: str) -> str:
        for plugin in self.plugins:
            if plugin.error and plugin.name == name:
                return f"the plugin of sink {name!r} ({plugin.module}) is disabled: {plugin.error}"
        if name in OFFICIAL:
            return f"sink {name!r} is not installed: run `{install_command(OFFICIAL[name])}`"
        known = sorted({*self.sinks, *OFFICIAL})
        meant = nearest(name, known)
        hint = f"did you mean {meant!r}?" if meant else f"known are {', '.join(known)}"
        return f"unknown sink {name!r}: {hint} (see `unitrack plugins`)"

    @property
    def can_notify(self) -> bool:
        """Whether a plugin wants to hear of alerts."""
        return bool(self._manager.hook.notify.get_hookimpls())

    def notify(self, alert: Alert) -> list[str]:
        """Tell the plugins of an alert, one after the other; return what went wrong."""
        troubles = []
        for found in self._manager.hook.notify.get_hookimpls():
            try:
                found.function(alert=alert)
            except Exception as error:
                troubles.append(f"the plugin {found.plugin_name!r} could not notify: {type(error).__name__}: {error}")
        return troubles

    def stores(self) -> tuple[str, ...]:
        """Return the globs of all backends' stores."""
        return tuple(glob for backend in self._backends.values() for glob in backend.stores)

    @property
    def shared_options(self) -> dict[str, tuple[str, ...]]:
        """The keys of the section `tracking` that are options of sinks, by backend: for `config.resolve`."""
        declared = {name: backend.shared_options for name, backend in self._backends.items() if backend.shared_options}
        return _OFFICIAL_SHARED | declared

    def validators(self) -> list[Validators]:
        """Return the validators of all plugins, in the order of registration."""
        return list(reversed(self._manager.hook.register_validators()))


@functools.cache
def installed() -> Plugins:
    """Return the plugins of this environment, discovered once a process.

    `local` comes first, the others follow in the order of their names, so that what they add is deterministic.
    """
    found = {entry.name: entry for entry in find_entry_points(GROUP)}
    return Plugins(sorted(found.values(), key=lambda entry: (entry.name != DEFAULT_BACKEND, entry.name)))


@contextlib.contextmanager
def with_backend(backend: Backend) -> Iterator[Plugins]:
    """Serve one more backend in this process, within the block: for tests, and for sinks that live in memory.

    Couriers are other processes and know nothing of it. Raises `ConfigError` if there is a backend of its name.
    """
    plugins = installed()
    plugins.add(backend)
    try:
        yield plugins
    finally:
        plugins.remove(backend.name)
