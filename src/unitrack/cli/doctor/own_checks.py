"""What `unitrack doctor` looks at for unitrack itself."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from unitrack.hookspecs import Finding


def check_root(root: str) -> Finding:
    """Yield whether run folders can be made. Nothing is left behind."""
    path = Path(root).absolute()
    existing = next(folder for folder in (path, *path.parents) if folder.exists())
    try:
        with tempfile.TemporaryDirectory(dir=existing):
            pass
    except OSError as error:
        mend = "mend its permissions, or set tracking.root (or UNITRACK_ROOT) to another folder"
        return Finding(ok=False, subject="root", message=f"can't make folders in {existing}: {error.strerror}; {mend}")
    suffix = "" if existing == path else ", which the first run creates"
    return Finding(ok=True, subject="root", message=f"{path} can be written{suffix}")


def check_courier(timeout: float, nice: int) -> Finding:
    """Yield whether a courier starts: one without orders leaves at once. `nice`: `tracking.courier_nice`."""
    started = time.monotonic()
    command = [sys.executable, "-P", "-m", "unitrack.delivery.courier"]
    try:
        result = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, encoding="utf-8", timeout=timeout
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return _no_courier(str(error))
    if result.returncode:
        return _no_courier((result.stderr.strip() or f"exit code {result.returncode}").splitlines()[-1])
    took = time.monotonic() - started
    told = f"a process starts in {took:.2f} s; it runs at nice {nice} behind training (tracking.courier_nice)"
    return Finding(ok=True, subject="courier", message=told)


def _no_courier(why: str) -> Finding:
    mend = "threads deliver instead; to choose that, set tracking.delivery to thread"
    return Finding(ok=False, subject="courier", message=f"no courier process can be started ({why}); {mend}")
