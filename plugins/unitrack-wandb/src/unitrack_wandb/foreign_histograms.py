"""Histograms of runs that unitrack did not write, as artifacts.

The SDK keeps them in the rows, without a file. So the artifact says where it stands, as
"wandb-row:///runs/run-a.wandb#7/weights": the number of the row in the file, or the step on a server, and the key.
`fetch` makes a file of it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from urllib.parse import quote, unquote, urlsplit
from urllib.request import url2pathname

import msgspec

from unitrack.hookspecs import convert
from unitrack.names import escape, shorten
from unitrack.records import Artifact, Histogram
from unitrack_wandb.offline_run import OfflineRun, decode

_SCHEME = "wandb-row"
_MARK = "._type"
_LONGEST_KEY = 200
"""Characters in a name. A file system takes 255 bytes, and row and suffix come behind."""


def artifacts(run: OfflineRun, number: int, row: Mapping[str, str], *, step: int, time: int) -> Iterator[Artifact]:
    """The histograms in row `number` of an offline run. Their `seq` is 0."""
    place = run.file.absolute().as_uri().removeprefix("file")
    return artifacts_of_row(f"{_SCHEME}{place}#{number}", number, row, step=step, time=time)


def artifacts_of_row(uri: str, number: int, row: Mapping[str, str], *, step: int, time: int) -> Iterator[Artifact]:
    """The histograms in a row that `uri` names. Their `seq` is 0."""
    for column in row:
        key = column.removesuffix(_MARK)
        content = content_of(row, key) if key != column else None
        if content is not None:
            yield Artifact(
                seq=0,
                time=time,
                name=f"media/histograms/{shorten(escape(key, r'a-zA-Z0-9_ -'), _LONGEST_KEY)}_{number}.json",
                file=f"{uri}/{quote(key, safe='')}",
                type="histogram",
                size=len(content),
                step=step,
            )


def fetch(artifact: Artifact, folder: Path) -> Path:
    """The artifact's file, made in `folder` if it stands in a row. Raises `FileNotFoundError` if it is gone."""
    parts = urlsplit(artifact.file)
    if parts.scheme != _SCHEME:
        return Path(artifact.file)
    path = Path(url2pathname(parts.path))
    number, _, key = parts.fragment.partition("/")
    row = next(itertools.islice(OfflineRun(path.parent).rows(), int(number), None), {})
    return write(artifact, row, unquote(key), folder)


def write(artifact: Artifact, row: Mapping[str, str], key: str, folder: Path) -> Path:
    """Make the file of a histogram of a row in `folder`. Raises `FileNotFoundError` if the row does not have it."""
    content = content_of(row, key)
    if content is None:
        raise FileNotFoundError(f"the run no longer has {artifact.name!r}")
    target = folder / PurePosixPath(artifact.name).name
    target.write_bytes(content)
    return target


def content_of(row: Mapping[str, str], key: str) -> bytes | None:
    """Return a histogram of a row as `records.Histogram` has them; None if it has none of that key.

    The SDK writes edges one by one, or how many of which width.
    """
    if decode(row.get(f"{key}{_MARK}", "null")) != "histogram":
        return None
    counts = decode(row.get(f"{key}.values", "null"))
    edges = decode(row.get(f"{key}.bins", "null"))
    packed = {name: decode(row.get(f"{key}.packedBins.{name}", "null")) for name in ("min", "size", "count")}
    try:
        if edges is None:
            edges = [packed["min"] + packed["size"] * number for number in range(packed["count"] + 1)]
        histogram = convert({"counts": counts, "edges": edges}, Histogram)
    except (TypeError, msgspec.ValidationError):
        return None  # somebody else's column of that name
    return msgspec.json.encode(histogram) if len(histogram.edges) == len(histogram.counts) + 1 else None
