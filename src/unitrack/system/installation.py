"""The install command that a message names."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

import msgspec

CORE = "unitrack-core"
"""The distribution of the core. The name `unitrack` on the public index is another project's."""

_PLUGINS = {"database": "unitrack-sql", "sql": CORE}
"""The distributions of extras that are not called like them: `sql` is the query engine, which the core itself has."""


def install_command(requirement: str) -> str:
    """Return the `pip install` command of a requirement such as "unitrack-mlflow[s3]".

    If the core was installed from a clone of the repository, a distribution of the clone is named by its folder.
    """
    import shlex  # noqa: PLC0415  # shlex costs 0.3 ms, and only a message needs it

    name, bracket, extras = requirement.partition("[")
    clone = _clone()
    if clone is not None:
        extra = extras.rstrip("]")
        plugin = clone / "plugins" / (_PLUGINS.get(extra, f"unitrack-{extra}") if name == CORE else name)
        if plugin.is_dir():
            requirement = str(plugin) if name == CORE else f"{plugin}{bracket}{extras}"
        elif name == CORE:
            requirement = f"{clone}{bracket}{extras}"
    return f"pip install {shlex.quote(requirement)}"


def _clone() -> Path | None:
    """Return the folder that the core was installed from, as PEP 610 records it, if it contains the plugins."""
    from importlib import metadata  # noqa: PLC0415  # importlib.metadata costs 20 ms, and only a message needs it

    try:
        recorded = metadata.distribution(CORE).read_text("direct_url.json")
    except metadata.PackageNotFoundError:
        return None
    origin = msgspec.json.decode(recorded or "{}")
    if "dir_info" not in origin:
        return None
    folder = Path(unquote(urlsplit(origin["url"]).path))
    return folder if (folder / "plugins").is_dir() else None
