"""Middleware: what one sink receives is changed as its options say; nothing is lost or doubled for that."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import msgspec
import pytest
from unitrack_probe import ProbeOptions, stored
from unitrack_tests.bench import Bench, now, settle, trouble

import unitrack
from unitrack import limits
from unitrack.delivery.lane.progress import Progress
from unitrack.delivery.lane.sink_handle import SinkHandle
from unitrack.errors import ConfigError
from unitrack.hookspecs import Middleware, hookimpl
from unitrack.local.source import LocalSource
from unitrack.plugins.entry_points import EntryPoint
from unitrack.plugins.options import make_lane
from unitrack.plugins.registry import Plugins, installed
from unitrack.records import Metrics, Tags
from unitrack.runfolder.manifest import Wrapping


@pytest.fixture(autouse=True)
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Back-off without the waiting."""
    monkeypatch.setattr(limits, "RETRY_FIRST_S", 0.001)
    monkeypatch.setattr(limits, "WRITERS_GRACE_S", 0.05)


class WrappedBench(Bench):
    """A bench whose sink has middleware."""

    def __init__(self, root: Path, middleware: dict[str, Any], *, log_frequency: int = 1, **options: Any) -> None:
        super().__init__(root, {"a": options}, log_frequency=log_frequency)
        lane = make_lane("a", installed().backend("probe"), {"out": str(root / "a"), **options, **middleware})
        self.serve(lane)


def metrics_of(out: Path) -> list[tuple[int, dict[str, float]]]:
    """The points that the backend holds, record by record."""
    return [(record["step"], record["metrics"]) for record in stored(out) if record["kind"] == "metrics"]


def log(run: unitrack.Run) -> None:
    """Three records of metrics, two kinds of names."""
    run.log_metrics({"train/loss": 0.5, "val/loss": 0.6}, step=0)
    run.log_metrics({"train/loss": 0.4}, step=1)
    run.log_metrics({"train/loss": 0.3, "val/loss": 0.5, "val/acc": 0.9}, step=2)


CASES: list[tuple[dict[str, Any], list[tuple[int, dict[str, float]]]]] = [
    ({"include": ["val/*"]}, [(0, {"val/loss": 0.6}), (2, {"val/loss": 0.5, "val/acc": 0.9})]),
    ({"exclude": ["val/*"]}, [(0, {"train/loss": 0.5}), (1, {"train/loss": 0.4}), (2, {"train/loss": 0.3})]),
    ({"include": ["*/loss"], "exclude": ["train/*"]}, [(0, {"val/loss": 0.6}), (2, {"val/loss": 0.5})]),
    (
        {"include": ["val/*"], "rename": {"val/acc": "accuracy"}, "prefix": "eval."},
        [(0, {"eval.val/loss": 0.6}), (2, {"eval.val/loss": 0.5, "eval.accuracy": 0.9})],
    ),
    (
        {"rename": {"train/loss": "val/loss", "val/loss": "train/loss"}, "exclude": ["train/*", "val/acc"]},
        [(0, {"val/loss": 0.5}), (1, {"val/loss": 0.4}), (2, {"val/loss": 0.3})],
    ),
    ({"prefix": "a/", "include": ["a/val/acc"]}, [(2, {"a/val/acc": 0.9})]),
    ({"include": ["a/val/acc"], "prefix": "a/"}, []),
    ({"every": 2, "include": ["train/*"]}, [(0, {"train/loss": 0.5}), (2, {"train/loss": 0.3})]),
]


@pytest.mark.parametrize(("options", "expected"), CASES)
def test_the_options_of_a_sink_change_what_it_gets(
    root: Path, options: dict[str, Any], expected: list[tuple[int, dict[str, float]]]
) -> None:
    """In the order of the keys; the sink beside it gets everything, and what is filtered counts as delivered."""
    sinks = [{"probe": {"out": str(root / "a"), **options}}, "local"]
    with unitrack.start_run("a", sinks=sinks, delivery="inline", root=root / "runs", tags={"t": "1"}) as run:
        log(run)
        run.log_params({"lr": 0.1})
        run.log_text("hello", "a.txt")
    assert metrics_of(root / "a") == expected
    assert [record["kind"] for record in stored(root / "a") if record["kind"] != "metrics"] == ["params", "artifact"]
    everything = [one for one in LocalSource(str(run.path)).records("a") if isinstance(one, Metrics)]
    assert [len(record.values()) for record in everything] == [2, 1, 3]
    report = run.finish()
    assert report["probe"].delivered == report["local"].delivered == 7
    assert report.ok


