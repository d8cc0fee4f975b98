"""What `unitrack doctor` says of the SDKs that are installed."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

from unitrack.capture.checking import check_sdks, missing_methods
from unitrack.capture.sdks import SDKS


def test_the_sdks_that_are_here_have_what_is_patched() -> None:
    """Without importing them."""
    code = (
        "import sys; from unitrack.capture.checking import check_sdks; print(*check_sdks());"
        "assert not {'wandb', 'mlflow', 'torch', 'trackio', 'tensorboardX'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    for finding in check_sdks():
        assert finding.ok and "has no" not in finding.message, finding.message
        for sdk in ("wandb", "mlflow", "trackio"):
            try:
                assert f"{sdk} {importlib.metadata.version(sdk)}" in finding.message
            except importlib.metadata.PackageNotFoundError:
                continue


@pytest.mark.parametrize(
    "module",
    [module for sdk in SDKS.values() for module in sdk.hooks if "registry" not in module and "tracing" not in module],
)
def test_an_sdk_that_has_changed_is_named(module: str, tmp_path: Path) -> None:
    kind = {"wandb_run": "Run", "wandb_init": "_WandbInit", "client": "TrackingServiceClient", "run": "Run"}
    name = kind.get(module.rpartition(".")[2], "SummaryWriter")
    (tmp_path / "changed.py").write_text(f"class {name}:\n    def other(self): ...\n")
    missing = missing_methods(module, tmp_path / "changed.py")
    assert missing and all(one.startswith(f"{name}.") for one in missing)
    (tmp_path / "gone.py").write_text("")
    assert name in missing_methods(module, tmp_path / "gone.py")[0]
