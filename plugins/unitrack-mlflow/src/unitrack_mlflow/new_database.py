"""Creating an SQLite store so that several processes may do it at once.

MLflow creates its tables in dozens of steps. Processes that do so in one file at the same time, as the runs of a sweep
may, leave it broken for good (measured: four of four failed, and on every later try). So the tables are made in
a file of our own, which then gets the database's name in one step, unless another process was first.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from pathlib import Path

from mlflow import MlflowClient

_creating = threading.Lock()


def ensure(path: Path) -> None:
    """Have an SQLite file with MLflow's tables at `path`. One that exists is left as it is.

    Raises `OSError` if it can't be written there.
    """
    with _creating:
        if path.exists():
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".unitrack-mlflow-", dir=path.parent) as scratch:
            MlflowClient(tracking_uri=f"sqlite:///{Path(scratch).as_posix()}/made.db")
            # a copy, since MLflow keeps its connection to the file that it made
            ready = Path(shutil.copyfile(f"{scratch}/made.db", f"{scratch}/ready.db"))
            try:
                os.link(ready, path)
            except FileExistsError:
                return
            except OSError:  # a file system without links
                if not path.exists():
                    ready.rename(path)
