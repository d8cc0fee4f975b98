"""YAML and TOML snippets are configurations that hold."""

from __future__ import annotations

import re
from pathlib import Path

from unitrack.config import resolve
from unitrack.sweeps.wandb_yaml import read_sweep_file

_SNIPPET = re.compile(r"^```(yaml|toml)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def test_configuration_snippets_resolve(document: Path, tmp_path: Path) -> None:
    """Each as a file in the working directory; a TOML one that has no table of ours is about something else.

    A sweep is one of W&B's.
    """
    for language, text in _SNIPPET.findall(document.read_text()):
        name = "unitrack.yaml" if language == "yaml" else "pyproject.toml"
        if language == "toml" and "[tool.unitrack" not in text:
            continue
        if text.startswith("# sweep.yaml\n"):
            (tmp_path / "sweep.yaml").write_text(text)
            assert read_sweep_file(tmp_path / "sweep.yaml").parameters
            continue
        (tmp_path / name).write_text(text)
        resolved = resolve()
        from_file = [origin for origin in resolved.origins.values() if name in origin]
        assert from_file or not re.search(r"^\w", text, re.MULTILINE), f"nothing is set by:\n{text}"
        (tmp_path / name).unlink()
