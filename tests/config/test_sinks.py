"""Which sinks a configuration means, their names and their options."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unitrack import config
from unitrack.config import SinkSettings
from unitrack.config.resolution import Resolved
from unitrack.config.sinks import name_sinks, read_sinks, written_form
from unitrack.errors import ConfigError

resolve = functools.partial(config.resolve, shared_options={"mlflow": ("tracking_uri", "artifact_location")})

FILE = {
    "tracking": {
        "sinks": ["local", {"mlflow": {"tracking_uri": "http://a"}}, {"mlflow": {"name": "prod", "tracking_uri": "b"}}]
    }
}


def sinks(tracking: dict[str, Any], **places: Any) -> list[tuple[str, str, dict[str, Any]]]:
    return shown(resolve({"tracking": tracking}, environ={}, **places))


def shown(resolved: Resolved) -> list[tuple[str, str, dict[str, Any]]]:
    return [(sink.name, sink.backend, sink.options) for sink in resolved.settings.sinks]


@pytest.mark.parametrize(
    ("tracking", "expected"),
    [
        ({}, [("local", "local", {})]),
        ({"backend": "wandb"}, [("wandb", "wandb", {})]),
        ({"tracking_uri": "u"}, [("mlflow", "mlflow", {"tracking_uri": "u"})]),
        ({"backend": "mlflow", "artifact_location": "l"}, [("mlflow", "mlflow", {"artifact_location": "l"})]),
        ({"sinks": "a"}, [("a", "a", {})]),
        ({"sinks": {"local": None, "mlflow": {"x": 1}}}, [("local", "local", {}), ("mlflow", "mlflow", {"x": 1})]),
        ({"sinks": {"mlflow": {"name": "prod", "x": 1}}}, [("prod", "mlflow", {"x": 1})]),
        ({"sinks": ["a", {"b": None}, {"c": {"x": 1}}]}, [("a", "a", {}), ("b", "b", {}), ("c", "c", {"x": 1})]),
        (
            {"sinks": ["mlflow", {"mlflow": {"tracking_uri": "own"}}], "tracking_uri": "shared"},
            [("mlflow", "mlflow", {"tracking_uri": "shared"}), ("mlflow-2", "mlflow", {"tracking_uri": "own"})],
        ),
        ({"sinks": ["a", {"a": {"name": "b"}}, "a"]}, [("a", "a", {}), ("b", "a", {}), ("a-2", "a", {})]),
        ({"sinks": ["a", {"b": {"name": "a"}}]}, [("a-2", "a", {}), ("a", "b", {})]),
    ],
)
def test_forms(tracking: dict[str, Any], expected: list[Any]) -> None:
    assert sinks(tracking) == expected


def test_two_sinks_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"config: tracking.sinks: more than one sink is named 'x'"):
        sinks({"sinks": [{"a": {"name": "x"}}, {"b": {"name": "x"}}]})


def test_backend_and_sinks_in_one_place_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"tracking.backend: set either backend or sinks, not both"):
        sinks({"sinks": ["local"], "backend": "local"})


@pytest.mark.parametrize("key", ["artifact_location", "tracking_uri"])
@pytest.mark.parametrize("own", [{}, {"backend": "wandb"}, {"sinks": ["local", "wandb"]}])
def test_a_key_that_no_sink_can_use_is_refused(key: str, own: dict[str, Any]) -> None:
    if key == "tracking_uri" and not own:
        return  # it selects mlflow
    with pytest.raises(
        ConfigError, match=rf"^config: tracking\.{key}: only the backend mlflow can use it, and the sinks"
    ):
        sinks({key: "s3://bucket", **own})


def test_a_variable_may_switch_mlflow_off_beside_its_keys() -> None:
    tracking = {"backend": "mlflow", "tracking_uri": "u", "artifact_location": "s3://b"}
    assert shown(resolve({"tracking": tracking}, environ={"UNITRACK_SINKS": "local"})) == [("local", "local", {})]


def test_options_by_environment_variables() -> None:
    """By the backend or by the sink's own name, above files and below the call."""
    environ = {
        "UNITRACK_MLFLOW__TRACKING_URI": "all",
        "UNITRACK_PROD__TRACKING_URI": "its own",
        "UNITRACK_MLFLOW__DATASETS": "[{name: a}]",
        "UNITRACK_LOCAL__EMPTY": " ",
    }
    resolved = resolve(FILE, environ=environ)
    assert shown(resolved) == [
        ("local", "local", {}),
        ("mlflow", "mlflow", {"tracking_uri": "all", "datasets": [{"name": "a"}]}),
        ("prod", "mlflow", {"tracking_uri": "its own", "datasets": [{"name": "a"}]}),
    ]
    assert resolved.origins["tracking.sinks.prod.tracking_uri"] == "environment UNITRACK_PROD__TRACKING_URI"
    by_call = resolve(FILE, call={"tracking": {"sinks": [{"mlflow": {"tracking_uri": "call"}}]}}, environ=environ)
    assert shown(by_call)[0][2]["tracking_uri"] == "call"


