"""W&B's artifacts in the stand-in server: collections of versions, aliases, and which run used and logged which."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from stand_in_server import StandInServer

_PROJECT_ID = "p"


@dataclass
class StoredVersion:
    """One version of an artifact as the server holds it."""

    id: str
    name: str
    project: str
    type: str
    digest: str
    index: int
    metadata: dict[str, Any]
    logged_by: str
    used_by: list[str] = field(default_factory=list)
    manifest: dict[str, Any] = field(default_factory=dict)
    state: str = "PENDING"

    @property
    def label(self) -> str:
        return f"{self.name}:v{self.index}"

    @property
    def files(self) -> dict[str, dict[str, Any]]:
        """The entries of its manifest by path."""
        contents: dict[str, dict[str, Any]] = self.manifest["contents"]
        return contents


class ArtifactStore:
    """Answers what the SDK asks of artifacts. Content that a collection has already is no new version."""

    def __init__(self, server: StandInServer, entity: str) -> None:
        self.versions: list[StoredVersion] = []
        self.aliases: dict[tuple[str, str, str], StoredVersion] = {}
        """By project, name and alias."""
        self.is_known = True
        """Whether this server knows artifacts at all."""
        self._server = server
        self._entity = entity

    def named(self, name: str) -> list[StoredVersion]:
        """The versions of a name, the oldest first."""
        return [one for one in self.versions if one.name == name]

    def aliases_of(self, version: StoredVersion) -> list[str]:
        return sorted(alias for (_, _, alias), one in self.aliases.items() if one is version)

    def table(self, name: str) -> list[tuple[str, list[str]]]:
        """Each version of a name with its aliases."""
        return [(one.label, self.aliases_of(one)) for one in self.named(name)]

    def take_manifest(self, version_id: str, content: bytes) -> None:
        """One uploaded manifest."""
        self._of_id(version_id).manifest = json.loads(content)

    def _of_id(self, version_id: str) -> StoredVersion:
        return self.versions[int(version_id.removeprefix("artifact/"))]

    def _find(self, project: str, name: str) -> StoredVersion | None:
        collection, _, version = name.partition(":")
        if (found := self.aliases.get((project, collection, version))) is not None:
            return found
        labelled = (one for one in self.named(collection) if one.project == project and one.label == name)
        return next(labelled, None)

    def on_CreateArtifact(self, variables: dict[str, Any]) -> dict[str, Any]:
        made = variables["input"]
        name, project = made["artifactCollectionName"], made["projectName"]
        there = [one for one in self.named(name) if one.project == project]
        same = next((one for one in there if one.digest == made["digest"] and one.state == "COMMITTED"), None)
        if same is None:
            metadata = json.loads(made.get("metadata") or "{}")
            number = f"artifact/{len(self.versions)}"
            same = StoredVersion(
                number, name, project, made["artifactTypeName"], made["digest"], len(there), metadata, made["runName"]
            )
            self.versions.append(same)
        for alias in made.get("aliases") or []:
            self.aliases[project, name, alias["alias"]] = same
        created = {"id": same.id, "state": same.state, "artifactSequence": {"latestArtifact": None}}
        return {"createArtifact": {"artifact": created}}

    def on_CreateArtifactManifest(self, variables: dict[str, Any]) -> dict[str, Any]:
        return {"createArtifactManifest": self._manifest(variables["artifactID"])}

    def on_UpdateArtifactManifest(self, variables: dict[str, Any]) -> dict[str, Any]:
        return {"updateArtifactManifest": self._manifest(variables["artifactManifestID"])}

    def _manifest(self, version_id: str) -> dict[str, Any]:
        url = f"{self._server.url}/manifest/{quote(version_id, safe='')}/manifest.json"
        return {"artifactManifest": {"id": version_id, "file": {"id": "f", "uploadUrl": url, "uploadHeaders": []}}}

    def on_CreateArtifactFiles(self, variables: dict[str, Any]) -> dict[str, Any]:
        edges = [
            {
                "node": {
                    "storagePath": None,
                    "uploadUrl": f"{self._server.url}/upload/{quote(one['artifactID'], safe='')}/{quote(one['name'])}",
                    "uploadHeaders": [],
                    "uploadMultipartUrls": None,
                    "artifact": {"id": one["artifactID"]},
                }
            }
            for one in (variables.get("input") or variables)["artifactFiles"]
        ]
        return {"createArtifactFiles": {"files": {"edges": edges}}}

    def on_CommitArtifact(self, variables: dict[str, Any]) -> dict[str, Any]:
        version = self._of_id(variables["artifactID"])
        version.state = "COMMITTED"
        return {"commitArtifact": {"artifact": {"id": version.id, "digest": version.digest}}}

    def on_UseArtifact(self, variables: dict[str, Any]) -> dict[str, Any]:
        told = variables.get("input") or variables
        version = self._of_id(told["artifactID"])
        if told["runName"] not in version.used_by:
            version.used_by.append(told["runName"])
        return {"useArtifact": {"artifact": {"id": version.id}}}

    def on_ArtifactMembershipByName(self, variables: dict[str, Any]) -> dict[str, Any]:
        version = self._find(variables["project"], variables["name"])
        if version is None:
            return {"project": {"artifactCollectionMembership": None}}
        membership = {
            "__typename": "ArtifactCollectionMembership",
            "id": "m",
            "createdAt": "2024-01-01T00:00:00",
            "artifact": self._public(version),
            "artifactCollection": self._collection(version),
            "versionIndex": version.index,
            "aliases": [{"__typename": "ArtifactAlias", "id": "a", "alias": one} for one in self.aliases_of(version)],
        }
        return {"project": {"artifactCollectionMembership": membership}}

    def on_ProjectArtifacts(self, variables: dict[str, Any]) -> dict[str, Any]:
        found = [one for one in self.named(variables["collection"]) if one.project == variables["project"]]
        edges = [{"version": f"v{one.index}", "node": self._public(one)} for one in reversed(found)]
        page = {"__typename": "PageInfo", "endCursor": None, "hasNextPage": False}
        listed = {"totalCount": len(edges), "pageInfo": page, "edges": edges}
        collection = {"__typename": "ArtifactSequence", "artifacts": listed}
        return {"project": {"artifactType": {"artifactCollection": collection}}}

    def on_AddAliases(self, variables: dict[str, Any]) -> dict[str, Any]:
        version = self._of_id(variables["input"]["artifactID"])
        for one in variables["input"]["aliases"]:
            self.aliases[one["projectName"], one["artifactCollectionName"], one["alias"]] = version
        return {"result": {"success": True}}

    def on_DeleteAliases(self, variables: dict[str, Any]) -> dict[str, Any]:
        for one in variables["input"]["aliases"]:
            self.aliases.pop((one["projectName"], one["artifactCollectionName"], one["alias"]), None)
        return {"result": {"success": True}}

    def on_UpdateArtifact(self, variables: dict[str, Any]) -> dict[str, Any]:
        version = self._of_id(variables["input"]["artifactID"])
        version.metadata = json.loads(variables["input"]["metadata"])
        return {"result": {"artifact": self._public(version)}}

    def _collection(self, version: StoredVersion) -> dict[str, Any]:
        entity = {"name": self._entity}
        project = {"id": _PROJECT_ID, "internalId": "1", "name": version.project, "entity": entity}
        return {"__typename": "ArtifactSequence", "name": version.name, "project": project}

    def _public(self, version: StoredVersion) -> dict[str, Any]:
        collection = self._collection(version)
        return {
            "__typename": "Artifact",
            "id": version.id,
            "artifactSequence": collection,
            "versionIndex": version.index,
            "artifactType": {"name": version.type},
            "description": None,
            "metadata": json.dumps(version.metadata),
            "ttlDurationSeconds": -2,
            "ttlIsInherited": False,
            "tags": [],
            "historyStep": None,
            "state": version.state,
            "size": 0,
            "digest": version.digest,
            "digestAlgorithm": "MANIFEST_MD5",
            "commitHash": version.digest[:20],
            "fileCount": 1,
            "createdAt": "2024-01-01T00:00:00",
            "updatedAt": None,
            "aliases": [
                {"__typename": "ArtifactAlias", "id": "a", "alias": one, "artifactCollection": collection}
                for one in self.aliases_of(version)
            ],
        }
