"""A connection to a store, with MLflow set up so that it fails fast and changes nothing silently."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection

import requests
from mlflow import MlflowClient
from mlflow.utils import request_utils

from unitrack_mlflow import limits, new_database
from unitrack_mlflow.stores import Store

_make_session = request_utils._get_request_session  # noqa: SLF001  # MLflow has no public way to see an answer


def connect(store: Store, request_timeout: int) -> MlflowClient:
    """Return a client of `store`; creates the tables of a new database, which takes seconds.

    All clients of a process share one pool of database connections a store, and one HTTP session. MLflow reads these
    settings from the environment at each request, and they hold for the whole process. The lane
    does the retrying: with MLflow's own seven retries a call blocks for minutes.
    """
    os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
    os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] = str(request_timeout)
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"  # one for each file of the index that is read
    # unitrack shortens long values itself, and marks them: one that MLflow would have to cut is an error
    os.environ["MLFLOW_TRUNCATE_LONG_VALUES"] = "false"
    request_utils._get_request_session = _session  # noqa: SLF001  # as above
    if store.is_database and "MLFLOW_SQLALCHEMYSTORE_POOLCLASS" not in os.environ:
        os.environ.setdefault("MLFLOW_SQLALCHEMYSTORE_POOL_SIZE", str(limits.POOL_SIZE))
        os.environ.setdefault("MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW", str(limits.POOL_OVERFLOW))
    logging.getLogger("mlflow.store.db").setLevel(logging.WARNING)  # it reports each table that it creates
    if store.is_folder:
        os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
    elif store.path is not None:
        new_database.ensure(store.path)
    return MlflowClient(tracking_uri=store.uri)


def _session(max_retries: int, factor: float, jitter: float, retried: Collection[int], *more: bool) -> requests.Session:
    """Return MLflow's session, which raises `requests.HTTPError` with the answer if that says when to come back.

    MLflow's own exceptions keep no header of an answer. Without retries its session would raise for a 429 or a 503
    before the hooks here see the answer, so then it gets no status to retry.
    """
    session: requests.Session = _make_session(max_retries, factor, jitter, retried if max_retries else (), *more)
    if _raise_if_told_when not in session.hooks["response"]:
        session.hooks["response"] += [_raise_if_told_when, _raise_if_refused]
    return session


def _raise_if_told_when(answer: requests.Response, *_: object, **__: object) -> None:
    if answer.status_code in (429, 503) and "Retry-After" in answer.headers:
        _ = answer.content  # else each refusal leaves its connection open until it is collected
        raise requests.HTTPError(f"{answer.status_code} {answer.reason} for {answer.url}", response=answer)


def _raise_if_refused(answer: requests.Response, *_: object, **__: object) -> None:
    """Raise for a 401 or 403 in JSON that is not MLflow's own: MLflow keeps the body of one, but not the status."""
    if answer.status_code in (401, 403) and answer.text.lstrip().startswith("{") and "error_code" not in answer.text:
        raise requests.HTTPError(f"{answer.status_code} {answer.reason} for {answer.url}", response=answer)
