"""What a log call leaves to a courier: the requests of this process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from unitrack.config import Settings
from unitrack.errors import JournalError
from unitrack.run.recorder import Recorder
from unitrack.runfolder.requests import leave_request
from unitrack.system.disk import remedy

if TYPE_CHECKING:
    from unitrack.delivery.modes import Delivery
    from unitrack.environment.request import Secrecy


class Requests:
    """Leaves requests in the spool of a run, and has them answered."""

    def __init__(self, recorder: Recorder, settings: Settings, delivery: Delivery) -> None:
        self._recorder = recorder
        self._delivery = delivery
        self._safeguards = settings.safeguards

    @property
    def secrecy(self) -> Secrecy:
        """What is secret beside the built-in rules."""
        from unitrack.environment.request import Secrecy  # noqa: PLC0415  # its structs cost 3 ms

        return Secrecy(keys=self._safeguards.redact, patterns=self._safeguards.redact_patterns)

    def ask(self, request: msgspec.Struct, what: str) -> None:
        """Have a request answered. `what`: what it is about. Raises `JournalError` if it can't be written."""
        self._recorder.open()
        try:
            name = leave_request(self._recorder.folder, msgspec.json.encode(request))
        except OSError as error:
            why = f"{what} is not logged, or in part only ({error.strerror}); {remedy(error.errno)}"
            raise JournalError(error.errno, why, str(self._recorder.folder.spool)) from error
        self._delivery.answer(name)
        self._recorder.deliver_inline()
