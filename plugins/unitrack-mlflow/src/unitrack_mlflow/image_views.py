"""Images at a step, as MLflow's own `log_image` lays them down, so that its image view shows them.

`log_image` itself gives its files a random name, so a redelivery would show each image twice. Here the name is made
from what was logged. Layout: `images/<key>+step+<step>+timestamp+<ms>+<uuid>.png` beside `...+compressed.webp`
(`MlflowClient.log_image` of mlflow 3).
"""

from __future__ import annotations

import re
import shutil
import tempfile
import uuid
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from mlflow import MlflowClient

from unitrack.names import escape, shorten
from unitrack.records import Artifact

FOLDER = "images"
_KEY = r"A-Za-z0-9_\-. "
_THUMBNAIL_PX = 256
"""MLflow's `COMPRESSED_IMAGE_SIZE`."""
_PNG_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I", "I;16")
_NAME = re.compile(
    rf"{FOLDER}/(?P<key>.+?)[+%]step[+%](?P<step>-?\d+)[+%]timestamp[+%](?P<time>\d+)[+%][^+%]+"
    r"(?P<small>[+%]compressed)?\.\w+\Z"
)


class View(NamedTuple):
    """What the name of one of MLflow's images says."""

    step: int
    time: int
    is_thumbnail: bool


def parse(path: str) -> View | None:
    """Return what a path of one of MLflow's images says of it; None for any other path."""
    found = _NAME.match(path)
    return View(int(found["step"]), int(found["time"]), bool(found["small"])) if found else None


def upload(client: MlflowClient, run_id: str, artifact: Artifact, staged: Path) -> tuple[str, ...]:
    """Add the image to MLflow's image view; the paths it has there. None without a step, which the view needs, nor for
    what Pillow, where it is installed, can't read.
    """
    if artifact.step is None:
        return ()
    base = _base(run_id, artifact, artifact.step)
    with tempfile.TemporaryDirectory(prefix="unitrack-mlflow-") as folder:
        if not _draw(staged, Path(folder), base):
            return ()
        client.log_artifacts(run_id, folder, FOLDER)
        return tuple(f"{FOLDER}/{file.name}" for file in Path(folder).iterdir())


def _base(run_id: str, artifact: Artifact, step: int) -> str:
    path = PurePosixPath(artifact.name)
    series = str(path.with_name(path.stem.removesuffix(f"-{step}") or path.stem))
    key = shorten("~".join(escape(part, _KEY) for part in series.split("/")), 100)
    made_from = uuid.uuid5(uuid.NAMESPACE_URL, f"{run_id}/{artifact.time}/{artifact.name}")
    return f"{key}+step+{step}+timestamp+{artifact.time}+{made_from}"


def _draw(staged: Path, folder: Path, base: str) -> bool:
    try:
        from PIL import Image  # noqa: PLC0415  # 50 ms, for runs with images only
    except ImportError:
        return False
    try:
        with Image.open(staged) as image:
            if image.format == "PNG":
                shutil.copyfile(staged, folder / f"{base}.png")
            else:
                whole = image if image.mode in _PNG_MODES else image.convert("RGB")
                whole.save(folder / f"{base}.png")
            small = image.convert("RGBA" if image.has_transparency_data else "RGB")
            small.thumbnail((_THUMBNAIL_PX, _THUMBNAIL_PX))
            small.save(folder / f"{base}+compressed.webp")
    except (OSError, ValueError, Image.DecompressionBombError):
        return False
    return True
