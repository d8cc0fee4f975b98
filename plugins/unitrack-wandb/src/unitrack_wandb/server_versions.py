"""Looking up and naming versions of artifacts on a W&B server."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from unitrack_wandb.errors import http_status, sink_error
from unitrack_wandb.sdk import wandb
from unitrack_wandb.versions import ALIASES, DIGEST, MARK, TIME

LATEST = "latest"


class ServerVersions:
    """The artifacts of one W&B project. Raises `SinkUnavailableError` while the server does not answer."""

    def __init__(self, api: Any, entity: str, project: str) -> None:
        self._api = api
        self._place = f"{entity}/{project}"

    def type_of(self, name: str) -> str | None:
        """Return the type that the versions of a name have; None if there are none, or none that is called latest."""
        return self.before(name, (), 0)[0]

    def before(self, name: str, aliases: Iterable[str], time: int) -> tuple[str | None, list[str]]:
        """Return the type that the versions of a name have, and the aliases that one logged at `time` may get.

        These are "latest" and `aliases`, except those that a newer version has: so a late delivery moves none back.
        """
        latest = self._look(f"{name}:{LATEST}")
        free = [LATEST] if _time_of(latest, LATEST) <= time else []
        if latest is None:
            return None, [*free, *aliases]
        free += [alias for alias in aliases if _time_of(self._look(f"{name}:{alias}"), alias) <= time]
        return str(latest.type), free

    def find(self, name: str, digest: str) -> Any:
        """Return the version of a name that holds the content with this digest of unitrack; None if there is none."""
        if (type := self.type_of(name)) is None:
            return None
        try:
            listed = self._api.artifacts(type, f"{self._place}/{name}")
            return next((one for one in listed if one.metadata.get(DIGEST) == digest), None)
        except Exception as error:
            raise sink_error(error, f"looking for the versions of {name!r} in W&B") from error

    def add_alias(self, name: str, digest: str, alias: str, time: int) -> None:
        """Move an alias to the version with this digest, if it is there and no newer one has it."""
        version = self.find(name, digest)
        if version is None or alias in version.aliases:
            return
        if _time_of(self._look(f"{name}:{alias}"), alias) > time:
            return
        version.aliases.append(alias)
        version.metadata[ALIASES] = {**version.metadata.get(ALIASES, {}), alias: time}
        self._save(version, name)

    def remove_alias(self, name: str, digest: str, alias: str) -> None:
        """Take an alias away from the version with this digest, if that has it."""
        version = self._look(f"{name}:{alias}")
        if version is None or version.metadata.get(DIGEST) != digest or alias not in version.aliases:
            return
        version.aliases.remove(alias)
        self._save(version, name)

    def _save(self, version: Any, name: str) -> None:
        try:
            version.save()
        except Exception as error:
            raise sink_error(error, f"moving an alias of {name!r} in W&B") from error

    def _look(self, name: str) -> Any:
        """Return a version by its name and alias; None if there is none, or if the server knows no artifacts."""
        try:
            return self._api.artifact(f"{self._place}/{name}")
        except (wandb.errors.CommError, ValueError) as error:
            text = str(error)
            if "not found" in text or (text.startswith("input:") and http_status(error) is None):
                return None
            raise sink_error(error, f"looking for {name!r} in W&B") from error


def _time_of(version: Any, alias: str) -> int:
    """Return since when a version has an alias, in milliseconds since the epoch; 0 if unitrack did not give it."""
    if version is None or MARK not in version.metadata:
        return 0
    return int(version.metadata.get(ALIASES, {}).get(alias) or version.metadata.get(TIME) or 0)
