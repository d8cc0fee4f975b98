"""Named artifacts are W&B artifacts: versions, aliases, and edges of what was logged and what was used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import wandb
from stand_in_artifacts import ArtifactStore
from stand_in_server import API_KEY, ENTITY, StandInServer
from wandb_reading import Drive, wandb_sync

import unitrack
from unitrack.delivery.sync import sync_run
from unitrack.errors import DeliveryWarning
from unitrack.hookspecs import RunContext
from unitrack.manager.editing import edit_run
from unitrack.records import ALIAS
from unitrack.runfolder.run_folder import RunFolder
from unitrack_wandb.offline_run import OfflineRun
from unitrack_wandb.versions import DIGEST, MARK


@pytest.fixture
def online(online: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """With the key where a later session finds it."""
    monkeypatch.setenv("WANDB_API_KEY", online.pop("api_key"))
    return online


def start(name: str, options: dict[str, Any], **more: Any) -> unitrack.Run:
    sinks = [{"wandb": options}]
    return unitrack.start_run(name, project="p", run_id=name, sinks=sinks, delivery="inline", root="runs", **more)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for version in (0, 1):
        Path(f"{version}").mkdir()
        Path(f"{version}/model.pt").write_text(f"weights {version}")


def log(name: str, options: dict[str, Any], version: int, *aliases: str) -> unitrack.Run:
    with start(name, options) as run:
        run.log_artifact(f"{version}/model.pt", name="model", aliases=list(aliases))
    assert run.finish().ok
    return run


def edit(run: unitrack.Run, alias: str, text: str) -> None:
    assert edit_run(RunFolder(run.path), tags={f"{ALIAS}model:{alias}": text}).ok


def api(server: StandInServer) -> wandb.Api:
    return wandb.Api(overrides={"base_url": server.url}, api_key=API_KEY)


def lineage(store: ArtifactStore) -> list[tuple[str, str, list[str]]]:
    return [(one.label, one.logged_by, one.used_by) for one in store.versions]


def test_versions_and_aliases_on_a_server(server: StandInServer, online: dict[str, Any]) -> None:
    """The SDK reads back what unitrack knows; the content is uploaded, and the run's own files are there as before."""
    log("r0", online, 0, "best")
    run = log("r1", online, 1, "best", "prod")
    store = server.artifacts
    assert store.table("model") == [("model:v0", []), ("model:v1", ["best", "latest", "prod"])]
    read = api(server).artifact(f"{ENTITY}/p/model:best")
    assert (read.type, read.version, read.metadata[MARK], read.metadata["run"]) == ("artifact", "v1", "v1", "r1")
    assert read.metadata[DIGEST] == unitrack.use_artifact("model", project="p", root="runs").digest
    assert store.versions[1].files["model.pt"]["size"] == len("weights 1")
    assert server.run(store.versions[1].id).files == {"model.pt": b"weights 1"}
    assert server.runs[run.id].files["model/v1/model.pt"] == b"weights 1"


def test_what_was_used_has_an_edge(server: StandInServer, online: dict[str, Any]) -> None:
    """Aliases stay where they are, also if the version that is used is an old one."""
    log("r0", online, 0)
    log("r1", online, 1)
    with start("eval", online) as run:
        run.use_artifact("model:v0")
    assert lineage(server.artifacts) == [("model:v0", "r0", ["eval"]), ("model:v1", "r1", [])]
    assert server.artifacts.table("model") == [("model:v0", []), ("model:v1", ["latest"])]


def test_a_version_of_another_project_is_found_there(server: StandInServer, online: dict[str, Any]) -> None:
    log("r0", online, 0)
    sinks = [{"wandb": online}]
    with unitrack.start_run("q", project="q", run_id="q", sinks=sinks, delivery="inline", root="runs") as run:
        run.use_artifact("model", project="p")
    assert lineage(server.artifacts) == [("model:v0", "r0", ["q"])]


def test_a_version_that_wandb_does_not_know_is_made_to_be_used(server: StandInServer, online: dict[str, Any]) -> None:
    """The run that logged it has no W&B sink: its content is under the root."""
    with unitrack.start_run("made", project="p", sinks=["local"], delivery="inline", root="runs") as run:
        run.log_artifact("0", name="data")
        run.log_artifact(name="corpus", reference="s3://bucket/corpus.tar", checksum="md5:11", size=3)
    with start("eval", online) as run:
        run.use_artifact("data")
        run.use_artifact("corpus")
    data, corpus = server.artifacts.versions
    assert (data.label, data.used_by, list(data.files)) == ("data:v0", ["eval"], ["model.pt"])
    entry = corpus.files["corpus.tar"]
    assert (corpus.used_by, entry["ref"], entry["digest"], entry["size"]) == (
        ["eval"],
        "s3://bucket/corpus.tar",
        "md5:11",
        3,
    )


def test_delivering_again_and_late_changes_nothing(server: StandInServer, online: dict[str, Any]) -> None:
    """The same content is one version, and a run that comes late takes no alias from a newer one."""
    server.graphql_status = 401
    with pytest.warns(DeliveryWarning), start("late", online) as late:
        late.log_artifact("0/model.pt", name="model", aliases=["best"])
    server.graphql_status = 200
    log("newer", online, 1, "best")
    assert server.artifacts.table("model") == [("model:v0", ["best", "latest"])]
    assert sync_run(RunFolder(late.path), timeout=20).ok
    table = [("model:v0", ["best", "latest"]), ("model:v1", [])]
    assert server.artifacts.table("model") == table
    log("again", online, 1)
    assert server.artifacts.table("model") == table


