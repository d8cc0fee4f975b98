"""Runs in a store that a team shares: what a listing reads, many writers, and readers while a run is logged."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from unitrack_tests.children import run_child
from unitrack_tests.s3 import Bucket, Handler

import unitrack
from unitrack import local
from unitrack.errors import SourceError
from unitrack.hookspecs import RunSummary
from unitrack.local.options import LocalOptions
from unitrack.local.team import publisher
from unitrack.local.team.layout import ENTRIES, FORMAT, Part, RunEntry, decode_entry, encode_entry
from unitrack.local.team.source import TeamSource
from unitrack.records import RunStart
from unitrack.testing import SinkConformance, Trial, in_the_way


class TestTeamStore(SinkConformance):
    """A run folder, and the same run in a shared folder, which is read."""

    plugin = local

    @pytest.fixture
    def options(self, tmp_path: Path) -> dict[str, Any]:
        """A folder that others see as well."""
        return {"team_store": str(tmp_path / "team")}

    def outage(self, trial: Trial) -> AbstractContextManager[None]:
        """`metadata.json` can't be written."""
        return in_the_way(trial.folder.path / "metadata.json", by="folder")


@pytest.fixture
def team(bucket: Bucket) -> Bucket:
    bucket.url = f"{bucket.url}/team"
    return bucket


def sinks(team: Bucket) -> list[Any]:
    return [{"local": {"team_store": team.url}}]


