"""Alerts of a run: those that training raises itself, the rules that it adds, and what a courier has found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unitrack.alerts import AlertTerms
from unitrack.config import Settings
from unitrack.errors import AlertWarning, InvalidValueError, warn_caller
from unitrack.plugins.registry import installed
from unitrack.records import Tags
from unitrack.run.live_run import Trouble
from unitrack.run.recorder import Recorder
from unitrack.runfolder.run_folder import RunFolder
from unitrack.validation import ValidationChain
from unitrack.validation.arguments import as_text

if TYPE_CHECKING:
    from unitrack.alerts.evaluation import Firing
    from unitrack.delivery.modes import Delivery


def alert_terms(settings: Settings) -> AlertTerms | None:
    """Return what a courier is to watch for from the start; None if nobody would hear of it."""
    alerts = settings.alerts
    if not (alerts.rules or alerts.command or installed().can_notify):
        return None
    return AlertTerms(rules=dict(alerts.rules), command=list(alerts.command))


class AlertLog:
    """Raises alerts, and adds rules. The rules are tags of the run, so they can be replayed wherever it is."""

    def __init__(
        self, recorder: Recorder, validation: ValidationChain, delivery: Delivery, *, is_watched: bool
    ) -> None:
        """`is_watched`: whether a courier watches for alerts from the start."""
        self._recorder = recorder
        self._validation = validation
        self._delivery = delivery
        self._is_watched = is_watched

    def alert(self, name: str, text: str, when: str | None) -> None:
        """See `Run.alert`."""
        from unitrack.alerts.rules import ALERT_PREFIX, RULE_PREFIX, Rule  # noqa: PLC0415  # the parser costs 5 ms

        name = as_text(name, "alert: name")
        if not name:
            raise InvalidValueError("alert: the name is empty; give one, such as 'diverged'")
        if when is None:
            self._set(f"{ALERT_PREFIX}{name}", text or name)
            about = f"alert {name!r} of run {self._recorder.start.name!r}"
            warn_caller(f"{about}: {text}" if text else about, AlertWarning)
            return
        self._set(f"{RULE_PREFIX}{name}", Rule.parse(name, when).when)
        if not self._is_watched:
            self._is_watched = True
            self._delivery.watch(AlertTerms())

    def _set(self, tag: str, text: str) -> None:
        self._recorder.write(Tags, tags=self._validation.tags({tag: text}))


class AlertNews:
    """The alerts that a courier has raised since the last look."""

    def __init__(self, folder: RunFolder, run: str) -> None:
        self._folder = folder
        self._run = run
        self._read_bytes = self._bytes()
        self._told = len(self._all())  # in an earlier session of the run

    def look(self) -> list[Trouble]:
        """Return the new ones."""
        size = self._bytes()
        if size == self._read_bytes:  # as nearly always
            return []
        found = self._all()[self._told :]
        self._told, self._read_bytes = self._told + len(found), size
        return [self._as_news(one) for one in found]

    def _bytes(self) -> int:
        try:
            return self._folder.alerts_file.stat().st_size
        except OSError:
            return 0

    def _all(self) -> list[Firing]:
        if not self._bytes():
            return []
        from unitrack.delivery.alert_watch import read_alerts  # noqa: PLC0415  # the parser costs 5 ms

        return read_alerts(self._folder)

    def _as_news(self, found: Firing) -> Trouble:
        at = "" if found.step is None else f" at step {found.step}"
        text = f"alert {found.rule!r} of run {self._run!r}{at}: {found.text}"
        return Trouble(f"alert {found.rule} at {found.time}", text, AlertWarning)