def test_a_list_from_above_replaces_backend(tmp_path: Path) -> None:
    """`backend` then says nothing any more, so it does not show either."""
    resolved = resolve({"tracking": {"backend": "wandb"}}, call={"tracking": {"sinks": ["local"]}})
    assert shown(resolved) == [("local", "local", {})]
    assert resolved.settings.tracking.backend is None
    assert resolved.origins["tracking.backend"] == "default"
    assert resolved.origins["tracking.sinks"] == "call"


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["mlflow"], [("mlflow", "mlflow", {"tracking_uri": "http://a"})]),
        (["prod"], [("prod", "mlflow", {"tracking_uri": "b"})]),
        (["local", "other"], [("local", "local", {}), ("other", "other", {})]),
        ([{"mlflow": {}}], [("mlflow", "mlflow", {})]),
        ([{"mlflow": None}], [("mlflow", "mlflow", {"tracking_uri": "http://a"})]),
    ],
)
def test_a_name_from_above_takes_the_options_of_the_file(names: list[Any], expected: list[Any]) -> None:
    resolved = resolve(FILE, call={"tracking": {"sinks": names}})
    assert shown(resolved) == expected
    if all(isinstance(name, str) for name in names):
        by_variable = resolve(FILE, environ={"UNITRACK_SINKS": ",".join(names)})
        assert by_variable.settings == resolved.settings


def test_a_backend_stands_for_its_first_sink_in_the_file() -> None:
    file = {"tracking": {"sinks": [{"mlflow": {"name": "prod", "tracking_uri": "b"}}]}}
    resolved = resolve(file, environ={"UNITRACK_SINKS": "mlflow"})
    assert shown(resolved) == [("prod", "mlflow", {"tracking_uri": "b"})]
    assert resolved.origins["tracking.sinks"] == "environment UNITRACK_SINKS"
    assert resolved.origins["tracking.sinks.prod.tracking_uri"] == "config"


def test_names_in_a_variable_do_not_hide_options_of_the_file_from_the_call() -> None:
    resolved = resolve(FILE, call={"tracking": {"sinks": ["mlflow"]}}, environ={"UNITRACK_SINKS": "mlflow"})
    assert shown(resolved) == [("mlflow", "mlflow", {"tracking_uri": "http://a"})]


def test_the_second_of_a_backend_keeps_its_name_when_it_is_alone() -> None:
    file = {"tracking": {"sinks": ["mlflow", {"mlflow": {"tracking_uri": "b"}}]}}
    resolved = resolve(file, environ={"UNITRACK_SINKS": "mlflow-2"})
    assert shown(resolved) == [("mlflow-2", "mlflow", {"tracking_uri": "b"})]


def test_a_tracking_uri_of_the_call_beats_an_option_of_the_file() -> None:
    resolved = resolve(FILE, call={"tracking": {"tracking_uri": "c"}})
    assert [sink.options.get("tracking_uri") for sink in resolved.settings.sinks] == [None, "c", "c"]
    assert resolved.origins["tracking.sinks.prod.tracking_uri"] == "call"


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (3, "expected a name or a mapping `name: {options}`, got int"),
        ("", "expected the name of a backend"),
        ("../x", "expected the name of a backend"),
        ("x" * 65, "expected the name of a backend: up to 64"),
        ({}, "expected one key"),
        ({"mlflow": None, "tracking_uri": "u"}, "got the keys mlflow, tracking_uri"),
        ({"mlflow": "sk-secret-in-the-wrong-place"}, "expected a mapping of options below mlflow, got str"),
        ({"mlflow": {"name": "a/b"}}, "expected the name of a sink"),
        ({"mlflow": {1: 2}}, "expected text as the key of an option of mlflow, got 1"),
    ],
)
def test_wrong_entries(entry: object, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        sinks({"sinks": ["local", entry]})
    assert str(caught.value).startswith("config: tracking.sinks[1]: ")
    assert message in str(caught.value)
    assert "sk-secret" not in str(caught.value)


def test_an_empty_list_is_refused() -> None:
    """Data that nobody takes would be lost at the end of the run."""
    with pytest.raises(ConfigError, match=r"expected a list, not empty.* got \[\]; to record nothing, set mode"):
        sinks({"sinks": []})


backends = st.sampled_from(["a", "b", "a-2"])
entries = backends | st.builds(lambda b, n: {b: {"name": n}}, backends, st.sampled_from(["a", "b", "a-2", "c"]))


@settings(derandomize=True, deadline=None)
@given(st.lists(entries, min_size=1, max_size=6))
def test_names_are_unique_and_stay_when_written_out(written: list[Any]) -> None:
    """The resolved list means the same sinks again."""
    try:
        named = name_sinks(read_sinks(written))
    except ConfigError:
        chosen = [entry[b]["name"] for entry in written if isinstance(entry, dict) for b in entry]
        assert len(set(chosen)) < len(chosen)
        return
    assert len({sink.name for sink in named}) == len(written)
    assert name_sinks(read_sinks([written_form(sink) for sink in named])) == named
    assert all(isinstance(sink, SinkSettings) for sink in named)


def test_any_backend_may_take_a_shared_key() -> None:
    shared = {"a": ("tracking_uri",), "b": ("artifact_location",)}
    tracking = {"sinks": ["a", {"b": {"artifact_location": "own"}}, "local"]}
    keys = {"tracking_uri": "u", "artifact_location": "l"}
    resolved = config.resolve({"tracking": tracking | keys}, environ={}, shared_options=shared)
    assert shown(resolved) == [
        ("a", "a", {"tracking_uri": "u"}),
        ("b", "b", {"artifact_location": "own"}),
        ("local", "local", {}),
    ]
    alone = config.resolve({"tracking": {"tracking_uri": "u"}}, environ={}, shared_options=shared)
    assert shown(alone) == [("a", "a", {"tracking_uri": "u"})]


def test_without_shared_options_no_key_is_refused() -> None:
    assert shown(config.resolve({"tracking": {"tracking_uri": "u"}}, environ={})) == [("local", "local", {})]
