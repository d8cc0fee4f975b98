"""The unit that a sink receives in one call."""

from __future__ import annotations

from typing import Literal

import msgspec

from unitrack.records import AnyRecord

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list[AnyRecord]).decode


class Batch(msgspec.Struct):
    """Records of one kind from one writer, in the order in which they were logged."""

    writer: str
    records: list[AnyRecord]
    origin: Literal["journal", "waiting", "dead"] = "journal"
    """Where it comes from: the journal, the artifacts that wait for their store, or the dead letters."""
    is_second_try: bool = False
    """Whether the sink has refused it once in this window."""

    def halves(self) -> tuple[Batch, Batch]:
        """The two halves of a batch that was rejected."""
        middle = len(self.records) // 2
        first, second = self.records[:middle], self.records[middle:]
        return msgspec.structs.replace(self, records=first), msgspec.structs.replace(self, records=second)

    def sealed(self) -> bytes:
        """The content of the records, from which `restore` makes them anew."""
        return _encode(self.records)

    def restore(self, sealed: bytes) -> None:
        """Undo what a sink or its middleware has changed in the records, before they are delivered again."""
        self.records[:] = _decode(sealed)