def test_a_courier_applies_it_too(root: Path) -> None:
    """The lane's order carries it through the pipe."""
    with unitrack.start_run("a", sinks=[{"local": {"include": ["val/*"], "prefix": "x/"}}], root=root) as run:
        log(run)
    assert run.finish().ok
    lines = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    assert [line["metrics"] for line in lines] == [{"x/val/loss": 0.6}, {"x/val/loss": 0.5, "x/val/acc": 0.9}]


def test_redact_takes_params_and_tags(root: Path) -> None:
    """By key or by dotted name, what is nested included; the tags of the start as well; the neighbour has all."""
    options = {"redact": ["site*", "data.path", "user"]}
    with unitrack.start_run(
        "a",
        sinks=[{"local": options}, {"probe": {"out": str(root / "a")}}],
        delivery="inline",
        root=root,
        tags={"site": "here", "kept": "1"},
        params={"data": {"path": "/home/x", "size": 3}, "user": {"name": "x", "id": 7}, "path": "kept"},
    ) as run:
        run.set_tags({"site2": "there"})
    params = json.loads((run.path / "params.json").read_text())
    hidden = "[redacted]"
    assert params == {
        "data": {"path": hidden, "size": 3},
        "user": {"name": hidden, "id": hidden},
        "path": "kept",
    }
    assert json.loads((run.path / "metadata.json").read_text())["tags"] == {
        "site": hidden,
        "kept": "1",
        "site2": hidden,
    }
    [first, second] = stored(root / "a")
    assert first["params"]["data"]["path"] == "/home/x"
    assert second["tags"] == {"site2": "there"}


def test_values_that_are_not_finite_pass(root: Path) -> None:
    """Renaming and filtering keep NaN and infinity as they are."""
    config = {"safeguards": {"non_finite": "keep"}}
    options = {"include": ["*a", "*b"], "rename": {"a": "A"}, "prefix": "p/"}
    with unitrack.start_run("a", sinks=[{"local": options}], delivery="inline", root=root, config=config) as run:
        run.log_metrics({"a": math.nan, "b": -math.inf, "c": 1.0}, step=0)
    [record] = [one for one in LocalSource(str(run.path)).records("a") if isinstance(one, Metrics)]
    values = record.values()
    assert values.keys() == {"p/A", "p/b"}
    assert math.isnan(values["p/A"])
    assert values["p/b"] == -math.inf


@pytest.mark.parametrize("kind", ["unavailable", "unexpected", "rejected"])
def test_a_failure_under_middleware_doubles_and_loses_nothing(root: Path, kind: str) -> None:
    """Redelivered, bisected, taken up by another process: names and counts as if nothing had happened."""
    middleware = {"exclude": ["b"], "rename": {"a": "loss"}, "prefix": "x/", "every": 3}
    troubles = [trouble("log_metrics", kind, times=1 if kind != "rejected" else 100, value=12.0)]
    bench = WrappedBench(root, middleware, troubles=troubles)
    for step in range(20):
        bench.append(Metrics(seq=0, time=now(), step=step, metrics={"a": float(step), "b": 1.0}))
    bench.end()
    for _ in range(3):
        lane = bench.lane()
        lane.retry_now()
        settle(lane, tries=1)
        lane.release()
    kept = [step for step in (*range(0, 20, 3), 19) if step != 12 or kind != "rejected"]
    assert metrics_of(root / "a") == [(step, {"x/loss": float(step)}) for step in kept]
    report = bench.report()
    rejected = 1 if kind == "rejected" else 0
    assert (report.state, report.delivered, report.dead_lettered) == ("complete", 22 - rejected, rejected)


