"""What a plugin declares is true, and costs training nothing."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest

from unitrack.errors import ConfigError
from unitrack.hookspecs import Finding, SinkSpec
from unitrack.plugins import convert_options, load_object
from unitrack.records import KINDS
from unitrack.testing.conformance.base import BackendTests

_HOOKS = {name for name, _ in inspect.getmembers(SinkSpec, inspect.isfunction) if not name.startswith("_")}


class DeclaredConformance(BackendTests):
    """The plugin's module, the backend, its options."""

    def test_importing_the_plugin_imports_no_sdk(self) -> None:
        """In a process of its own: none of the packages that the backend requires."""
        heavy = self.backend.requires
        code = f"import sys, {self.plugin.__name__}\nprint([name for name in {heavy!r} if name in sys.modules])"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
        assert done.stdout.strip() == "[]"

    def test_description(self) -> None:
        """A name that configuration can say, and one line for listings."""
        assert self.backend.name.replace("_", "").replace("-", "").isalnum()
        assert self.backend.summary
        assert "\n" not in self.backend.summary

    def test_native_kinds_are_kinds(self) -> None:
        """What it claims to show is something that can be logged."""
        assert set(self.backend.native) <= set(KINDS)

    def test_hooks_are_known(self) -> None:
        """Every hook that the sink implements is one of `SinkSpec`, and takes arguments that it has."""
        sink = load_object(self.backend.sink)
        marked = {name for name, value in inspect.getmembers(sink) if getattr(value, "unitrack_impl", None)}
        assert {"open_run", "flush"} <= marked
        assert marked <= _HOOKS
        for name in marked:
            known = set(inspect.signature(getattr(SinkSpec, name)).parameters)
            assert set(inspect.signature(getattr(sink, name)).parameters) <= known

    def test_unknown_option_is_refused(self, sink_options: dict[str, Any]) -> None:
        """By name."""
        with pytest.raises(ConfigError, match="no_such_option"):
            convert_options(self.backend, {**sink_options, "no_such_option": 1}, "sink")

    def test_options_survive_the_way_to_the_courier(self, sink_options: dict[str, Any]) -> None:
        """As plain data, anchored once."""
        options = convert_options(self.backend, sink_options, "sink")
        plain = msgspec.json.decode(msgspec.json.encode(msgspec.to_builtins(options)))
        assert msgspec.convert(plain, self.backend.options) == options

    def test_options_stay_where_they_were_anchored(self, sink_options: dict[str, Any], tmp_path_factory: Any) -> None:
        """A path that is absolute already does not move with the working directory."""
        options = convert_options(self.backend, sink_options, "sink")
        assert options.anchored(tmp_path_factory.mktemp("elsewhere")) == options

    def test_defaults_are_options(self) -> None:
        """The backend can be asked for by its name alone."""
        convert_options(self.backend, {}, "sink")

    def test_check_finds_something(self, sink_options: dict[str, Any]) -> None:
        """What `unitrack doctor` calls yields findings, each with a message; a good store is found good."""
        if self.backend.check is None:
            pytest.skip("the backend has no check")
        check = load_object(self.backend.check)
        found: Iterable[Finding] = list(check(convert_options(self.backend, sink_options, "sink")))
        assert found
        assert all(finding.subject and finding.message for finding in found)
        assert [finding.message for finding in found if not finding.ok] == []

    def test_impossible_names_tests(self) -> None:
        """Each key of `impossible` is one of the suite's."""
        names = {name.partition("[")[0] for name in self.impossible}
        assert {name for name in names if not hasattr(self, name)} == set()
