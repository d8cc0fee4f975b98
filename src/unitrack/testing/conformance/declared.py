"""What a plugin declares: that it is true, and costs training nothing."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest

from unitrack.config.checking import keys_of
from unitrack.errors import ConfigError
from unitrack.hookspecs import Finding, SinkSpec
from unitrack.plugins.options import convert_options, load_object
from unitrack.records import KINDS
from unitrack.testing.conformance.base import BackendTests, PluginTests

_HOOKS = {name for name, _ in inspect.getmembers(SinkSpec, inspect.isfunction) if not name.startswith("_")}


class PluginConformance(PluginTests):
    """The module of the plugin, and its backend."""

    def test_importing_the_plugin_imports_no_sdk(self) -> None:
        """Importing the plugin's module imports none of the packages that the backend requires."""
        heavy = self.backend.requires
        code = f"import sys, {self.plugin.__name__}\nprint([name for name in {heavy!r} if name in sys.modules])"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
        assert done.stdout.strip() == "[]"

    def test_description(self) -> None:
        """The backend has a name that configuration can use, and a summary of one line."""
        assert self.backend.name.replace("_", "").replace("-", "").isalnum()
        assert self.backend.summary
        assert "\n" not in self.backend.summary

    def test_impossible_names_tests(self) -> None:
        """Each key of `impossible` is the name of a test."""
        names = {name.partition("[")[0] for name in self.impossible}
        assert {name for name in names if not hasattr(self, name)} == set()


class DeclaredConformance(PluginConformance, BackendTests):
    """What a backend with sinks declares of them, and their options."""

    def test_native_kinds_are_kinds(self) -> None:
        """The keys of `Backend.native` are kinds that can be logged."""
        assert set(self.backend.native) <= set(KINDS)

    def test_hooks_are_known(self) -> None:
        """Each hook of the sink is one of `SinkSpec` and takes no other arguments; `open_run` and `flush` are there."""
        sink = load_object(self.sink_class)
        marked = {name for name, value in inspect.getmembers(sink) if getattr(value, "unitrack_impl", None)}
        assert {"open_run", "flush"} <= marked
        assert marked <= _HOOKS
        for name in marked:
            known = set(inspect.signature(getattr(SinkSpec, name)).parameters)
            assert set(inspect.signature(getattr(sink, name)).parameters) <= known

    def test_a_backend_that_rewinds_has_the_hooks(self) -> None:
        """The sink has `can_rewind` and `rewind` if the backend declares `rewinds`, and else neither."""
        sink = load_object(self.sink_class)
        marked = {
            name for name in ("can_rewind", "rewind") if getattr(getattr(sink, name, None), "unitrack_impl", None)
        }
        assert marked == ({"can_rewind", "rewind"} if self.backend.rewinds else set())

    def test_unknown_option_is_refused(self, sink_options: dict[str, Any]) -> None:
        """An unknown option raises `ConfigError`, which names it."""
        with pytest.raises(ConfigError, match="no_such_option"):
            convert_options(self.backend, {**sink_options, "no_such_option": 1}, "sink")

    def test_options_survive_the_way_to_the_courier(self, sink_options: dict[str, Any]) -> None:
        """Options are the same after a way through JSON, as from training to the courier."""
        options = convert_options(self.backend, sink_options, "sink")
        plain = msgspec.json.decode(msgspec.json.encode(msgspec.to_builtins(options)))
        assert msgspec.convert(plain, self.backend.options) == options

    def test_options_stay_where_they_were_anchored(self, sink_options: dict[str, Any], tmp_path_factory: Any) -> None:
        """Options that are anchored already do not change with the working directory."""
        options = convert_options(self.backend, sink_options, "sink")
        assert options.anchored(tmp_path_factory.mktemp("elsewhere")) == options

    def test_defaults_are_options(self) -> None:
        """Every option has a default, so that the backend's name alone is a sink."""
        convert_options(self.backend, {}, "sink")

    def test_shared_options_are_options(self) -> None:
        """Each key of `shared_options` is an option of the sink, and a key of the section `tracking`."""
        assert set(self.backend.shared_options) <= {
            field.encode_name for field in msgspec.structs.fields(self.backend.options)
        }
        assert set(self.backend.shared_options) <= set(keys_of("tracking"))

    def test_check_finds_something(self, sink_options: dict[str, Any]) -> None:
        """`Backend.check` yields findings with messages, and finds nothing wrong with the store of the test."""
        if self.backend.check is None:
            pytest.skip("the backend has no check")
        check = load_object(self.backend.check)
        found: Iterable[Finding] = list(check(convert_options(self.backend, sink_options, "sink")))
        assert found
        assert all(finding.subject and finding.message for finding in found)
        assert [finding.message for finding in found if not finding.ok] == []
