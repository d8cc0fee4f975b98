"""Versions of models in MLflow's registry: a named artifact is a registered model, and its aliases are MLflow's.

Only a logged model whose flavour MLflow loads gets here, so the registry holds nothing that can't be loaded. MLflow
numbers versions itself, from 1; the tag `marks.VERSION` holds the number in unitrack, by which a version is found
again instead of made twice.

An alias never moves to an older version than the one that has it, unless it was moved there later: so a run that is
delivered late takes none from a newer one.
"""

from __future__ import annotations

from collections.abc import Iterator

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from unitrack.names import escape
from unitrack.records import ArtifactVersion
from unitrack_mlflow import marks

_NAME = r"\w\-. "
_ALIAS = r"\w\-"
_MISSING = ("ENDPOINT_NOT_FOUND", "NOT_IMPLEMENTED", "FEATURE_DISABLED")


def registered_name(template: str, project: str, name: str) -> str:
    """Return what a named artifact of a project is called in the registry, which all experiments share."""
    return template.format(project=escape(project, _NAME), name=escape(name, _NAME))


def register(
    client: MlflowClient,
    registered: str,
    version: ArtifactVersion,
    model_id: str,
    run_id: str,
    *,
    time: int,
    on_server: bool,
) -> None:
    """Have the logged model as a version of the registered model, once, and move the version's aliases to it.

    `time`: when it was logged, in milliseconds since the epoch. Does nothing where the server has no registry. MLflow
    (3.17) looks for a model by its id in the store that is set for the whole process: only on a server is that the
    right one.
    """
    try:
        found = _find(client, registered, version.label)
        if found is None:
            _create_model(client, registered)
            tags = {marks.VERSION: version.label, marks.DIGEST: version.digest, marks.TIME: str(time)}
            source = f"models:/{model_id}" if on_server else client.get_logged_model(model_id).artifact_location
            found = client.create_model_version(
                registered, source, run_id, tags=tags, await_creation_for=0, model_id=model_id if on_server else None
            )
    except MlflowException as error:
        if error.error_code in _MISSING:
            return
        raise
    for alias in version.aliases:
        _set_alias(client, registered, alias, found, time)


def move_alias(client: MlflowClient, registered: str, label: str, alias: str, time: int) -> None:
    """Move an alias to the version with this label in unitrack, as was asked for at `time`.

    Does nothing if MLflow has no such version, or if a newer one has the alias.
    """
    try:
        found = _find(client, registered, label)
        if found is not None and _set_alias(client, registered, alias, found, time):
            key = marks.NAMED + escape(alias, _ALIAS)
            client.set_model_version_tag(registered, found.version, key, str(time))
    except MlflowException as error:
        if error.error_code not in _MISSING:
            raise


def remove_alias(client: MlflowClient, registered: str, label: str, alias: str) -> None:
    """Take an alias away from the version with this label in unitrack, if that has it."""
    try:
        holder = _holder(client, registered, alias)
        if holder is not None and holder.tags.get(marks.VERSION) == label:
            client.delete_registered_model_alias(registered, escape(alias, _ALIAS))
    except MlflowException as error:
        if error.error_code not in _MISSING:
            raise


def _set_alias(client: MlflowClient, registered: str, alias: str, version: ModelVersion, time: int) -> bool:
    """Move an alias to a version that was logged or named so at `time`, and return whether it has it now."""
    holder = _holder(client, registered, alias)
    if holder is not None and holder.version != version.version and _is_newer(holder, alias, version, time):
        return False
    client.set_registered_model_alias(registered, escape(alias, _ALIAS), version.version)
    return True


def _holder(client: MlflowClient, registered: str, alias: str) -> ModelVersion | None:
    try:
        return client.get_model_version_by_alias(registered, escape(alias, _ALIAS))
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):  # the model, or the alias
            return None
        raise


def _is_newer(holder: ModelVersion, alias: str, version: ModelVersion, time: int) -> bool:
    """Return whether a version has had an alias since a later time. Without its time the numbers tell."""
    since = holder.tags.get(marks.NAMED + escape(alias, _ALIAS)) or holder.tags.get(marks.TIME)
    if since is not None and since.isdecimal():
        return int(since) > time
    return marks.VERSION in holder.tags and _number(holder) > _number(version)


def _number(version: ModelVersion) -> int:
    label = version.tags.get(marks.VERSION, "").removeprefix("v")
    return int(label) if label.isdecimal() else -1


def _find(client: MlflowClient, registered: str, label: str) -> ModelVersion | None:
    return next((one for one in _versions(client, registered) if one.tags.get(marks.VERSION) == label), None)


def _versions(client: MlflowClient, registered: str) -> Iterator[ModelVersion]:
    token = None
    while True:
        page = client.search_model_versions(f"name = '{registered}'", page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _create_model(client: MlflowClient, registered: str) -> None:
    try:
        client.create_registered_model(registered)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
