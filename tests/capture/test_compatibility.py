"""The table of what the drop-in modules can do: complete, and true."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from unitrack.capture.compatibility import WANDB, WANDB_RUN, Support, tables

DOCS = Path(__file__).parents[2] / "docs"
INNER = {
    "annotations", "agents", "analytics", "apis", "env", "helper", "integration", "jupyter", "profiler", "proto", "sdk",
    "trigger", "wandb", "wandb_agent", "wandb_lib", "wandb_sdk", "wandb_torch", "patched",
}  # fmt: skip
"""The modules of which W&B is built, and a record of its own patches."""


def test_the_page_is_current() -> None:
    """Renew it with `python docs/capture_page.py`."""
    spec = importlib.util.spec_from_file_location("capture_page", DOCS / "capture_page.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.PAGE.read_text(encoding="utf-8") == module.capture_page()


def test_every_public_name_of_wandb_is_in_the_table() -> None:
    wandb = pytest.importorskip("wandb", reason="compares with W&B's SDK")
    if not wandb.__version__.startswith("0.31."):
        pytest.skip(f"the table is that of wandb 0.31, this is {wandb.__version__}")
    names = {name for name in dir(wandb) if name[0] != "_"} | set(wandb.__all__) - {"__version__"}
    # its integrations are there once somebody has imported them
    names -= {name for name in names - set(WANDB) if isinstance(vars(wandb).get(name), ModuleType)}
    assert sorted(names - INNER) == sorted(set(WANDB) & names)
    assert {name for name in dir(wandb.Run) if name[0] != "_"} == set(WANDB_RUN)


@pytest.mark.parametrize("row", tables()["wandb"], ids=lambda row: row.name)
def test_each_name_is_what_the_table_says(row: Support) -> None:
    from unitrack.capture import wandb

    found = getattr(wandb, row.name)
    assert (type(found).__name__ == "Unavailable") == (row.verdict == "raises")
    if row.verdict == "raises":
        with pytest.raises(wandb.UsageError, match=row.name):
            found()


@pytest.mark.parametrize("row", tables()["wandb.Run"], ids=lambda row: row.name)
def test_each_name_of_a_run_is_there(row: Support) -> None:
    from unitrack.capture import wandb

    with wandb.init(mode="disabled") as run:
        assert hasattr(run, row.name)


def test_its_modules_can_be_imported_from_the_drop_in_module() -> None:
    from unitrack.capture.import_hook import ImportHook

    before = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] == "wandb"}
    hook = ImportHook({}, {"wandb": "unitrack.capture.wandb"})
    hook.install()
    try:
        import wandb.plot
        from wandb.errors import CommError

        module: ModuleType = wandb
        assert module.__name__ == "unitrack.capture.wandb"
        assert wandb.plot.__name__ == "unitrack.capture.wandb.plot"
        assert issubclass(CommError, module.Error)
        with pytest.raises(ModuleNotFoundError):
            import wandb.nothing
    finally:
        hook.remove()
        for name in [name for name in sys.modules if name.partition(".")[0] == "wandb"]:
            del sys.modules[name]
        sys.modules.update(before)
