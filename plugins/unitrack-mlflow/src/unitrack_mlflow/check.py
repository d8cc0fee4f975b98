"""The checks of `unitrack doctor` for MLflow."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import requests
from mlflow.exceptions import MlflowException

from unitrack.errors import SinkError, SinkUnavailableError
from unitrack.hookspecs import Finding
from unitrack_mlflow import stores
from unitrack_mlflow.client import connect
from unitrack_mlflow.errors import classify, translated
from unitrack_mlflow.options import MlflowOptions
from unitrack_mlflow.stores import Store


def check(options: MlflowOptions) -> Iterator[Finding]:
    """Look whether the package is there, the store can be reached, and it lets us in. Nothing is written."""
    store = stores.describe(options.tracking_uri)
    yield Finding(ok=True, subject="package", message=f"mlflow {version('mlflow')}")
    if store.uri.startswith(("http://", "https://")):
        reached = _reach_server(store, options.request_timeout)
        yield reached
        if not reached.ok:
            return
    elif store.path is not None:
        found = _look_at_path(store, store.path)
        yield found
        if not found.ok or not store.path.exists():
            return  # asking MLflow would create the store
    yield _ask(store, options.request_timeout)


def _reach_server(store: Store, timeout: int) -> Finding:
    url = f"{store.uri.rstrip('/')}/health"
    try:
        answer = requests.get(url, timeout=timeout)
    except requests.RequestException as error:
        text = str(classify(error, store))
        message = f"{text}{' ' if text.endswith('?') else '. '}Is tracking_uri right?"
        return Finding(ok=False, subject="server", message=message)
    # a proxy or a hosted MLflow may not know /health; whether it is one, the next call shows
    return Finding(ok=True, subject="server", message=f"{store.shareable} answers ({answer.status_code})")


def _look_at_path(store: Store, path: Path) -> Finding:
    there = next(place for place in (path, *path.parents) if place.exists())
    if there != path and not there.is_dir():
        return Finding(ok=False, subject="store", message=f"{there} is not a folder; choose another tracking_uri")
    # SQLite puts its journal beside the database, so the folder matters too
    for place in {there, there if there.is_dir() else there.parent}:
        if not os.access(place, os.W_OK):
            message = f"{place} can't be written; change its permissions or choose another tracking_uri"
            return Finding(ok=False, subject="store", message=message)
    state = "there and writable" if there == path else "not there yet; the first run creates it"
    return Finding(ok=True, subject="store", message=f"{store.shareable} is {state}")


def _ask(store: Store, timeout: int) -> Finding:
    try:
        with translated(store):
            connect(store, timeout).search_experiments(max_results=1)
    except SinkUnavailableError as error:
        return Finding(ok=False, subject="server", message=store.without_password(str(error)))
    except (SinkError, MlflowException) as error:
        return Finding(ok=False, subject="access", message=store.without_password(str(error)))
    return Finding(ok=True, subject="access", message=f"{store.shareable} lists its experiments to us")
