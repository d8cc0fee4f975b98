"""A model's layers as the graph that TensorBoard's Graphs dashboard draws: one for a run, the last one that it has."""

from __future__ import annotations

from pathlib import Path

import msgspec
from tensorboard.compat.proto.graph_pb2 import GraphDef

from unitrack.hookspecs import decode
from unitrack.names import escape
from unitrack.records import Layer, ModelGraph

MAX_SHOWN_LAYERS = 20_000
"""The browser lays out all of them."""


def graph_def(path: Path) -> bytes | None:
    """Return the graph of a kept artifact, as an event holds it; None if it is no graph. Raises `OSError`."""
    if path.is_dir():
        return None
    try:
        layers = decode(path.read_bytes(), ModelGraph).layers
    except msgspec.DecodeError:
        return None
    if not 0 < len(layers) <= MAX_SHOWN_LAYERS:
        return None
    outer = {layer.name.rpartition(".")[0] for layer in layers if layer.name}
    names = {layer.name: _node_name(layers[0], layer) for layer in layers}
    graph = GraphDef()
    for layer in layers:
        if layer.name in outer or (not layer.name and len(layers) > 1):
            continue  # it is the box around the layers inside it
        node = graph.node.add(name=names[layer.name], op=layer.type)
        node.input.extend(names[source] for source in layer.inputs if source in names)
        node.attr["parameters"].i = layer.parameters
        for shape in layer.shapes:
            sizes = node.attr["_output_shapes"].list.shape.add()
            for size in shape:
                sizes.dim.add(size=size)
    encoded: bytes = graph.SerializeToString()
    return encoded


def _node_name(model: Layer, layer: Layer) -> str:
    parts = [model.type, *layer.name.split(".")] if layer.name else [model.type]
    return "/".join(escape(part, "A-Za-z0-9_") for part in parts)
