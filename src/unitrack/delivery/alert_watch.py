"""The thread in a courier that reads a run's journals, checks its alert rules, and tells of what it finds."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import msgspec

from unitrack.alerts import AlertTerms
from unitrack.alerts.evaluation import Evaluator, Firing
from unitrack.alerts.rules import ALERT_PREFIX, Rule
from unitrack.errors import JournalError
from unitrack.hookspecs import Alert, decode
from unitrack.journal import JournalReader, JournalWriter, find_writers
from unitrack.plugins.registry import installed
from unitrack.records import AnyRecord, RunEnd, Tags
from unitrack.runfolder.run_folder import RunFolder
from unitrack.system.files import open_private, read_regular
from unitrack.system.life import Life

_LOOK_EVERY_S = 0.5
_COMMAND_TIMEOUT_S = 60.0
_MAX_COMMANDS = 100
"""Of one run and courier: a rule that goes on and off would start thousands."""


def read_alerts(folder: RunFolder) -> list[Firing]:
    """Return the alerts that were raised for a run."""
    try:
        lines = read_regular(folder.alerts_file).splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        with contextlib.suppress(msgspec.MsgspecError):
            found.append(decode(line, Firing))
    return found


class AlertWatch(threading.Thread):
    """Reads what all processes of the run write, beside the lanes. Training waits for nothing of it."""

    def __init__(self, folder: RunFolder, terms: AlertTerms) -> None:
        super().__init__(name="unitrack-alerts", daemon=True)
        self._folder = folder
        self._manifest = folder.read_manifest()
        self._command = terms.command
        self._commands = 0
        self._evaluator = Evaluator(Rule.parse(name, when) for name, when in terms.rules.items())
        self._told = {(firing.rule, firing.step, firing.time) for firing in read_alerts(folder)}
        """Of an earlier courier, which had read the same records."""
        self._readers: dict[str, JournalReader] = {}
        self._stopped = threading.Event()
        self._journal: JournalWriter | None = None
        with contextlib.suppress(JournalError):  # the spool is gone: there is nothing to watch
            self._journal = JournalWriter(folder.spool)  # open from now on, so that lanes wait for what is found

    def run(self) -> None:
        """Watch until the run ends or its journal can't be written any more."""
        journal = self._journal
        if journal is None:
            return
        try:
            is_over = False
            while not is_over:
                is_over = self._stopped.wait(_LOOK_EVERY_S) or self._has_ended()
                for record in self._new_records(but=journal.writer):
                    self._look_at(record, journal)
                if not is_over:
                    self._tell(self._evaluator.tick(time.time_ns() // 1_000_000), journal)
        except (JournalError, OSError) as error:
            print(f"unitrack: alerts of {self._manifest.run.name!r} end: {error}", file=sys.stderr, flush=True)
        finally:
            with contextlib.suppress(JournalError):
                journal.write(RunEnd, status="finished")  # ends this writer only
            journal.close()
            for reader in self._readers.values():
                reader.close()

    def stop(self) -> None:
        """Look at what is there, then end."""
        self._stopped.set()

    def _has_ended(self) -> bool:
        return self._folder.ended_file.exists() or self._folder.life_of(self._manifest.owner) is Life.GONE

    def _new_records(self, but: str) -> Iterator[AnyRecord]:
        for writer in find_writers(self._folder.spool):
            if writer == but:
                continue
            reader = self._readers.get(writer)
            if reader is None:
                reader = self._readers[writer] = JournalReader(self._folder.spool, writer)
            while reader.position != (chunk := reader.read()).end:
                yield from chunk.records

    def _look_at(self, record: AnyRecord, journal: JournalWriter) -> None:
        if isinstance(record, Tags):
            for tag, text in record.tags.items():  # of `Run.alert`; the process that called it has told its terminal
                if tag.startswith(ALERT_PREFIX):
                    self._notify(Firing(tag.removeprefix(ALERT_PREFIX), text, None, record.time))
        self._tell(self._evaluator.add(record), journal)

    def _tell(self, firings: list[Firing], journal: JournalWriter) -> None:
        for firing in firings:
            key = (firing.rule, firing.step, firing.time)
            if key not in self._told:
                self._told.add(key)
                with open(self._folder.alerts_file, "ab", opener=open_private) as file:
                    file.write(msgspec.json.encode(firing) + b"\n")
                at = "" if firing.step is None else f"step {firing.step}: "
                journal.write(Tags, tags={f"{ALERT_PREFIX}{firing.rule}": f"{at}{firing.text}"})
                self._notify(firing)

    def _notify(self, firing: Firing) -> None:
        run = self._manifest.run
        alert = Alert(
            name=firing.rule,
            text=firing.text,
            step=firing.step,
            time=firing.time,
            run_id=run.run_id,
            run_name=run.name,
            project=run.project,
        )
        for error in installed().notify(alert):
            print(f"unitrack: {error}", file=sys.stderr, flush=True)
        if self._command and self._commands < _MAX_COMMANDS:
            self._commands += 1
            _start_command(self._command, alert)


def _start_command(command: list[str], alert: Alert) -> None:
    """Start a command; what it prints goes to the courier's log. One that takes too long is killed."""
    values = {"name": alert.name, "text": alert.text, "run": alert.run_name, "run_id": alert.run_id}
    values["step"] = "" if alert.step is None else str(alert.step)
    try:
        process = subprocess.Popen([_filled(word, values) for word in command], stdin=subprocess.DEVNULL)
    except (OSError, ValueError) as error:
        print(f"unitrack: the command for the alert {alert.name!r} failed: {error}", file=sys.stderr, flush=True)
        return
    threading.Thread(target=_wait_for, args=(process, alert), daemon=True).start()


def _wait_for(process: subprocess.Popen[bytes], alert: Alert) -> None:
    try:
        code = process.wait(_COMMAND_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        code = process.wait()
    if code:
        why = f"ended with exit code {code}"
        print(f"unitrack: the command for the alert {alert.name!r} {why}", file=sys.stderr, flush=True)


def _filled(word: str, values: dict[str, str]) -> str:
    """Return a word of the command with values in place of {name} and the like, each once and none inside another."""
    return re.sub(rf"\{{({'|'.join(values)})\}}", lambda found: values[found[1]], word)
