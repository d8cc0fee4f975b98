"""How more of unitrack is installed: the command that a message names."""

from __future__ import annotations

from pathlib import Path

CORE = "unitrack-core"
"""The distribution of the core. The name `unitrack` on the public index is another project's."""


def install_command(requirement: str) -> str:
    """Return the `pip install` command of a requirement such as "unitrack-mlflow[s3]".

    If the core was installed from a clone of the repository, a distribution of the clone is named by its folder.
    """
    import shlex

    name, bracket, extras = requirement.partition("[")
    clone = _clone()
    if clone is not None:
        plugin = clone / "plugins" / (f"unitrack-{extras.rstrip(']')}" if name == CORE else name)
        if plugin.is_dir():
            requirement = str(plugin) if name == CORE else f"{plugin}{bracket}{extras}"
        elif name == CORE:
            requirement = f"{clone}{bracket}{extras}"
    return f"pip install {shlex.quote(requirement)}"


def _clone() -> Path | None:
    """The folder that the core was installed from, as PEP 610 records it, if the plugins lie in it."""
    import json
    from importlib import metadata  # 40 ms: only for a message
    from urllib.parse import unquote, urlsplit

    try:
        recorded = metadata.distribution(CORE).read_text("direct_url.json")
    except metadata.PackageNotFoundError:
        return None
    origin = json.loads(recorded or "{}")
    if "dir_info" not in origin:
        return None
    folder = Path(unquote(urlsplit(origin["url"]).path))
    return folder if (folder / "plugins").is_dir() else None
