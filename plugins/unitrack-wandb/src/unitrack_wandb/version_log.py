"""Delivers the versions that a run logs and uses, and the moves of their aliases, as W&B artifacts.

Online a version is sent at once, and the end of the run waits for all. Offline all is written at the end of the run: by
then it is known which aliases each version has, and `wandb sync` does the rest.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from unitrack.errors import SinkUnavailableError
from unitrack.hookspecs import RunContext, UsedArtifact
from unitrack.records import ArtifactVersion, Tags, later_alias, used_version
from unitrack_wandb.checkpoint import SentArtifact
from unitrack_wandb.errors import http_status, sink_error
from unitrack_wandb.files import link
from unitrack_wandb.names import file_name, wandb_project
from unitrack_wandb.options import WandbOptions
from unitrack_wandb.server_versions import LATEST, ServerVersions
from unitrack_wandb.versions import draft, type_of

_log = logging.getLogger(__name__)
_LINKS = "artifacts"
"""The folder in an offline run's own in which the files of its artifacts are linked."""


class VersionLog:
    """The versions of one open run of the SDK. `api`: None offline."""

    def __init__(self, run: RunContext, options: WandbOptions, sdk_run: Any, api: Any) -> None:
        self._run = run
        self._options = options
        self._sdk_run = sdk_run
        self._api = api
        self._sent: list[tuple[str, Any]] = []
        """What was sent to the server and not confirmed: what it is, and the SDK's handle of the answer."""
        self._moves: dict[str, tuple[str, int]] = {}
        """Tags about aliases that came in this session: text and time by name."""
        self._fresh: set[str] = set()
        """The names of artifacts that came in this session."""

    def go_on_from(self, before: VersionLog) -> None:
        """Take over what came to the log of an SDK's run that is written anew."""
        self._moves, self._fresh = before._moves, before._fresh

    def note_tags(self, record: Tags) -> None:
        """Take in tags, of which some say that an alias was moved."""
        self._moves |= {tag: (text, record.time) for tag, text in record.tags.items() if later_alias(tag, text)}

    def take(self, sent: SentArtifact) -> None:
        """Take in an artifact that lies among the run's files. Raises `SinkUnavailableError`."""
        self._fresh.add(sent.name)
        if self._api is not None and sent.version is not None:
            self._send(sent, sent.version)

    def write(
        self, artifacts: Mapping[str, SentArtifact], tags: Mapping[str, str], folder: Path, synced: Path | None
    ) -> None:
        """Write all versions into the offline run, which will lie in `folder`.

        `synced`: the files of the folder that `wandb sync` has uploaded; then only what is new since is written.
        """
        for sent in artifacts.values():
            if (version := sent.version) is None:
                continue
            content = Path(self._sdk_run.dir, file_name(sent.name))
            aliases = [LATEST, *_aliases(version, version.aliases, tags)]
            if synced is not None and sent.name not in self._fresh:
                content = synced / file_name(sent.name)
                aliases = _aliases(version, (), {tag: text for tag, (text, _) in self._moves.items()})
                if not aliases or not content.exists():
                    continue
            linked, lies_at = self._linked(version, content, folder)
            self._publish(self._draft(version, sent, type_of(sent.type), linked, lies_at), aliases, uses=False)
        for tag, text in tags.items():
            if (used := self._run.find_used(tag, text)) is not None and self._is_of_project(tag, text):
                place: Path | None = None
                if used.path is not None:
                    linked, place = self._linked(used.version, used.path, folder)
                    used = msgspec.structs.replace(used, path=linked)
                self._publish(self._draft_of(used, None, place), [], uses=True)

    def _linked(self, version: ArtifactVersion, content: Path, folder: Path) -> tuple[Path, Path]:
        """Link a file or folder into the SDK's folder, and return where it lies there, and where in `folder` then.

        `wandb sync` removes what it has uploaded in some versions (0.28), so it gets links of its own.
        """
        place = Path(_LINKS, f"{version.name}-{version.label}", content.name)
        target = Path(self._sdk_run.dir).parent / place
        try:
            for file in [content] if content.is_file() else sorted(content.rglob("*")):
                if file.is_file():
                    link(file, target / file.relative_to(content))
        except OSError as error:
            raise SinkUnavailableError(f"can't link {content} to {target}: {error}", reopen=True) from error
        return target, folder / place

    def finish(self, artifacts: Mapping[str, SentArtifact], tags: Mapping[str, str]) -> None:
        """Wait until the server has what was sent, then tell it what the run has used and which aliases were moved.

        Raises `SinkUnavailableError` if that takes longer than `finish_timeout`.
        """
        self._wait()
        for tag, text in tags.items():
            if (told := used_version(tag, text)) is not None:
                self._use(told[0], tag, text, told[1].project)
        self._wait()
        by_version = {(one.version.name, one.version.label): one.version for one in artifacts.values() if one.version}
        for tag, (text, moved) in self._moves.items():
            change = later_alias(tag, text)
            if change is None or (version := by_version.get((change[0], change[2]))) is None:
                continue
            name, alias, _, has_it = change
            if has_it:
                self._server().add_alias(name, version.digest, alias, moved)
            else:
                self._server().remove_alias(name, version.digest, alias)

    def _send(self, sent: SentArtifact, version: ArtifactVersion) -> None:
        known, aliases = self._server().before(version.name, version.aliases, sent.time)
        type = known or type_of(sent.type)
        made = self._draft(version, sent, type, Path(self._sdk_run.dir) / file_name(sent.name), None)
        self._deliver(made, aliases, uses=False)

    def _use(self, version: ArtifactVersion, tag: str, text: str, project: str) -> None:
        server = self._server(project)
        trouble: Exception | None = None
        if (found := server.find(version.name, version.digest)) is not None:
            try:
                self._sdk_run.use_artifact(found)
                return
            except Exception as error:  # 0.28 asks the server of the process's own settings
                trouble = error
        if (used := self._run.find_used(tag, text)) is not None and self._is_of_project(tag, text):
            self._deliver(self._draft_of(used, server.type_of(version.name)), [], uses=True)
        elif trouble is not None:
            raise sink_error(trouble, f"telling W&B that {version.name}:{version.label} was used") from trouble

    def _server(self, project: str = "") -> ServerVersions:
        place = wandb_project(self._options.project or project) if project else self._sdk_run.project
        return ServerVersions(self._api, self._sdk_run.entity, place)

    def _is_of_project(self, tag: str, text: str) -> bool:
        """Return whether a used version belongs to the run's W&B project: a new one can be made only there."""
        told = used_version(tag, text)
        return told is not None and (not told[1].project or self._options.project is not None)

    def _draft(
        self, version: ArtifactVersion, sent: SentArtifact, type: str, content: Path, lies_at: Path | None
    ) -> Any:
        try:
            return draft(
                version,
                type=type,
                content=content,
                lies_at=lies_at,
                time=sent.time,
                run_id=self._run.start.run_id,
                step=sent.step,
            )
        except Exception as error:
            raise sink_error(error, f"making the W&B artifact {version.name}", reopen=True) from error

    def _draft_of(self, used: UsedArtifact, type: str | None, lies_at: Path | None = None) -> Any:
        try:
            return draft(
                used.version,
                type=type or type_of(used.type),
                content=used.path,
                lies_at=lies_at,
                time=used.time,
                run_id=used.made_by,
                step=used.step,
            )
        except Exception as error:
            raise sink_error(error, f"making the W&B artifact {used.version.name}", reopen=True) from error

    # `run.log_artifact` adds the alias "latest", also to an older version that is delivered late, or only used; and
    # `run.use_artifact` refuses to work offline. What both call takes the aliases as they are.

    def _deliver(self, made: Any, aliases: list[str], *, uses: bool) -> None:
        run = self._sdk_run
        handle = run._interface.deliver_artifact(  # noqa: SLF001  # see above
            run, made, aliases, is_user_created=uses, use_after_commit=uses
        )
        self._sent.append((f"{made.name}:{made.metadata.get('unitrack_version')}", handle))

    def _publish(self, made: Any, aliases: list[str], *, uses: bool) -> None:
        run = self._sdk_run
        run._interface.publish_artifact(  # noqa: SLF001  # see above
            run, made, aliases, is_user_created=uses, use_after_commit=uses
        )

    def _wait(self) -> None:
        deadline = time.monotonic() + self._options.finish_timeout
        sent, self._sent = self._sent, []
        for what, handle in sent:
            try:
                answer = handle.wait_or(timeout=max(0.0, deadline - time.monotonic())).response.log_artifact_response
            except Exception as error:
                doing = f"waiting for the W&B artifact {what}, {self._options.finish_timeout:g} s"
                raise sink_error(error, doing, reopen=True) from error
            if text := answer.error_message.strip():
                if (http_status(ValueError(text)) or 0) >= 500:
                    raise SinkUnavailableError(f"W&B did not take the artifact {what}: {text}", reopen=True)
                _log.warning("W&B did not take %s as an artifact, its files are among those of the run: %s", what, text)


def _aliases(version: ArtifactVersion, logged_with: Iterable[str], tags: Mapping[str, str]) -> list[str]:
    """Return the aliases of a version of this run: those that it was logged with, as later tags have changed them."""
    aliases = dict.fromkeys(logged_with)
    for tag, text in tags.items():
        if (change := later_alias(tag, text)) is not None and change[0] == version.name:
            _, alias, label, has_it = change
            if has_it and label == version.label:
                aliases[alias] = None
            else:
                aliases.pop(alias, None)
    return list(aliases)