@pytest.mark.parametrize("restart_after", [1, 4, 5, 9])
def test_every_goes_on_counting_after_a_restart(root: Path, restart_after: int) -> None:
    """The count is committed with the offset; it multiplies with `log_frequency`."""
    bench = WrappedBench(root, {"every": 2}, log_frequency=2)
    bench.points(*range(restart_after))
    first = bench.lane()
    assert settle(first) is Progress.IDLE
    first.release()
    bench.points(*range(restart_after, 11), first_step=restart_after)
    bench.end()
    second = bench.lane()
    assert settle(second) is Progress.DONE
    second.release()
    assert [step for step, _ in metrics_of(root / "a")] == [0, 4, 8, 10]


def test_two_names_that_become_one_are_a_dead_letter(root: Path) -> None:
    """Neither of the points is lost in silence."""
    bench = WrappedBench(root, {"rename": {"a": "b"}})
    bench.append(Metrics(seq=0, time=now(), step=0, metrics={"a": 1.0}))
    bench.append(Metrics(seq=0, time=now(), step=1, metrics={"a": 2.0, "b": 3.0}))
    bench.append(Metrics(seq=0, time=now(), step=2, metrics={"b": 4.0}))
    bench.end()
    lane = bench.lane()
    assert settle(lane) is Progress.DONE
    assert metrics_of(root / "a") == [(0, {"b": 1.0}), (2, {"b": 4.0})]
    [line] = bench.folder.dead_letter_file("a").read_text().splitlines()
    assert '"a":2.0' in line
    assert "two metrics" in line
    assert bench.report().dead_lettered == 1
    lane.release()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"include": "val/*"}, r"sink 'local', option 'include': expected a list of text that is not empty, got 'val/"),
        ({"every": 0}, "option 'every': expected an integer >= 1, got 0"),
        ({"every": True}, "option 'every': expected an integer >= 1, got True"),
        ({"rename": {"a": 1}}, "option 'rename': expected a mapping of text to text"),
        ({"prefix": ""}, "option 'prefix': expected text that is not empty"),
        ({"redact": ["a", 2]}, "option 'redact': expected a list of text"),
        ({"exclud": ["a"]}, "has no option 'exclud': did you mean 'exclude'?"),
        ({"zzz": 1}, "has no option 'zzz': it knows .*, and as every sink include, exclude, every"),
    ],
)
def test_a_mistake_raises_at_the_start(root: Path, options: dict[str, Any], message: str) -> None:
    """It names the sink, the key, and what is expected."""
    with pytest.raises(ConfigError, match=message):
        unitrack.start_run(sinks=[{"local": options}], root=root / "runs")
    assert not (root / "runs").exists()


class PrefixOptions(ProbeOptions, frozen=True):
    """A backend with an option that middleware has, too."""

    prefix: str = ""


def test_an_option_of_the_backend_is_the_backends() -> None:
    """A field of that name hides the middleware."""
    backend = msgspec.structs.replace(installed().backend("probe"), options=PrefixOptions)
    lane = make_lane("a", backend, {"out": "x", "prefix": "p", "include": ["a"]})
    assert lane.options["prefix"] == "p"
    assert [one.name for one in lane.middleware] == ["include"]


