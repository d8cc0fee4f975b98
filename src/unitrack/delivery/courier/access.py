"""The variables by which a process reaches servers: keys, addresses, proxies. A courier keeps those of its start."""

from __future__ import annotations

import re
from collections.abc import Mapping

_NAME = re.compile(
    "KEY|TOKEN|SECRET|PASSWORD|USERNAME|CREDENTIAL|PROFILE|CONNECTION_STRING|ENDPOINT|URI|URL|PROXY", re.IGNORECASE
)


def access_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of an environment whose names speak of a key, an address or a proxy."""
    return {name: value for name, value in environ.items() if _NAME.search(name)}
