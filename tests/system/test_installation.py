"""The command that a message names to install more of unitrack."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from unitrack.hookspecs import install_command


def install_core(site: Path, origin: dict[str, object] | None) -> None:
    """Let the core have been installed from `origin`, as PEP 610 records it; None: from an index."""
    info = site / "unitrack_core-9.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: unitrack-core\nVersion: 9.0\n", encoding="utf-8")
    if origin is not None:
        (info / "direct_url.json").write_text(json.dumps(origin), encoding="utf-8")


def test_from_an_index_the_distribution_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_core(tmp_path, None)
    monkeypatch.syspath_prepend(tmp_path)
    assert install_command("unitrack-core[mlflow]") == "pip install 'unitrack-core[mlflow]'"
    assert install_command("unitrack-mlflow[s3]") == "pip install 'unitrack-mlflow[s3]'"


def test_from_a_clone_its_folders_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clone = tmp_path / "my clone"
    (clone / "plugins" / "unitrack-mlflow").mkdir(parents=True)
    install_core(tmp_path, {"url": clone.as_uri(), "dir_info": {"editable": True}})
    monkeypatch.syspath_prepend(tmp_path)
    plugin = clone / "plugins" / "unitrack-mlflow"
    assert install_command("unitrack-core[mlflow]") == f"pip install '{plugin}'"
    assert install_command("unitrack-mlflow[s3]") == f"pip install '{plugin}[s3]'"
    assert install_command("unitrack-core[demo]") == f"pip install '{clone}[demo]'"
    assert install_command("wandb") == "pip install wandb"


def test_an_extra_that_is_not_called_like_its_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clone = tmp_path / "clone"
    (clone / "plugins" / "unitrack-sql").mkdir(parents=True)
    install_core(tmp_path, {"url": clone.as_uri(), "dir_info": {"editable": True}})
    monkeypatch.syspath_prepend(tmp_path)
    assert install_command("unitrack-core[database]") == f"pip install {clone}/plugins/unitrack-sql"
    assert install_command("unitrack-core[sql]") == f"pip install '{clone}[sql]'"
