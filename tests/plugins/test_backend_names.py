"""The core branches on what a backend declares (`hookspecs.Backend`), never on its name."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import unitrack

SOURCE = Path(unitrack.__file__).parent
BACKENDS = {"local", "mlflow", "wandb", "tensorboard", "trackio"}
EXCUSED = {
    "capture/": "is about the SDKs of the same names",
    "config/sinks.py": "DEFAULT_BACKEND, the backend of a run without configuration",
    "demo/": "shows the official backends",
    "local/": "is the backend",
    "migrate/": "is about the SDKs of the same names",
    "plugins/registry.py": "what to install for a backend whose plugin is missing",
    "run/tracker.py": "MLflowTracker and LocalExperimentTracker are configurations of one backend",
}


def names_in(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and node.value in BACKENDS:
            yield f"{file.relative_to(SOURCE).as_posix()}:{node.lineno}: {node.value!r}"


def test_no_backend_is_named_in_the_core() -> None:
    found = [place for file in sorted(SOURCE.rglob("*.py")) for place in names_in(file)]
    assert [place for place in found if not place.startswith(tuple(EXCUSED))] == []
    assert all(any(place.startswith(excuse) for place in found) for excuse in EXCUSED), "an excuse without need"
