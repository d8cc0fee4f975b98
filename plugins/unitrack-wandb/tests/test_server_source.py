"""Runs on a server read through the real SDK: what the plain SDK wrote, what unitrack wrote, and troubles."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from stand_in_server import API_KEY, StandInServer
from wandb_reading import Drive, wait_until

import unitrack
from unitrack.errors import MissingLocationError, NotFoundError, SourceError
from unitrack.records import GROUP, JOB_TYPE, PARENT, MetricDefinition, metric_definitions
from unitrack.testing.driver import SinkDriver
from unitrack_wandb import server_access
from unitrack_wandb.source import open_source

Online = dict[str, Any]
FAR = 500
"""Steps between two rows."""
ROWS = 2500
CREATED = 1_704_067_200_000
"""What the stand-in says of each run."""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandInServer]:
    """A server to which the plain SDK wrote one long run and four short ones."""
    import wandb

    root = tmp_path_factory.mktemp("plain")
    (root / "weights.bin").write_bytes(b"abc")
    with StandInServer().serving() as server:
        settings = wandb.Settings(
            base_url=server.url, api_key=API_KEY, silent=True, console="off", x_disable_stats=True, reinit="create_new"
        )
        names = {"project": "tests", "entity": "team", "dir": str(root), "settings": settings}
        config = {"lr": 0.1, "model": {"depth": 4}}
        run = wandb.init(
            id="long", name="n", notes="why", tags=["t"], group="g", job_type="eval", config=config, **names
        )
        run.define_metric("epoch")
        run.define_metric("val/*", step_metric="epoch")
        for row in range(ROWS):
            run.log(
                {"loss": row / 3, "nested": {"x": 1}} | ({"val/loss": 1.0, "epoch": row} if row % 2 else {}), row * FAR
            )
        shown = {"page": wandb.Html("<p>"), "h/w": wandb.Histogram(np_histogram=([1, 2], [0, 1, 4]))}
        run.log(shown | {"bad": float("nan"), "word": "no"}, step=ROWS * FAR)
        run.summary["best"] = 0.5
        run.save(str(root / "weights.bin"), base_path=str(root), policy="now")
        run.finish()
        for number in range(4):
            short = wandb.init(id=f"short{number}", config={"lr": number}, **names)
            short.log({"loss": number})
            short.finish(exit_code=number % 2)
        wait_until(lambda: len(server.runs["long"].history) == ROWS + 1)
        yield server


@pytest.fixture
def reading(project: StandInServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandInServer]:
    """The server as the one that reading turns to, with its switches as they were."""
    point_at(project, monkeypatch)
    yield project
    project.graphql_status, project.page_size = 200, 1000
    project.refused.clear()


def point_at(server: StandInServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", server.url)
    monkeypatch.setenv("WANDB_API_KEY", API_KEY)
    monkeypatch.setattr(server_access, "_IMPATIENT", server_access._IMPATIENT | {"x_graphql_retry_max": 1})


def test_a_run_of_the_plain_sdk(reading: StandInServer, tmp_path: Path) -> None:
    run = unitrack.runs("wandb:team/tests").find("long")
    assert (run.id, run.name, run.project, run.description, run.unitrack_id) == ("long", "n", "tests", "why", None)
    assert (run.started, run.ended, run.status) == (CREATED, CREATED, "finished")
    assert run.params == {"lr": 0.1, "model.depth": 4}
    assert {tag: text for tag, text in run.tags.items() if "metric" not in tag} == {
        "t": "", GROUP: "g", JOB_TYPE: "eval",
    }  # fmt: skip
    assert metric_definitions(run.tags) == {"val/*": MetricDefinition(step_metric="epoch")}
    assert (run.summary["loss"], run.summary["best"]) == ((ROWS - 1) / 3, 0.5)
    names = {artifact.name: (artifact.type, artifact.size) for artifact in run.artifacts}
    [page] = [name for name in names if name.startswith("media/html/page")]
    histogram = f"media/histograms/h_x2f_w_{ROWS * FAR}.json"
    content = {"counts": [1.0, 2.0], "edges": [0.0, 1.0, 4.0]}
    assert json.loads(run.fetch(histogram, tmp_path).read_bytes()) == content
    assert names == {
        "weights.bin": ("file", 3),
        page: ("html", len(reading.runs["long"].files[page])),
        histogram: ("histogram", (tmp_path / histogram).stat().st_size),
    }
    assert run.fetch("weights.bin", tmp_path).read_bytes() == b"abc"
    assert b"<p>" in run.fetch(page, tmp_path).read_bytes()
    assert reading.unanswered == []


def test_histories_are_whole_and_read_in_pages(reading: StandInServer) -> None:
    """A row that lacks a key of another metric is there, and steps that are far apart cost no empty pages."""
    asked = reading.pages.get("HistoryPage", 0)
    histories = unitrack.runs("wandb:team/tests/long")[0].histories()
    assert 2 < reading.pages["HistoryPage"] - asked < 10
    loss, validation = histories["loss"], histories["val/loss"]
    assert [(point.step, point.value) for point in loss] == [(row * FAR, row / 3) for row in range(ROWS)]
    assert list(validation.steps) == [row * FAR for row in range(1, ROWS, 2)]
    assert loss.times[0] == round(reading.runs["long"].history[0]["_timestamp"] * 1000)
    assert set(histories) == {"loss", "val/loss", "epoch", "nested.x", "bad", "best"}
    assert math.isnan(histories["bad"][0].value)
    assert [(point.step, point.value) for point in histories["best"]] == [((ROWS - 1 + 1) * FAR, 0.5)]


def test_a_project_is_listed_in_pages_without_reading_histories(reading: StandInServer) -> None:
    reading.page_size = 2
    rows = reading.pages.get("HistoryPage", 0)
    found = unitrack.runs("wandb:team/tests")
    assert {run.id: run.summary["loss"] for run in found if run.params["lr"] >= 1} == {
        "short1": 1.0, "short2": 2.0, "short3": 3.0,
    }  # fmt: skip
    assert {run.id: run.status for run in found} == {
        "long": "finished", "short0": "finished", "short1": "failed", "short2": "finished", "short3": "failed",
    }  # fmt: skip
    assert reading.pages["Runs"] >= 3
    assert reading.pages.get("HistoryPage", 0) == rows


def test_runs_are_read_while_they_are_listed(reading: StandInServer) -> None:
    """Two loops over one project do not disturb each other, and definitions are known on each page."""
    reading.page_size = 2
    source = open_source("team/tests")
    seen = {start.run_id: len(source.columns(start.run_id)["loss"]) for start, _ in source.summaries()}
    assert seen == {"long": ROWS} | {f"short{number}": 1 for number in range(4)}
    assert [start.run_id for start in source.runs() if metric_definitions(start.tags)] == ["long"]


def test_a_run_of_unitrack_reads_back_as_it_was_logged(
    server: StandInServer, online: Online, tmp_path: Path, drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    tags = {"team": "a", GROUP: "g", PARENT: "p1"}
    run = SinkDriver.make_run(tmp_path / "run", "a b/ä", name="mine", tags=tags, description="why", project="tests")
    driver = drive(run=run, **online, entity="team")
    driver.params({"lr": 0.1, "unitrack": 1, "-d-": 2})
    driver.metrics({"v": 1.0, "_x": 2.0, "step": 3.0, "nan": math.nan}, step=5, time=1_700_000_000_123)
    driver.metrics({"v": 0.1 + 0.2}, step=2)
    driver.artifact("plots/a.txt", b"curve", type="text", step=7)
    driver.artifact("config.yaml", b"theirs")
    driver.end("pruned")
    point_at(server, monkeypatch)
    stored = unitrack.runs("wandb:team/tests").find("a b/ä")
    assert (stored.unitrack_id, stored.name, stored.started) == ("a b/ä", "mine", run.start.time)
    assert (stored.description, stored.status, stored.tags) == ("why", "pruned", tags)
    assert stored.params == {"lr": 0.1, "unitrack": 1, "-d-": 2}
    assert [(point.step, point.value) for point in stored.history("v")] == [(5, 1.0), (2, 0.1 + 0.2)]
    assert stored.history("v")[0].time == 1_700_000_000_123
    assert set(stored.metrics) == {"v", "_x", "step", "nan"}
    assert [(one.name, one.type, one.step) for one in stored.artifacts] == [
        ("plots/a.txt", "text", 7),
        ("config.yaml", "file", None),
    ]
    assert stored.fetch("config.yaml", tmp_path / "got").read_bytes() == b"theirs"
    assert [one.id for one in unitrack.runs(f"wandb:{driver.link.location}")] == [stored.id], "where a link leads"


@pytest.mark.parametrize("place", ["team/none", "team/tests/none", "nobody/tests"])
def test_a_project_or_run_that_is_not_there(reading: StandInServer, place: str) -> None:
    with pytest.raises(MissingLocationError, match=rf"no folder '{place}' .* no such project or run .* entity/project"):
        len(unitrack.runs(f"wandb:{place}"))
    with pytest.raises(NotFoundError, match="'none'"):
        unitrack.runs("wandb:team/tests").find("none")


def test_no_key_and_keys_that_are_refused(reading: StandInServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "short")
    with pytest.raises(SourceError, match=r"'wandb:team/tests': the API key was refused: run `wandb login`"):
        unitrack.runs("wandb:team/tests")
    monkeypatch.delenv("WANDB_API_KEY")
    with pytest.raises(SourceError, match=r"'wandb:team/tests'.* needs an API key: run `wandb login`"):
        unitrack.runs("wandb:team/tests")
    monkeypatch.setenv("WANDB_API_KEY", API_KEY)
    reading.graphql_status = 401
    with pytest.raises(SourceError, match=r"'wandb:team/tests': the API key was refused: run `wandb login`"):
        unitrack.runs("wandb:team/tests")


@pytest.mark.parametrize("status", [429, 503])
def test_a_server_that_fails_in_the_middle(reading: StandInServer, status: int) -> None:
    found = unitrack.runs("wandb:team/tests")
    run = found.find("short1")
    reading.refused["HistoryPage"] = status
    with pytest.raises(SourceError, match=rf"'wandb:team/tests': W&B does not answer.* try again later .*{status}"):
        run.history("loss")
    del reading.refused["HistoryPage"]
    assert run.history("loss")[0].value == 1.0


def test_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = StandInServer(listening=False)
    point_at(gone, monkeypatch)
    try:
        with pytest.raises(SourceError, match=r"'wandb:team/tests'.* refuses connections: check the network"):
            unitrack.runs("wandb:team/tests")
    finally:
        gone.close()


def test_the_patience_of_the_users_own_runs_stays(reading: StandInServer) -> None:
    import wandb

    before = wandb.setup().settings.x_graphql_retry_max
    unitrack.runs("wandb:team/tests")
    assert wandb.setup().settings.x_graphql_retry_max == before


@pytest.mark.usefixtures("nothing_printed")
def test_reading_prints_nothing(reading: StandInServer) -> None:
    assert len(unitrack.runs("wandb:team/tests")[0].history("loss")) > 0


def test_a_folder_that_looks_like_a_project_goes_first(
    reading: StandInServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "team" / "tests").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert len(unitrack.runs("wandb:team/tests")) == 0
