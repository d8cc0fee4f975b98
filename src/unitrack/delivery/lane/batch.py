"""What a sink receives in one call, and what a lane commits at once."""

from __future__ import annotations

from typing import Literal

import msgspec

from unitrack import limits
from unitrack.records import AnyRecord, Artifact

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
        """Return the two halves of a batch that was rejected."""
        middle = len(self.records) // 2
        first, second = self.records[:middle], self.records[middle:]
        return msgspec.structs.replace(self, records=first), msgspec.structs.replace(self, records=second)

    def sealed(self) -> bytes:
        """Return the content of the records, from which `restore` makes them anew."""
        return _encode(self.records)

    def restore(self, sealed: bytes) -> None:
        """Undo what a sink or its middleware has changed in the records, before they are delivered again."""
        self.records[:] = _decode(sealed)


class Window:
    """The batches of one window. `in_order`: as logged; else records of one kind go together."""

    def __init__(self, writer: str, *, in_order: bool) -> None:
        self._writer = writer
        self._in_order = in_order
        self._of_kind: dict[type[AnyRecord], Batch] = {}
        self._artifacts = self._artifact_bytes = 0
        self.batches: list[Batch] = []

    def add(self, record: AnyRecord) -> None:
        """Put a record into the batch that it belongs to."""
        batch = self._of_kind.get(type(record))
        if batch is None:
            if self._in_order:
                self._of_kind.clear()
            batch = self._of_kind[type(record)] = Batch(self._writer, [])
            self.batches.append(batch)
        batch.records.append(record)
        if isinstance(record, Artifact):
            self._artifacts += 1
            self._artifact_bytes += record.size

    def is_full(self) -> bool:
        """Whether what is in it is as much as may have to be sent again after a failure."""
        return (
            len(self.batches) >= limits.WINDOW_CALLS
            or self._artifacts >= limits.WINDOW_ARTIFACTS
            or self._artifact_bytes >= limits.WINDOW_ARTIFACT_BYTES
        )
