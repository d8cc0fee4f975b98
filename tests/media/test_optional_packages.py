"""Media whose package is not installed."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from unitrack.errors import MissingPackageError
from unitrack.media.annotations import annotate
from unitrack.media.images import image_bytes
from unitrack.media.video import video_bytes


def test_each_medium_that_needs_pillow_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """The masks of an image whose path was given need it as well."""
    monkeypatch.setitem(sys.modules, "PIL", None)  # what `import` finds where a package is missing
    pixels = np.zeros((4, 4), np.uint8)
    with pytest.raises(MissingPackageError, match="log_image needs Pillow: run `pip install pillow`"):
        image_bytes(pixels, "a.png")
    with pytest.raises(MissingPackageError, match="log_video of frames needs Pillow"):
        video_bytes(pixels[None], "a.gif", fps=10)
    with pytest.raises(MissingPackageError, match="log_image of masks needs Pillow"):
        annotate("a.png", None, masks={"truth": {"mask_data": pixels}})
