"""The params that a run has from earlier sessions: in its local files, and in journals that are not delivered yet."""

from __future__ import annotations

import contextlib
from typing import Any

from unitrack.errors import UnitrackError
from unitrack.local.source import PARAMS, read_json
from unitrack.records import Params, merge
from unitrack.runfolder.run_folder import RunFolder
from unitrack.sources.journal.source import JournalSource


def read_earlier(folder: RunFolder) -> dict[str, Any]:
    """Return them, nested; none of them where neither is there any more."""
    found: dict[str, Any] = {}
    with contextlib.suppress(OSError):
        found = read_json(folder.path / PARAMS)
    with contextlib.suppress(OSError, KeyError, UnitrackError):  # a journal that was delivered and removed
        for record in JournalSource(str(folder.path)).records(folder.path.name):
            if isinstance(record, Params):
                found = merge(found, record.params)
    return found