def test_a_run_is_read_from_the_bucket_alone(team: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with unitrack.start_run("first", sinks=sinks(team), tags={"team": "vision"}, delivery="inline") as run:
        run.log_params({"lr": 0.1, "model": {"depth": 4}})
        for step in range(50):
            run.log_metrics({"loss": 1 / (step + 1)}, step=step)
        run.log_text("hello", "notes/a.txt")
    (tmp_path / "other-machine").mkdir()
    monkeypatch.chdir(tmp_path / "other-machine")
    [stored] = unitrack.runs(f"local:{team.url}")
    assert (stored.id, stored.name, stored.status, stored.tags["team"]) == (run.id, "first", "finished", "vision")
    assert stored.params == {"lr": 0.1, "model.depth": 4}
    assert [point.value for point in stored.history("loss")] == [1 / (step + 1) for step in range(50)]
    assert stored.fetch("notes/a.txt", ".").read_text() == "hello"
    assert stored.metrics["loss"].min == 0.02
    [again] = unitrack.runs(team.url)  # the bare URL
    assert again.id == run.id
    keys = [key.removeprefix(f"team/{run.path.name}-{run.id}/") for key in team.keys("team/")]
    assert {"metadata.json", "params.json", "metrics.jsonl", "artifacts/notes/a.txt.unitrack-blob"} <= set(keys)
    assert not [key for key in keys if key.startswith("metrics/")]
    assert unitrack.verify(run, against=f"local:{team.url}").ok


def test_a_listing_is_one_request_a_run_and_reads_no_points(team: Bucket) -> None:
    for number in range(5):
        with unitrack.start_run(f"run-{number}", sinks=sinks(team), delivery="inline") as run:
            run.log_metrics({"loss": float(number)}, step=0)
            run.log_text("x" * 1000, "a.txt")
    team.wire.requests.clear()
    found = unitrack.runs(f"local:{team.url}", order_by="metrics.loss")
    assert [one.metrics["loss"].last for one in found] == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert len(team.wire.requests) == 1 + 5
    team.wire.requests.clear()
    assert [point.value for point in found[3].history("loss")] == [3.0]
    assert len(team.wire.requests) <= 3


def test_points_are_added_in_parts_that_grow(team: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte is sent a few times, however often the run is published."""
    monkeypatch.setattr(publisher, "_AT_ONCE", 10**9)
    [backend] = local.register_backends()
    trial = Trial(tmp_path / "run", backend, {"team_store": team.url})
    sizes: list[int] = []

    def note(request: Handler, number: int) -> bool:
        if "/metrics/" in request.path and request.command == "PUT":
            sizes.append(int(request.headers["Content-Length"]))
        return False

    team.wire.trouble = note
    for step in range(64):
        trial.metrics({"loss": float(step)}, step)
        trial.deliver()
        if step == 40:
            [stored] = unitrack.runs(f"local:{team.url}")
            assert stored.status == "running"
            assert [point.value for point in stored.history("loss")] == [float(one) for one in range(41)]
    size = (trial.folder.path / "metrics.jsonl").stat().st_size
    assert len([key for key in team.keys("team/") if "/metrics/" in key]) <= 8
    assert sum(sizes) < 9 * size
    trial.end()
    assert [key for key in team.keys("team/") if "/metrics" in key] == ["team/run-trial/metrics.jsonl"]
    trial.close()


def test_a_run_that_logs_all_the_time_is_published_now_and_then(team: Bucket, tmp_path: Path) -> None:
    [backend] = local.register_backends()
    trial = Trial(tmp_path / "run", backend, {"team_store": team.url})
    for step in range(40):
        trial.metrics({"loss": float(step)}, step)
        trial.deliver()
    puts = [one for one in team.wire.requests if one.startswith("PUT") and ENTRIES in one]
    assert len(puts) <= 8
    trial.end()
    [stored] = unitrack.runs(f"local:{team.url}")
    assert len(stored.history("loss")) == 40
    trial.close()


def test_many_writers(team: Bucket) -> None:
    """Runs of one name, at one time, from several places: each is there, and whole."""

    def log(number: int) -> None:
        run = unitrack.start_run("same", sinks=sinks(team), delivery="thread", root=f"root-{number}")
        run.log_metrics({"loss": float(number)}, step=0)
        assert run.finish(timeout=60).ok

    threads = [threading.Thread(target=log, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = unitrack.runs(f"local:{team.url}")
    assert sorted(one.metrics["loss"].last or 0.0 for one in found) == [0.0, 1.0, 2.0, 3.0]


def test_a_reader_whose_parts_were_replaced_reads_again(team: Bucket, tmp_path: Path) -> None:
    [backend] = local.register_backends()
    trial = Trial(tmp_path / "run", backend, {"team_store": team.url})
    trial.metrics({"loss": 1.0}, 0)
    trial.deliver()
    source = TeamSource(team.url)
    assert len(list(source.runs())) == 1
    trial.metrics({"loss": 2.0}, 1)
    trial.end()  # the parts that the source knows are gone
    assert [record.metrics for record in source.history("trial", {"loss"})] == [{"loss": 1.0}, {"loss": 2.0}]
    [key] = [key for key in team.keys("team/") if key.endswith("metrics.jsonl")]
    team.client.put_object(Bucket=team.name, Key=key, Body=b"damaged")
    with pytest.raises(SourceError, match="not whole"):
        list(TeamSource(team.url).records("trial"))
    trial.close()


def test_copying_to_and_from_a_team_store(team: Bucket, tmp_path: Path) -> None:
    with unitrack.start_run("a", delivery="inline") as run:
        run.log_params({"lr": 0.1})
        run.log_metrics({"loss": 0.5}, step=0)
        run.log_text("hello", "notes.txt")
    assert unitrack.copy("experiments", f"local:{team.url}").ok
    [there] = unitrack.runs(f"local:{team.url}")
    assert (there.name, there.params, there.metrics["loss"].last) == ("a", {"lr": 0.1}, 0.5)
    assert unitrack.copy(f"local:{team.url}", str(tmp_path / "back")).ok
    [back] = unitrack.runs(tmp_path / "back")
    assert back.fetch("notes.txt", tmp_path / "x").read_text() == "hello"


def test_a_store_that_cannot_be_read(team: Bucket) -> None:
    with pytest.raises(SourceError, match="the bucket 'no-such-bucket-here'"):
        list(unitrack.runs("local:s3://no-such-bucket-here/x"))
    assert list(unitrack.runs(f"local:{team.url}/nothing")) == []


def test_an_entry_that_cannot_be_read_is_named_and_the_rest_is_listed(tmp_path: Path) -> None:
    """In a listing, a filter and a search by name, with one warning each; alone it is an error."""
    place = tmp_path / "team"
    for name in ("good", "bad"):
        with unitrack.start_run(name, sinks=[{"local": {"team_store": str(place)}}], delivery="inline"):
            pass
    entries = place / ENTRIES
    [bad] = entries.glob("bad*")
    bad.write_bytes(b"cut off"[:3])
    location = f"local:{place.as_uri()}"
    told = rf"1 run is left out of .*: '{bad.stem}'; .*{bad.name} is no entry of a run"
    found = unitrack.runs(location)
    with pytest.warns(UserWarning, match=told) as caught:
        names = [run.name for run in (*found, *found.read_summaries())]
    assert names == ["good", "good"]
    assert len(caught) == 1
    with pytest.warns(UserWarning, match=told):
        assert len(unitrack.runs(location, filter="status == 'finished'")) == 1
    with pytest.warns(UserWarning, match=told):
        unitrack.runs(location).find("good")
    done = run_child("-m", "unitrack", "runs", location)
    assert done.stderr.startswith("warning: 1 run is left out of")
    assert "good" in done.stdout
    for entry in entries.glob("good*"):
        entry.unlink()
    with pytest.raises(SourceError, match="is no entry of a run"):
        list(unitrack.runs(location))


def test_parts_know_their_bytes() -> None:
    part = Part.of("metrics.jsonl", 5, b"abc")
    assert (part.end, part.holds(b"abc"), part.holds(b"abd"), part.holds(b"ab")) == (8, True, False, False)


def test_an_entry_of_a_newer_format_is_not_read() -> None:
    entry = RunEntry(
        folder="a",
        start=RunStart(seq=0, time=1, run_id="a", name="a", project=""),
        params=b"{}",
        summary=RunSummary(),
        artifacts=(),
        parts=(),
    )
    assert decode_entry(encode_entry(entry), "a") == entry
    newer = msgspec.structs.replace(entry, format=FORMAT + 1)
    with pytest.raises(SourceError, match="format 2, and this unitrack knows 1: install a newer"):
        decode_entry(encode_entry(newer), "a")


def test_options_of_a_location(tmp_path: Path) -> None:
    assert LocalOptions.at("s3://bucket/x").team_store == "s3://bucket/x"
    with pytest.raises(NotImplementedError):
        LocalOptions.at(str(tmp_path))
    assert LocalOptions(team_store="s3://bucket/x/").location_of_files == "s3://bucket/x/blobs"
