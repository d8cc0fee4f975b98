"""The framing of event files, TFRecord (tensorflow/core/lib/io/record_writer.h).

A frame is `length: uint64 LE, masked crc32c of the length, payload, masked crc32c of the payload`.
"""

from __future__ import annotations

import struct

import google_crc32c

HEADER = struct.Struct("<QI")
"""The length of the payload, and the checksum of the length."""
LENGTH = struct.Struct("<Q")
CRC = struct.Struct("<I")
MASK_DELTA = 0xA282EAD8


def masked_crc(data: bytes) -> int:
    """Return the checksum of `data` in the form that a frame holds."""
    crc: int = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + MASK_DELTA) & 0xFFFFFFFF


def frame(payload: bytes) -> bytes:
    """Return `payload` as one frame."""
    length = LENGTH.pack(len(payload))
    return b"".join((length, CRC.pack(masked_crc(length)), payload, CRC.pack(masked_crc(payload))))
