"""Single hooks, called by hand in every order that a lane may call them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from unitrack.hookspecs import Checkpoint, RunContext
from unitrack.plugins.options import convert_options, load_object
from unitrack.records import Metrics, RunEnd
from unitrack.testing.conformance.base import BackendTests
from unitrack.testing.driver import SinkDriver


class HookConformance(BackendTests):
    """Hooks in the orders that `SinkSpec` allows, some of them called twice."""

    @pytest.fixture
    def run(self, tmp_path: Path) -> RunContext:
        """A run of its own."""
        return SinkDriver.make_run(tmp_path / "driven", run_id=f"driven-{tmp_path.name}"[:60])

    @pytest.fixture
    def drivers(self) -> Iterator[list[SinkDriver]]:
        """The drivers that a test made, closed at its end."""
        made: list[SinkDriver] = []
        yield made
        for driver in made:
            driver.close()

    @pytest.fixture
    def new_driver(self, run: RunContext, sink_options: dict[str, Any], drivers: list[SinkDriver]) -> Any:
        """Return a function that makes a driver of the run, not yet opened."""

        def make(checkpoint: Checkpoint | None = None) -> SinkDriver:
            options = convert_options(self.backend, sink_options, "sink")
            drivers.append(SinkDriver(load_object(self.sink_class)(options), run, checkpoint))
            return drivers[-1]

        return make

    def points(self, driver: SinkDriver) -> list[tuple[int, float]]:
        """The points of "loss" that the backend holds."""
        records = [record for record in self.records(driver.link) if isinstance(record, Metrics)]
        return [(record.step, record.values()["loss"]) for record in records]

    def test_flush_without_data(self, new_driver: Any) -> None:
        """`flush` right after `open_run`, twice, returns the same and changes nothing."""
        driver = new_driver()
        driver.open()
        assert driver.flush() == driver.flush()
        driver.metrics({"loss": 0.5}, 1)
        driver.end()
        assert self.points(driver) == [(1, 0.5)]

    def test_flush_twice(self, new_driver: Any) -> None:
        """A second `flush` returns the same and changes nothing."""
        driver = new_driver()
        driver.open()
        driver.metrics({"loss": 0.5}, 1)
        assert driver.flush() == driver.flush()
        driver.metrics({"loss": 0.25}, 2)
        driver.end()
        assert self.points(driver) == [(1, 0.5), (2, 0.25)]

    def test_flush_confirms_as_declared(self, new_driver: Any) -> None:
        """`flush` returns a checkpoint after each batch, or only at the end, as `Backend.confirms` declares."""
        driver = new_driver()
        driver.open()
        driver.metrics({"loss": 0.5}, 1)
        assert (driver.flush() is not None) == (self.backend.confirms == "flush")
        driver.end()
        assert driver.checkpoint is not None

    def test_checkpoint_survives_json(self, new_driver: Any) -> None:
        """A checkpoint is the same after it was written as JSON and read."""
        driver = new_driver()
        driver.open()
        driver.metrics({"loss": 0.5}, 1)
        driver.params({"lr": 0.1})
        driver.end()
        assert driver.checkpoint == msgspec.json.decode(msgspec.json.encode(driver.checkpoint))

    def test_checkpoint_does_not_grow_with_the_points(self, new_driver: Any) -> None:
        """A checkpoint is written at every commit, so its size must not depend on the number of points."""
        sizes = []
        driver = new_driver()
        driver.open()
        for step in range(200):
            driver.metrics({"loss": 0.5}, step)
            if step in (99, 199):
                sizes.append(len(msgspec.json.encode(driver.flush())))
        driver.end()
        assert sizes[1] <= sizes[0] + 64

    def test_end_twice(self, new_driver: Any) -> None:
        """`end_run` twice, as after a crash between the end and its commit, leaves one end."""
        driver = new_driver()
        driver.open()
        driver.metrics({"loss": 0.5}, 1)
        driver.end_run("finished")
        driver.flush()
        driver.end_run("finished")
        driver.flush()
        driver.close()
        assert self.points(driver) == [(1, 0.5)]
        ends = [record for record in self.records(driver.link) if isinstance(record, RunEnd)]
        assert [end.status for end in ends] == ["finished"]

    def test_end_again_after_reopening(self, new_driver: Any) -> None:
        """`end_run` after opening again with the checkpoint of the end changes nothing."""
        driver = new_driver()
        driver.open()
        driver.metrics({"loss": 0.5}, 1)
        driver.end("failed")
        again = new_driver(driver.checkpoint)
        again.open()
        again.end("failed")
        assert self.points(again) == [(1, 0.5)]

    def test_open_twice(self, new_driver: Any) -> None:
        """`open_run` twice without a checkpoint gives one run under one id."""
        driver = new_driver()
        first = driver.open()
        driver.close()
        again = new_driver()
        assert again.open().id == first.id
        again.metrics({"loss": 0.5}, 1)
        again.end()
        assert self.points(again) == [(1, 0.5)]

    def test_close_without_end(self, new_driver: Any) -> None:
        """One courier stops without an end, and another one ends the run."""
        driver = new_driver()
        driver.open()
        record = driver.metrics({"loss": 0.5}, 1)
        driver.flush()
        driver.close()
        again = new_driver(driver.checkpoint)
        again.open()
        if driver.checkpoint is None:
            again.deliver([record])
        again.end()
        assert self.points(again) == [(1, 0.5)]

    def test_close_without_flush(self, new_driver: Any) -> None:
        """A batch that was not flushed before `close` is delivered again, and is there once."""
        driver = new_driver()
        driver.open()
        record = driver.metrics({"loss": 0.5}, 1)
        driver.close()
        again = new_driver()
        again.open()
        again.deliver([record])
        again.end()
        assert self.points(again) == [(1, 0.5)]

    def test_close_twice(self, new_driver: Any) -> None:
        """A second `close` raises nothing."""
        driver = new_driver()
        driver.open()
        driver.end()
        driver.close()

    def test_the_batch_belongs_to_the_call(self, new_driver: Any) -> None:
        """A sink does not keep the list of a batch, which middleware may reuse."""
        driver = new_driver()
        driver.open()
        batch = [Metrics(seq=number, time=1000 + number, step=number, metrics={"loss": 0.5}) for number in range(3)]
        driver.hooks.log_metrics(metrics=batch)
        batch.clear()
        driver.end()
        assert self.points(driver) == [(0, 0.5), (1, 0.5), (2, 0.5)]

    def test_empty_batch(self, new_driver: Any) -> None:
        """Each hook takes an empty batch: middleware may have removed everything."""
        driver = new_driver()
        driver.open()
        for hook, argument in (("log_params", "params"), ("log_metrics", "metrics"), ("set_tags", "tags")):
            getattr(driver.hooks, hook)(**{argument: []})
        driver.hooks.log_artifacts(artifacts=[])
        driver.metrics({"loss": 0.5}, 1)
        driver.end()
        assert self.points(driver) == [(1, 0.5)]
