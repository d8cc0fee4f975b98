"""Every Python snippet of the documentation is run, in order, as one program a page, in an empty folder.

A snippet that begins with a comment like `# unitrack_mine.py` or `# unitrack.yaml` is a file; a TOML one with entry
points installs a plugin.
"""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sybil import Document, Example
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser

import unitrack
from unitrack.plugins.registry import OFFICIAL, installed

FILES = {"model.pt": b"weights", "data.csv": b"x,y\n1,2\n"}
"""What the snippets log, and a reader has."""
STANDS_ALONE = "<!-- each snippet stands alone -->"
"""In a page: a snippet whose package is not here is skipped alone."""


@pytest.mark.filterwarnings("ignore::unitrack.DeliveryWarning", "ignore::unitrack.AlertWarning")
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of Keras and NumPy
@pytest.mark.filterwarnings("ignore:.*(torch.jit|chained_assignment):DeprecationWarning")  # fastai and Ignite
@pytest.mark.filterwarnings("ignore:.*does not have many workers", "ignore:.*LeafSpec.*:FutureWarning")  # Lightning
def test_python_snippets_run(document: Path, tmp_path: Path, install_plugin: Any) -> None:
    """They do what they say; where one needs a package that is not here, the rest of its document is skipped."""
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    namespace: dict[str, Any] = {}
    try:
        for example in _examples(document, tmp_path, install_plugin):
            namespace = example.namespace
            lacking = _lacking(example)
            if lacking and STANDS_ALONE in document.read_text(encoding="utf-8"):
                continue
            if lacking:
                pytest.skip(f"from line {example.line} on: needs {lacking}")
            example.evaluate()
    finally:
        for run in [value for value in namespace.values() if isinstance(value, unitrack.Run)]:
            run.finish(timeout=10)


def _examples(document: Path, folder: Path, install_plugin: Any) -> Iterator[Example]:
    run_python = PythonEvaluator()

    def python(example: Example) -> None:
        file = re.match(r"# (\w+\.py)\n", example.parsed)
        if file:
            (folder / file[1]).write_text(example.parsed)
        else:
            run_python(example)

    def toml(example: Example) -> None:
        if "[project.entry-points.unitrack]" in example.parsed:
            install_plugin(folder, example.parsed)

    def yaml(example: Example) -> None:
        if example.parsed.startswith("# unitrack.yaml\n"):
            (folder / "unitrack.yaml").write_text(example.parsed)

    parsers = [PythonCodeBlockParser(), CodeBlockParser("toml", toml), CodeBlockParser("yaml", yaml)]
    parsed = Document.parse(str(document), *parsers)
    parsed.namespace["__name__"] = "__main__"
    for example in parsed.examples():
        if isinstance(example.region.evaluator, PythonEvaluator):
            example.region.evaluator = python
        yield example


def _lacking(example: Example) -> str | None:
    """The plugin or package that a snippet needs and that is not installed."""
    source = getattr(example.parsed, "source", example.parsed)
    for backend, package in OFFICIAL.items():
        if re.search(rf"\b{backend}(tracker)?\b", source, re.IGNORECASE) and backend not in installed().backends:
            return package
    try:
        nodes = list(ast.walk(ast.parse(source)))
    except SyntaxError:  # TOML or YAML; in Python it shows when the snippet is run
        return None
    imported = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    imported += [node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module]
    packages = [name.partition(".")[0] for name in imported]
    return next((name for name in packages if importlib.util.find_spec(name) is None), None)
