"""Which records a sink will never take. Those are kept as dead letters, so that the others arrive.

A record that the sink rejects is bad. One that makes it raise what nobody expected is a *suspect*: it is bad if the
sink takes others, and the sink is broken if it fails for all. Either is tried a second time, once the sink is known to
be well, before it is given up.
"""

from __future__ import annotations

from unitrack import limits
from unitrack.delivery.batch import Batch
from unitrack.delivery.failures import describe
from unitrack.delivery.ledger import Ledger
from unitrack.delivery.letters import DeadLetters
from unitrack.errors import SinkMisconfiguredError


class Judgement:
    """Judges what is delivered after the committed position. After a failure the lane makes a new one."""

    def __init__(self, ledger: Ledger, dead_letters: DeadLetters) -> None:
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
        """The sink has taken a batch: then it is not broken."""
        self._sink_works = True
        self._condemn_suspects()
        self.was_wrong = self.was_wrong or batch.is_second_try

    def reject(self, batch: Batch, error: BaseException, *, certain: bool) -> tuple[Batch, ...]:
        """The sink has not taken a batch; return what to deliver in its place. `certain`: it said that a record is bad.

        Raises `SinkMisconfiguredError` if it has failed for many in a row.
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
        """Decide whether the suspects are bad or the sink is, at the end of a window; return what to try once more.

        `is_last`: no other record will come to tell. Raises `SinkMisconfiguredError` if it is the sink.
        """
        if self._suspects and not self._sink_works and not (is_last and self._was_parked_for_them()):
            raise _broken(self._suspects[0][1])
        self._condemn_suspects()
        again, self._second_tries = self._second_tries, []
        return again

    def count_anew(self) -> None:
        """The lane has committed what was judged so far."""
        self.given_up = []
        self.was_wrong = False

    def _was_parked_for_them(self) -> bool:
        """Whether the sink took records before these, and was parked for these. The run must be able to end."""
        return self._ledger.delivered > 1 and self._ledger.attempts > limits.UNEXPECTED_TRIES + 1

    def _condemn_suspects(self) -> None:
        for batch, _ in self._suspects:
            self._try_again_later(batch)
        self._suspects.clear()

    def _try_again_later(self, batch: Batch) -> None:
        batch.is_second_try = True
        self._second_tries.append(batch)

    def _give_up(self, batch: Batch, error: BaseException) -> None:
        self._ledger.last_error = describe(error)
        if batch.origin == "dead":
            return  # it stays what it is
        if (batch.writer, batch.records[0]) not in self._dead_letters:
            self._dead_letters.add(batch.writer, batch.records[0], self._ledger.last_error)
        self.given_up.append(batch)


def _broken(error: BaseException) -> SinkMisconfiguredError:
    return SinkMisconfiguredError(f"the sink fails for every record: {describe(error)}")
