"""Which records a sink will never take. They are kept as dead letters, so that the others arrive.

A record that the sink rejects is bad. One for which it raises an unexpected error is a *suspect*: it is bad if the sink
takes others, and the sink is broken if it fails for all. Either kind is tried a second time, once the sink has taken
another record, before it is given up.
"""

from __future__ import annotations

from unitrack import limits
from unitrack.delivery.lane.batch import Batch
from unitrack.delivery.lane.dead_letters import DeadLetters
from unitrack.delivery.lane.failures import describe
from unitrack.delivery.ledger import LockedLedger
from unitrack.errors import SinkMisconfiguredError


class Verdicts:
    """The verdicts on what is delivered after the committed position. After a failure the lane makes a new one."""

    def __init__(self, ledger: LockedLedger, dead_letters: DeadLetters) -> None:
        self._ledger = ledger
        self._dead_letters = dead_letters
        self._suspects: list[tuple[Batch, BaseException]] = []
        self._second_tries: list[Batch] = []
        self._sink_works = False
        self.given_up: list[Batch] = []
        """Dead letters since the lane last committed, each a batch of one record."""
        self.was_wrong = False
        """Whether the sink took a record the second time, and so has it later than those that came after it."""

    def note_delivered(self, batch: Batch) -> None:
        """Note that the sink has taken a batch, and so is not broken."""
        self._sink_works = True
        self._condemn_suspects()
        self.was_wrong = self.was_wrong or batch.is_second_try

    def reject(self, batch: Batch, error: BaseException, *, certain: bool) -> tuple[Batch, ...]:
        """Return what to deliver in place of a batch that the sink has not taken.

        `certain`: the sink said that a record is bad. Raises `SinkMisconfiguredError` if it has failed for many
        in a row.
        """
        if len(batch.records) > 1:
            return batch.halves()
        if batch.is_second_try:
            self._give_up(batch, error)
        elif certain:
            self._try_again_later(batch)
        else:
            self._suspects.append((batch, error))
            if len(self._suspects) >= limits.MAX_CONSECUTIVE_REJECTS:
                raise _broken(error)
        return ()

    def settle(self, *, is_last: bool) -> list[Batch]:
        """Decide at the end of a window whether the suspects are bad or the sink is; return what to try once more.

        `is_last`: no other record will come. Raises `SinkMisconfiguredError` if the sink is broken.
        """
        if self._suspects and not self._sink_works and not (is_last and self._was_parked_for_them()):
            raise _broken(self._suspects[0][1])
        self._condemn_suspects()
        again, self._second_tries = self._second_tries, []
        return again

    def count_anew(self) -> None:
        """Count from here on: the lane has committed the verdicts so far."""
        self.given_up = []
        self.was_wrong = False

    def _was_parked_for_them(self) -> bool:
        """Whether the sink took records before these, and was parked because of these. The run must be able to end."""
        ledger = self._ledger.current
        return ledger.delivered > 1 and ledger.attempts > limits.UNEXPECTED_TRIES + 1

    def _condemn_suspects(self) -> None:
        for batch, _ in self._suspects:
            self._try_again_later(batch)
        self._suspects.clear()

    def _try_again_later(self, batch: Batch) -> None:
        batch.is_second_try = True
        self._second_tries.append(batch)

    def _give_up(self, batch: Batch, error: BaseException) -> None:
        reason = describe(error)
        self._ledger.update(last_error=reason)
        if batch.origin == "dead":
            return  # it stays a dead letter
        if (batch.writer, batch.records[0]) not in self._dead_letters:
            self._dead_letters.add(batch.writer, batch.records[0], reason)
        self.given_up.append(batch)


def _broken(error: BaseException) -> SinkMisconfiguredError:
    return SinkMisconfiguredError(f"the sink fails for every record: {describe(error)}")