class Counting:
    """Middleware of a plugin that must remember something: it puts that into the checkpoint."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._count = 0

    @hookimpl(wrapper=True)
    def open_run(self, checkpoint: dict[str, Any] | None) -> Any:
        """Go back to what was committed."""
        self._count = (checkpoint or {}).pop("counting", 0)
        return (yield)

    @hookimpl(wrapper=True)
    def log_metrics(self, metrics: list[Metrics]) -> Any:
        """Number the records; a batch that fails was never counted."""
        before = self._count
        for index, record in enumerate(metrics):
            metrics[index] = record.with_values({**record.values(), self._name: self._count})
            self._count += 1
        try:
            return (yield)
        except BaseException:
            self._count = before
            raise

    @hookimpl(wrapper=True)
    def flush(self) -> Any:
        """Have the count committed with the offset."""
        checkpoint = yield
        return None if checkpoint is None else {**checkpoint, "counting": self._count}


def test_middleware_with_a_state_keeps_it_in_the_checkpoint(root: Path) -> None:
    """Across a failure and a restart each record is counted once."""
    bench = Bench(root, {"a": {"troubles": [trouble("log_metrics", "unavailable", times=1, value=5.0)]}})
    wrapping = Wrapping(name="counting", wrapper=f"{__name__}:Counting", value="n")
    spec = msgspec.structs.replace(bench.specs[0], middleware=(wrapping,))
    bench.serve(spec)
    bench.points(0, 1, 2)
    first = bench.lane()
    assert settle(first) is Progress.IDLE
    first.release()
    bench.points(3, 4, 5, first_step=3)
    bench.end()
    second = bench.lane()
    assert settle(second, tries=1) is Progress.DONE
    second.release()
    assert [values["n"] for _, values in metrics_of(root / "a")] == list(range(6))


def test_the_first_wrapper_is_the_outermost() -> None:
    """What the first key does, the second one sees."""
    seen: list[str] = []

    class Noting:
        def __init__(self, name: str) -> None:
            self._name = name

        @hookimpl(wrapper=True)
        def set_tags(self, tags: list[Tags]) -> Any:
            seen.append(self._name)
            return (yield)

    handle = SinkHandle(object(), [Noting("first"), Noting("second")])
    handle.deliver([Tags(seq=0, time=0, tags={})])
    assert seen == ["first", "second"]


class Declaring:
    """A plugin module with middleware of its own."""

    @staticmethod
    @hookimpl
    def register_middleware() -> list[Middleware]:
        """One that is new."""
        return [Middleware(name="counting", wrapper="x:Y", option=str)]


class Clashing:
    """A plugin module that takes a name that is taken."""

    @staticmethod
    @hookimpl
    def register_middleware() -> list[Middleware]:
        """One that is built in."""
        return [Middleware(name="every", wrapper="x:Y")]


@pytest.mark.parametrize("name", ["Declaring", "Clashing"])
def test_a_plugin_declares_middleware(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is there for all sinks; one whose name is taken disables its plugin, and only that."""
    monkeypatch.setattr(EntryPoint, "load", lambda entry: globals()[entry.value])
    plugins = Plugins([EntryPoint(name="mine", value=name)])
    if name == "Declaring":
        assert plugins.plugins[0].error is None
        assert plugins.middleware["counting"].option is str
    else:
        assert "'every'" in (plugins.plugins[0].error or "")
    assert plugins.middleware["every"].wrapper != "x:Y"


def test_a_manifest_of_before_is_readable(root: Path) -> None:
    """One without middleware is of a run without any; the classes that they named are passed over."""
    bench = Bench(root)
    file = bench.folder.manifest_file
    content = json.loads(file.read_bytes())
    for sink in content["sinks"]:
        del sink["middleware"]
        sink |= {"sink": "unitrack_probe:ProbeSink", "options_type": "unitrack_probe:ProbeOptions"}
        sink |= {"kinds_in_order": True, "lanes_at_once": None}
    file.write_text(json.dumps(content))
    [sink] = bench.folder.read_manifest().sinks
    assert (sink.name, sink.backend, sink.options["out"]) == ("a", "probe", str(root / "a"))
    assert sink.middleware == ()


def test_a_manifest_names_no_class(root: Path) -> None:
    """Else the modules of a plugin could never move, and a stranger's file would say what is imported."""
    bench = WrappedBench(root, {"prefix": "x/"})
    [sink] = json.loads(bench.folder.manifest_file.read_bytes())["sinks"]
    assert sink.keys() == {"name", "backend", "options", "middleware"}
    assert sink["middleware"] == [{"name": "prefix", "value": "x/"}]


def test_registering_a_sink_evaluates_no_property() -> None:
    """One may need what `open` prepares."""

    class Sink:
        @property
        def client(self) -> object:
            raise RuntimeError("not open")

        @hookimpl
        def flush(self) -> str:
            return "here"

    handle = SinkHandle(Sink())
    assert handle.flush() == "here"
