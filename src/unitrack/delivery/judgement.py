"""Which records a sink will never take. Those are kept as dead letters, so that the others arrive.

A record that the sink rejects is bad. One that makes it raise what nobody expected is a *suspect*: it is bad if the
sink takes others, and the sink is broken if it fails for all.
"""

from __future__ import annotations

from unitrack import limits
from unitrack.delivery.dead_letters import DeadLetters
from unitrack.delivery.failures import describe
from unitrack.delivery.feed import Batch
from unitrack.delivery.ledger import Ledger
from unitrack.errors import SinkMisconfiguredError
from unitrack.records import AnyRecord


class Judgement:
    """Judges what is delivered after the committed position. After a failure the lane makes a new one."""

    def __init__(self, ledger: Ledger, dead_letters: DeadLetters) -> None:
        self._ledger = ledger
        self._dead_letters = dead_letters
        self._suspects: list[tuple[str, AnyRecord, BaseException]] = []
        self._sink_works = False
        self.given_up = 0
        """Dead letters since the lane last committed."""

    def note_delivered(self) -> None:
        """The sink has taken a batch: then it is not broken."""
        self._sink_works = True
        self._condemn_suspects()

    def reject(self, batch: Batch, error: BaseException, *, certain: bool) -> tuple[Batch, ...]:
        """The sink has not taken a batch; gives what to deliver in its place. `certain`: it said that a record is bad.

        Raises `SinkMisconfiguredError` if it has failed for many in a row.
        """
        if len(batch.records) > 1:
            return batch.halves()
        if certain:
            self._dead_letter(batch.writer, batch.records[0], error)
            return ()
        self._suspects.append((batch.writer, batch.records[0], error))
        if len(self._suspects) >= limits.MAX_CONSECUTIVE_REJECTS:
            raise _broken(error)
        return ()

    def settle(self, *, is_last: bool) -> None:
        """Decide whether the suspects are bad or the sink is; `is_last`: no other record will come to tell.

        Raises `SinkMisconfiguredError` if it is the sink.
        """
        if self._suspects and not self._sink_works and not (is_last and self._was_parked_for_them()):
            raise _broken(self._suspects[0][2])
        self._condemn_suspects()

    def count_anew(self) -> None:
        """The lane has committed what was judged so far."""
        self.given_up = 0

    def _was_parked_for_them(self) -> bool:
        """Whether the sink took records before these, and was parked for these. The run must be able to end."""
        return self._ledger.delivered > 1 and self._ledger.attempts > limits.UNEXPECTED_TRIES + 1

    def _condemn_suspects(self) -> None:
        for writer, record, error in self._suspects:
            self._dead_letter(writer, record, error)
        self._suspects.clear()

    def _dead_letter(self, writer: str, record: AnyRecord, error: BaseException) -> None:
        self._ledger.last_error = describe(error)
        self._dead_letters.add(writer, record, self._ledger.last_error)
        self.given_up += 1


def _broken(error: BaseException) -> SinkMisconfiguredError:
    return SinkMisconfiguredError(f"the sink fails for every record: {describe(error)}")
