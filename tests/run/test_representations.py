"""How things show themselves in a shell and in a notebook."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import unitrack
from unitrack.delivery.report import DeliveryReport


def cells(html: str) -> list[list[str]]:
    """The rows of the one table, whose HTML is well-formed."""
    return [["".join(cell.itertext()) for cell in row] for row in ElementTree.fromstring(html).iter("tr")]


def test_a_run(root: Path) -> None:
    with unitrack.start_run("<b>a", project="p&q", sinks="local", delivery="inline") as run:
        run.log_metrics({"loss": 1.0})
    assert repr(run) == f"<Run '<b>a' {run.id} in {run.path}>"
    shown = cells(run._repr_html_())
    assert [row[0] for row in shown] == ["", "id", "project", "folder", "local", "loss"]
    assert shown[-1] == ["loss", "▄ 1 at step 0"]
    assert "<b>run &lt;b&gt;a: finished</b>" in run._repr_html_()
    assert ["project", "p&q"] in shown
    assert "<b>a" not in run._repr_html_()


def test_a_disabled_run(root: Path) -> None:
    with unitrack.start_run("a", config={"tracking": {"mode": "disabled"}}) as run:
        assert repr(run) == f"<Run 'a' {run.id}, which records nothing>"
        assert cells(run._repr_html_())


def test_a_report(root: Path) -> None:
    with unitrack.start_run("a", sinks="local", delivery="inline") as run:
        run.log_metrics({"loss": 1.0})
    report = run.finish()
    assert repr(report) == "<DeliveryReport local: complete, 3 delivered>"
    assert cells(report._repr_html_())[1] == ["local", "complete", "3", "0", "0", "0", ""]
    assert "everything has arrived" in report._repr_html_()
    assert repr(DeliveryReport({})) == "<DeliveryReport no sinks>"


def test_runs(root: Path) -> None:
    """A sequence, newest first."""
    for name in ("b", "a", "c"):
        with unitrack.start_run(name, sinks="local", delivery="inline"):
            pass
    runs = unitrack.runs()
    assert len(runs) == 3
    assert [run.name for run in runs] == sorted([run.name for run in runs], key=lambda name: -"bac".index(name))
    assert runs[0].name == "c"
    assert [run.name for run in runs[1:]] == ["a", "b"]
    assert runs[-1] in runs
    assert repr(runs).startswith("3 runs in local:experiments\nname ")
    shown = cells(runs._repr_html_())
    assert shown[0] == ["name", "id", "project", "status", "started", "last metrics"]
    assert [row[0] for row in shown[1:]] == ["c", "a", "b"]
    assert "<b>3 runs in local:" in runs._repr_html_()
    assert "<b>1 run in local:" in unitrack.runs(runs[0].folder)._repr_html_()
