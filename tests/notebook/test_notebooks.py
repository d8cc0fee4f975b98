"""Notebooks, executed by a real kernel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

nbformat = pytest.importorskip("nbformat", reason="nbclient is not installed")
nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
pytest.importorskip("ipykernel", reason="ipykernel is not installed")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

START = 'run = unitrack.start_run("a", sinks="local", delivery="inline")'


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels write into no home."""
    (tmp_path / "jupyter").mkdir()
    for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "jupyter" / name))


def executed(folder: Path, *cells: str) -> list[Any]:
    """The outputs of each cell."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbclient.NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(folder)}}).execute()
    return [cell.outputs for cell in notebook.cells]


def texts(outputs: list[Any], stream: str = "stdout") -> str:
    return "".join(one.text for one in outputs if one.output_type == "stream" and one.name == stream)


def pages(outputs: list[Any]) -> list[str]:
    return [one.data["text/html"] for one in outputs if "text/html" in one.get("data", {})]


def test_a_run_is_shown_live(tmp_path: Path) -> None:
    """In the cell that starts it, up to its end; and wherever it is the value of a cell."""
    outputs = executed(
        tmp_path,
        "import unitrack\n%load_ext unitrack",
        START,
        "for step in range(5):\n    run.log_metrics({'loss': 1 / (step + 1)}, step=step)\nrun",
        "report = run.finish()\nreport",
        "unitrack.runs()",
        "%unload_ext unitrack\nunitrack.start_run('b', sinks='local', delivery='inline').finish()",
    )
    assert [len(pages(one)) for one in outputs] == [0, 1, 1, 1, 1, 1]
    [live], [value], [report], [listed], [plain] = map(pages, outputs[1:])
    assert "run a: finished" in live  # the display of the second cell was renewed by the later ones
    for page in (live, value):
        assert "<td>loss</td><td>█▃▂▁▁ 0.2 at step 4</td>" in page
    assert "run a: running" in value and "everything has arrived" in report
    assert "<b>1 run in local:" in listed and "<td>loss=0.2</td>" in listed
    assert "everything has arrived" in plain


def test_a_cell_that_is_run_again_ends_the_run_before(tmp_path: Path) -> None:
    """And says so once. Runs of one cell are open side by side, and a parent stays open."""
    outputs = executed(
        tmp_path,
        "import unitrack",
        START,
        f"first = run\n{START}\nprint(first.has_ended, run.has_ended)",
        "second = unitrack.start_run('b', sinks='local', delivery='inline')\n"
        "third = unitrack.start_run('c', sinks='local', delivery='inline')\n"
        "print(run.has_ended, second.has_ended, unitrack.current_run() is third)",
        "child = unitrack.start_run('d', sinks='local', delivery='inline', parent=third)\n"
        "print(second.has_ended, third.has_ended)",
        "again = unitrack.start_run(run_id=child.id, resume='must', sinks='local', delivery='inline')\n"
        "print(again.id == child.id, child.has_ended, third.has_ended)\nagain.finish()\n"
        "print(sorted((one.name, one.status) for one in unitrack.runs()))",
    )
    assert texts(outputs[2]) == "True False\n"
    assert texts(outputs[3]) == "True False True\n"
    assert texts(outputs[4]) == "True False\n"
    assert texts(outputs[5]).splitlines()[0] == "True True True"
    assert texts(outputs[5]).count("'finished'") == 5
    said = "".join(texts(one, "stderr") for one in outputs)
    assert said.count("of an earlier cell is finished") == 1 and "run 'a'" in said