def test_two_deliveries_of_a_record_are_one_version(
    server: StandInServer, online: dict[str, Any], run: RunContext, drive: Drive
) -> None:
    """A courier that died before its commit delivers all again."""
    version = {"name": "model", "number": 0, "digest": "ab" * 32, "aliases": ["best"]}
    for _ in range(2):
        driver = drive(run=run, **online)
        driver.artifact("model/v0/model.pt", b"weights", type="model", annotations={"version": version})
        driver.end()
        driver.close()
    assert server.artifacts.table("model") == [("model:v0", ["best", "latest"])]
    assert lineage(server.artifacts) == [("model:v0", run.start.run_id, [])]


def test_a_name_keeps_the_type_that_it_has(server: StandInServer, online: dict[str, Any]) -> None:
    """W&B takes no version of another type, so the type of the first one holds."""
    log("r0", online, 0)
    with start("r1", online) as run:
        run.log_model("1/model.pt", aliases=[])
    assert [(one.label, one.type) for one in server.artifacts.versions] == [
        ("model:v0", "artifact"),
        ("model:v1", "artifact"),
    ]


def test_aliases_are_moved_and_removed_later(server: StandInServer, online: dict[str, Any]) -> None:
    """Also to an older version; a delivery of the newer run after that does not take it back."""
    first = log("r0", online, 0)
    log("r1", online, 1, "best")
    edit(first, "best", "v0")
    assert server.artifacts.table("model") == [("model:v0", ["best"]), ("model:v1", ["latest"])]
    log("r2", online, 0)
    with start("r1", online, resume="must") as run:
        run.log_artifact("1/model.pt", name="model", aliases=["prod"])
    edit(first, "prod", "-v0")
    assert server.artifacts.table("model") == [("model:v0", ["best"]), ("model:v1", ["latest", "prod"])]
    edit(first, "best", "-v0")
    assert server.artifacts.table("model") == [("model:v0", []), ("model:v1", ["latest", "prod"])]


def test_a_server_without_artifacts_has_the_files(server: StandInServer, online: dict[str, Any]) -> None:
    server.artifacts.is_known = False
    run = log("r0", online, 0, "best")
    assert server.runs[run.id].files["model/v0/model.pt"] == b"weights 0"
    assert server.artifacts.versions == []


def written(run: unitrack.Run) -> list[tuple[str, str, list[str], bool]]:
    """What the `.wandb` file says of artifacts: name, version, aliases, and whether they are used."""
    header = OfflineRun(Path(run.links()["wandb"].location)).header
    told = ((one, json.loads(one.metadata)[MARK]) for one in header.artifacts)
    return [(one.name, version, list(one.aliases), one.use_after_commit) for one, version in told]


def test_offline_runs_hold_the_same(tmp_path: Path, server: StandInServer) -> None:
    """`wandb sync` makes of it what an online run makes; what was moved before that is said by the last aliases."""
    options = {"mode": "offline"}
    first = log("r0", options, 0, "best")
    second = log("r1", options, 1, "best")
    with start("eval", options) as run:
        run.use_artifact("model:v0")
    assert written(run) == [("model", "v0", [], True)]
    assert written(second) == [("model", "v1", ["latest", "best"], False)]
    [stored] = unitrack.runs(f"wandb:{first.links()['wandb'].location}")
    assert [one.name for one in stored.artifacts] == ["model/v0/model.pt"]
    edit(first, "prod", "v0")
    edit(second, "best", "-v1")
    assert written(first) == [("model", "v0", ["latest", "best", "prod"], False)]
    assert written(second) == [("model", "v1", ["latest"], False)]
    made, *others = [str(one.links()["wandb"].location) for one in (first, second, run)]
    wandb_sync(made, folder=tmp_path, server=server, home=tmp_path)
    wandb_sync(*others, folder=tmp_path, server=server, home=tmp_path)
    assert server.artifacts.table("model") == [("model:v0", ["best", "prod"]), ("model:v1", ["latest"])]
    assert lineage(server.artifacts) == [("model:v0", "r0", ["eval"]), ("model:v1", "r1", [])]
    assert server.run(server.artifacts.versions[0].id).files == {"model.pt": b"weights 0"}
    edit(first, "late", "v0")
    assert written(first) == [("model", "v0", ["late"], False)]


def test_a_run_that_goes_back_keeps_what_it_logged(tmp_path: Path) -> None:
    """The offline folder is written anew, its artifacts once."""
    with start("r0", {"mode": "offline"}) as run:
        run.log_metrics({"loss": 1.0}, 5)
        run.log_artifact("0/model.pt", name="model", aliases=["best"])
        run.flush()
        run.log_metrics({"loss": 2.0}, 6)
    with start("r0", {"mode": "offline"}, resume="must") as run:
        run.log_artifact("1/model.pt", name="model")
        run.log_metrics({"loss": 3.0}, 6)
    assert written(run) == [("model", "v0", ["latest", "best"], False), ("model", "v1", ["latest"], False)]
