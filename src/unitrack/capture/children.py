"""How processes that are started are captured as well: by their environment. No file is installed anywhere."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from unitrack.capture.session import Choice

VARIABLE = "UNITRACK_CAPTURE"
"""The choice as JSON."""
_PATH = "PYTHONPATH"
_SITE = str(Path(__file__).with_name("site"))
"""The folder of a `sitecustomize` that is imported before the one that may be there, which it imports in turn."""


def capturing_environment(choice: Choice, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables with which a process, and those that it starts, captures as chosen."""
    others = [entry for entry in environ.get(_PATH, "").split(os.pathsep) if entry and entry != _SITE]
    return {VARIABLE: msgspec.json.encode(choice).decode(), _PATH: os.pathsep.join([_SITE, *others])}
