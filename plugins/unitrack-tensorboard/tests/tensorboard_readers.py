"""TensorBoard's two readers: what a user of each would see of a logdir, at full resolution."""

from __future__ import annotations

import io
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from PIL import Image
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.data.grpc_provider import GrpcDataProvider, make_stub
from tensorboard.data.provider import RunTagFilter
from tensorboard.data.server_ingester import get_server_binary

from unitrack.records import Metrics
from unitrack_tensorboard.source import TensorBoardSource

Points = dict[str, list[tuple[int, float]]]

PLUGINS = ("scalars", "images", "text", "hparams", "audio", "histograms", "custom_scalars")
EVERYTHING = 10**6
STARTUP_S = 20.0


@contextmanager
def python_reader(logdir: Path) -> Iterator[Any]:
    """What `tensorboard --load_fast=false` reads with."""
    multiplexer = EventMultiplexer(
        size_guidance={"tensors": 0}, tensor_size_guidance=dict.fromkeys(PLUGINS, 0), purge_orphaned_data=True
    )
    multiplexer.AddRunsFromDirectory(str(logdir))
    multiplexer.Reload()
    yield MultiplexerDataProvider(multiplexer, str(logdir))


@contextmanager
def data_server(logdir: Path, reload: str = "once") -> Iterator[Any]:
    """The Rust data server that `tensorboard` starts where it can, as a process of its own."""
    port_file = logdir.parent / f"port-of-{logdir.name}"
    port_file.unlink(missing_ok=True)
    everything = ",".join(f"{plugin}=all" for plugin in PLUGINS)
    command = [get_server_binary().path, f"--logdir={logdir}", "--host=127.0.0.1", "--port=0", f"--reload={reload}"]
    command += [f"--port-file={port_file}", f"--samples-per-plugin={everything}", "--die-after-stdin", "-vv"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    loaded = threading.Event()
    listener = threading.Thread(target=_listen, args=(process, loaded), daemon=True)
    listener.start()
    try:
        assert loaded.wait(STARTUP_S), "the data server has not loaded the logdir"
        address = f"127.0.0.1:{int(port_file.read_text())}"
        with grpc.insecure_channel(address) as channel:
            yield GrpcDataProvider(address, make_stub(channel))
    finally:
        process.kill()
        process.wait()
        listener.join()
        assert process.stdin and process.stderr
        process.stdin.close()
        process.stderr.close()


def _listen(process: subprocess.Popen[str], loaded: threading.Event) -> None:
    assert process.stderr
    for line in process.stderr:
        if "Finished load cycle" in line:
            loaded.set()


READERS = {"python": python_reader, "server": data_server}


def scalars(reader: Any) -> dict[str, Points]:
    """Run -> tag -> points, in the reader's order."""
    found = reader.read_scalars(
        RequestContext(), experiment_id="", plugin_name="scalars", downsample=EVERYTHING, run_tag_filter=RunTagFilter()
    )
    return {
        run: {tag: [(point.step, point.value) for point in points] for tag, points in tags.items()}
        for run, tags in found.items()
    }


def points(reader: Any) -> Points:
    """Tag -> points of all runs together, sorted: what was accepted must be there, in whichever folder."""
    together: Points = defaultdict(list)
    for tags in scalars(reader).values():
        for tag, found in tags.items():
            together[tag] += found
    return {tag: sorted(found) for tag, found in together.items()}


def sourced(logdir: Path, run_id: str = "run-a") -> Points:
    """Metric -> points as our own source gives them."""
    found: Points = defaultdict(list)
    for record in TensorBoardSource(str(logdir)).records(run_id):
        if isinstance(record, Metrics):
            for name, value in record.values().items():
                found[name].append((record.step, value))
    return dict(found)


def texts(reader: Any, run: str) -> dict[str, list[tuple[int, str]]]:
    """Tag -> step and text of the text dashboard."""
    found = reader.read_tensors(RequestContext(), experiment_id="", plugin_name="text", downsample=EVERYTHING)
    return {
        tag: [(datum.step, datum.numpy.ravel()[0].decode()) for datum in data]
        for tag, data in found.get(run, {}).items()
    }


def images(reader: Any, run: str) -> dict[str, list[tuple[int, bytes, bytes, bytes]]]:
    """Tag -> step, width, height and encoded image of the image dashboard."""
    context = RequestContext()
    found = reader.read_blob_sequences(context, experiment_id="", plugin_name="images", downsample=EVERYTHING)
    return {
        tag: [
            (datum.step, *(reader.read_blob(context, blob_key=value.blob_key) for value in datum.values))
            for datum in data
        ]
        for tag, data in found.get(run, {}).items()
    }


def png(width: int, height: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), "red").save(buffer, "PNG")
    return buffer.getvalue()


def wait_until(condition: Any, seconds: float = 10.0) -> bool:
    """Whether `condition()` came true in time."""
    deadline = time.monotonic() + seconds
    while not (met := condition()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return bool(met)
