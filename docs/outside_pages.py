"""MkDocs hooks: files of the repository outside of docs/ become pages, and links to them lead to those pages.

The Markdown files link to each other by their places in the repository, as a code host shows them.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

REPOSITORY = Path(__file__).parents[1]

DOCUMENTS = {
    "README.md": "project/readme.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "SECURITY.md": "project/security.md",
    "CHANGELOG.md": "project/changes.md",
    **{
        f"plugins/unitrack-{name}/README.md": f"backends/{name}.md"
        for name in ("mlflow", "wandb", "tensorboard", "trackio", "sql")
    },
}
"""Page by Markdown file."""
EXAMPLES = {
    f"examples/{path.name}": f"examples/{path.stem}.md"
    for path in sorted((REPOSITORY / "examples").iterdir())
    if path.suffix == ".py" or (path / "pyproject.toml").exists()
}
"""Page by script, or by the folder of a distribution."""
MANUAL = {"src/unitrack/hookspecs.py": "reference/hooks.md"}

_LANGUAGES = {".py": "python", ".toml": "toml"}
_LINK = re.compile(r"\]\((?![a-z]+:)([^)#\s]+)(#[^)\s]*)?\)")
_FENCE = re.compile(r"(^```.*?^```\n)", re.MULTILINE | re.DOTALL)
_DIAGRAM = re.compile(r"^```mermaid\n.*?^```\n", re.MULTILINE | re.DOTALL)


def on_files(files: Any, config: Any) -> Any:
    """Add a page for each document and each example."""
    for source, page in DOCUMENTS.items():
        text = (REPOSITORY / source).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=_DIAGRAM.sub("", text)))  # Mermaid would come from a server
    for source, page in EXAMPLES.items():
        files.append(File.generated(config, page, content=_listing(source)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Rewrite the links that lead out of docs/, or from a page whose file lies outside of it."""
    uri = page.file.src_uri
    source = next((file for file, at in DOCUMENTS.items() if at == uri), f"docs/{uri}")

    def rewrite(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), link[1]))
        return f"]({posixpath.relpath(_page_of(target, source), posixpath.dirname(uri) or '.')}{link[2] or ''})"

    parts = _FENCE.split(markdown)
    return "".join(part if part.startswith("```") else _LINK.sub(rewrite, part) for part in parts)


def _page_of(target: str, source: str) -> str:
    """Return the page of a file of the repository. Raise `PluginError` if it has none."""
    if target.startswith("docs/"):
        return target.removeprefix("docs/")
    for file, page in (DOCUMENTS | EXAMPLES | MANUAL).items():
        if target == file or target.startswith(f"{file}/"):
            return page
    raise PluginError(f"{source} links to {target}, which is no page: add it to {Path(__file__).name}")


def _listing(source: str) -> str:
    path = REPOSITORY / source
    files = [path] if path.is_file() else sorted(path.glob("*.*"))
    parts = [f"# {source}\n"]
    for file in files:
        if file.suffix in _LANGUAGES:
            parts.append(f"## {file.name}\n\n```{_LANGUAGES[file.suffix]}\n{file.read_text(encoding='utf-8')}```\n")
    return "\n".join(parts)
