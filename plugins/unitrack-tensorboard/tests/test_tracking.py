"""Through unitrack's own API, with a real courier process."""

from __future__ import annotations

from pathlib import Path

import pytest
from tensorboard.context import RequestContext
from tensorboard_dashboards import custom_scalars, histograms, rendered_texts, sounds
from tensorboard_readers import images, points, python_reader

import unitrack
from unitrack.records import Artifact
from unitrack_tensorboard.source import TensorBoardSource


def test_a_run_reaches_tensorboard(tmp_path):
    with unitrack.start_run("demo", project="digits", sinks=["tensorboard"], root=tmp_path) as run:
        run.log_params({"lr": 0.1})
        for step in (*range(100), 10):
            run.log_metrics({"loss": step / 4}, step=step)
        run.log_text("notes", "notes.txt")
        assert run.finish(timeout=60).ok
    link = run.links()["tensorboard"]
    with python_reader(tmp_path / "tensorboard") as reader:
        assert points(reader) == {"loss": sorted((step, step / 4) for step in (*range(100), 10))}
    kinds = [type(record).__name__ for record in TensorBoardSource(link.location).records(link.id)]
    assert kinds == ["RunStart", "Params", *["Metrics"] * 101, "Artifact", "RunEnd"]


def test_media_reach_their_dashboards_and_come_back(tmp_path):
    layout = {"all": {"losses": ["loss"]}}
    with unitrack.start_run("demo", sinks=[{"tensorboard": {"layout": layout}}], root=tmp_path) as run:
        run.log_metrics({"loss": 1.0}, step=0)
        run.log_histogram([0.0, 0.25, 1.0], "weights", step=3, bins=2)
        run.log_table([{"n": 1, "what": "x"}], "rows", step=3)
        run.log_audio([0.0, 0.5], "tone", step=3, sample_rate=8000)
        run.log_video([[[0.0, 1.0], [1.0, 0.0]]] * 2, "clip", step=3)
        run.log_html("<h1>Title</h1>", "page", step=3)
        assert run.finish(timeout=60).ok
    link = run.links()["tensorboard"]
    with python_reader(tmp_path / "tensorboard") as reader:
        assert histograms(reader, link.id, "weights") == [(3, [(0.0, 0.5, 2.0), (0.5, 1.0, 1.0)])]
        assert "<td>x</td>" in rendered_texts(reader, link.id, "rows.json")[0][1]
        assert sounds(reader, link.id, "tone.wav")[0][:2] == (3, "audio/wav")
        assert images(reader, link.id)["clip.gif"][0][0] == 3
        assert custom_scalars(reader, link.id) == {"all": {"losses": ["loss"]}}
    records = TensorBoardSource(link.location).records(link.id)
    artifacts = [record for record in records if isinstance(record, Artifact)]
    assert [(artifact.name, artifact.type, artifact.step) for artifact in artifacts] == [
        ("weights-3.json", "histogram", 3),
        ("rows-3.json", "table", 3),
        ("tone-3.wav", "audio", 3),
        ("clip-3.gif", "video", 3),
        ("page-3.html", "html", 3),
    ]
    for artifact in artifacts:
        path = Path(artifact.file)
        assert path.is_absolute()
        assert path.stat().st_size == artifact.size


def test_runs_under_a_root_are_in_one_view(tmp_path):
    """Of one logdir, which is no run itself; a run that is called like it neither."""
    links = []
    for name in ("first", "tensorboard", "second", "first"):
        with unitrack.start_run(name, sinks=["local", "tensorboard"], root=tmp_path, delivery="inline") as run:
            run.log_metrics({"loss": 0.5}, step=1)
        links.append(run.links()["tensorboard"])
    assert {link.location for link in links} == {str(tmp_path / "tensorboard")}
    assert links[0].open_with == f"tensorboard --logdir {tmp_path / 'tensorboard'}"
    names = ["first", "first-2", "second", "tensorboard-2"]
    with python_reader(tmp_path / "tensorboard") as reader:
        shown = reader.list_scalars(RequestContext(), experiment_id="", plugin_name="scalars")
        assert sorted(shown) == names
    assert sorted(run.folder.name for run in unitrack.runs(tmp_path)) == names
    assert sorted(run.id for run in unitrack.runs(f"tensorboard:{tmp_path / 'tensorboard'}")) == names
    assert unitrack.runs(f"tensorboard:{links[1].location}").find(run.id).name == "first"


def test_a_run_called_like_the_logdir_gives_no_room_to_others(tmp_path):
    """When it was the first one: what is in its folder goes with it."""
    for name in ("tensorboard", "other"):
        with unitrack.start_run(name, sinks=["tensorboard"], root=tmp_path, delivery="inline") as run:
            run.log_metrics({"loss": 0.5}, step=1)
        assert run.links()["tensorboard"].location == str(tmp_path / name / "tensorboard")


@pytest.mark.parametrize("variable", ["TENSORBOARD_LOGDIR", "TENSORBOARD_LOG_DIR", "TENSORBOARD_LOGGING_DIR"])
def test_data_lands_where_the_usual_variables_say(tmp_path, monkeypatch, variable):
    monkeypatch.setenv(variable, str(tmp_path / "board"))
    with unitrack.start_run("demo", sinks="tensorboard", root=tmp_path / "runs", delivery="inline") as run:
        run.log_metrics({"loss": 0.5}, step=1)
    assert Path(run.links()["tensorboard"].location).is_relative_to(tmp_path / "board")
    assert list((tmp_path / "board").rglob("events.out.tfevents.*"))
