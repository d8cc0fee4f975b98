"""What TensorBoard's dashboards give a browser, by the code of their own plugins."""

from __future__ import annotations

import json
import warnings
from typing import Any

from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard_readers import EVERYTHING
from werkzeug.test import Client

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # of TensorBoard's own copy of html5lib
    from tensorboard.plugins.audio.audio_plugin import AudioPlugin
    from tensorboard.plugins.custom_scalar.custom_scalars_plugin import CustomScalarsPlugin
    from tensorboard.plugins.histogram.histograms_plugin import HistogramsPlugin
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
