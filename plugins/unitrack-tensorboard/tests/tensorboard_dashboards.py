"""What TensorBoard's dashboards give a browser, by the code of their own plugins."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard_readers import EVERYTHING
from werkzeug.test import Client

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # of TensorBoard's own copy of html5lib
    from tensorboard.plugins.audio.audio_plugin import AudioPlugin
    from tensorboard.plugins.custom_scalar.custom_scalars_plugin import CustomScalarsPlugin
    from tensorboard.plugins.graph.graphs_plugin import GraphsPlugin
    from tensorboard.plugins.histogram.histograms_plugin import HistogramsPlugin
    from tensorboard.plugins.pr_curve.pr_curves_plugin import PrCurvesPlugin
    from tensorboard.plugins.projector.projector_plugin import ProjectorPlugin
    from tensorboard.plugins.scalar.scalars_plugin import ScalarsPlugin
    from tensorboard.plugins.text.text_plugin import TextPlugin

Histograms = list[tuple[int, list[tuple[float, float, float]]]]


def histograms(reader: Any, run: str, tag: str) -> Histograms:
    """Step and bins of a tag of the histogram dashboard."""
    plugin = HistogramsPlugin(TBContext(data_provider=reader))
    assert tag in plugin.index_impl(RequestContext(), "")[run]
    events, _ = plugin.histograms_impl(RequestContext(), tag, run, "", downsample_to=EVERYTHING)
    return [(step, [tuple(bin) for bin in bins]) for _, step, bins in events]


def sounds(reader: Any, run: str, tag: str) -> list[tuple[int, str | None, bytes]]:
    """Step, media type and content of a tag of the audio dashboard."""
    apps = AudioPlugin(TBContext(data_provider=reader)).get_plugin_apps()
    listed = Client(apps["/audio"]).get("/", query_string={"run": run, "tag": tag}).get_json()
    answers = [(sound["step"], Client(apps["/individualAudio"]).get(f"/?{sound['query']}")) for sound in listed]
    return [(step, answer.content_type, answer.get_data()) for step, answer in answers]


def rendered_texts(reader: Any, run: str, tag: str) -> list[tuple[int, str]]:
    """Step and HTML of a tag of the text dashboard."""
    plugin = TextPlugin(TBContext(data_provider=reader))
    texts = plugin.text_impl(RequestContext(), run, tag, "", enable_markdown=True)
    return [(shown["step"], shown["text"]) for shown in texts]


def pr_curves(reader: Any, run: str, tag: str) -> list[dict[str, Any]]:
    """The entries of a tag of the PR Curves dashboard, one a step."""
    plugin = PrCurvesPlugin(TBContext(data_provider=reader))
    assert tag in plugin.tags_impl(RequestContext(), "")[run]
    found: list[dict[str, Any]] = plugin.pr_curves_impl(RequestContext(), "", [run], tag)[run]
    return found


def graph(reader: Any, run: str) -> str:
    """The run's graph of the Graphs dashboard, as the text of a `GraphDef`."""
    plugin = GraphsPlugin(TBContext(data_provider=reader))
    assert plugin.info_impl(RequestContext(), "")[run]["run_graph"]
    text, _ = plugin.graph_impl(RequestContext(), run, None, False, "")
    return str(text)


def projected(reader: Any, logdir: Path, run: str) -> dict[str, tuple[Any, str]]:
    """Name -> vectors and labels of each embedding in the projector."""
    apps = ProjectorPlugin(TBContext(data_provider=reader, logdir=str(logdir))).get_plugin_apps()
    [config] = [Client(apps["/info"]).get("/", query_string={"run": run}).get_json()]
    found = {}
    for one in config["embeddings"]:
        query = {"run": run, "name": one["tensorName"], "num_rows": 1000}
        tensor = Client(apps["/tensor"]).get("/", query_string=query).get_data()
        labels = Client(apps["/metadata"]).get("/", query_string=query)
        vectors = np.frombuffer(tensor, np.float32).reshape(one["tensorShape"]).tolist()
        found[one["tensorName"]] = (vectors, labels.get_data(as_text=True) if "metadataPath" in one else "")
    return found


def custom_scalars(reader: Any, run: str) -> dict[str, dict[str, list[str]]]:
    """Category -> chart -> the tags of a run that the Custom Scalars dashboard draws in it."""
    mapping: dict[str, Any] = {}
    context = TBContext(data_provider=reader, plugin_name_to_instance=mapping)
    mapping["scalars"] = ScalarsPlugin(context)
    plugin = CustomScalarsPlugin(context)
    answer = plugin.layout_impl(RequestContext(), "")
    layout = json.loads(answer) if answer else {}
    return {
        category["title"]: {
            chart["title"]: sorted(
                tag
                for regex in chart["multiline"]["tag"]
                for tag in plugin.scalars_impl(RequestContext(), run, regex, "")["tag_to_events"]
            )
            for chart in category["chart"]
        }
        for category in layout.get("category", ())
    }
