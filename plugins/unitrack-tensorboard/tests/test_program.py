"""The `tensorboard` program itself, as a user starts it, over HTTP."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from tensorboard_readers import png, wait_until

STARTUP_S = 30.0


@pytest.fixture
def get(tmp_path):
    """Starts `tensorboard` by a link's `open_with` and gives a function that fetches from it."""
    started: list[subprocess.Popen[bytes]] = []

    def start(open_with: str) -> Any:
        program, *arguments = shlex.split(open_with)
        assert program == "tensorboard"
        log = tmp_path / "tensorboard.log"
        # port 0: a free one, which it reports; the data server's process ends with it
        command = [sys.executable, "-m", "tensorboard.main", *arguments, "--host=127.0.0.1", "--port=0"]
        with log.open("wb") as output:
            started.append(subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT))
        assert wait_until(lambda: "at http://" in log.read_text(), STARTUP_S), log.read_text()
        base = log.read_text().split("at ")[1].split()[0]

        def fetch(path: str, **query: str) -> Any:
            with urllib.request.urlopen(f"{base}data/{path}?{urllib.parse.urlencode(query)}", timeout=10) as answer:
                return json.load(answer)

        return fetch

    yield start
    for process in started:
        process.terminate()
        process.wait(10)


def test_it_shows_a_run(open_sink, get, tmp_path: Path):
    sink = open_sink(layout={"training": {"loss": ["train/.*"]}})
    link = sink.open()
    sink.params({"lr": 0.1})
    for step in (0, 1, 2, 1):
        sink.metrics({"train/loss": float(step)}, step)
    sink.artifact("notes.md", b"# Title", "text")
    sink.artifact("weights.json", b'{"counts": [2], "edges": [0, 1]}', "histogram", step=3)
    sink.artifact("voice.wav", b"RIFF....WAVE", "audio")
    sink.artifact("cat.png", png(4, 3), "image")
    sink.end()
    fetch = get(link.open_with)

    assert wait_until(lambda: fetch("runs") == ["run-a", "run-a/late-1"])
    points = fetch("plugin/scalars/scalars", run="run-a", tag="train/loss")
    assert [(step, value) for _, step, value in points] == [(0, 0.0), (1, 1.0), (2, 2.0)]
    late = fetch("plugin/scalars/scalars", run="run-a/late-1", tag="train/loss")
    assert [(step, value) for _, step, value in late] == [(1, 1.0)]
    [shown] = fetch("plugin/text/text", run="run-a", tag="notes.md")
    assert "<h1>Title</h1>" in shown["text"]
    [table] = fetch("plugin/text/text", run="run-a", tag="unitrack/params")
    assert "<td>lr</td>" in table["text"]
    [[_, step, bins]] = fetch("plugin/histograms/histograms", run="run-a", tag="weights")
    assert (step, bins) == (3, [[0.0, 1.0, 2.0]])
    [category] = fetch("plugin/custom_scalars/layout")["category"]
    assert category["chart"] == [{"title": "loss", "multiline": {"tag": ["train/.*"]}}]
    tabs = {name for name, plugin in fetch("plugins_listing").items() if plugin["enabled"]}
    assert {"scalars", "images", "audio", "histograms", "text", "hparams", "custom_scalars"} <= tabs
