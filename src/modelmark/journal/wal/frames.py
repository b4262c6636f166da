"""The bytes of a journal segment: one header, then frames, then a seal.

Header (80 bytes): magic, format version, flags, writer id, segment number, first sequence, previous chain link, CRC-32.
Frame (52 bytes + payload): mark, payload length, CRC-32 over everything else, sequence number, chain link, payload.
The chain runs through header and payloads of a writer's segments in order, so nothing can be changed, dropped or
moved unseen between two links that are known; the CRC tells damage at once and finds where sound frames go on.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from zlib import crc32

import msgspec

from modelmark.domain.errors import Tampered
from modelmark.journal.wal.records import Record
from modelmark.seal.chain import START, link

MAGIC: Final = b"MMRKWAL\n"
FORMAT: Final = 1
RECORD: Final = b"\xf5MR1"
SEAL: Final = b"\xf5MS1"
_HEADER: Final = struct.Struct("<8sHH16sQQ32s")
_CRC: Final = struct.Struct("<I")
_FRAME: Final = struct.Struct("<4sIIQ32s")
_TAIL: Final = struct.Struct("<Q32s")
HEADER_SIZE: Final = _HEADER.size + _CRC.size
FRAME_SIZE: Final = _FRAME.size
MAX_PAYLOAD: Final = 64 * 1024 * 1024

encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Record).decode


class Seal(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """The last frame of a segment: how many records it holds, and the sequence of the first."""

    records: int
    first: int


_decode_seal: Final = msgspec.msgpack.Decoder(Seal).decode


@dataclass(frozen=True, slots=True)
class Header:
    """writer: 32 hexadecimal digits. previous: the last link of the segment before, `START` for the first."""

    writer: str
    segment: int
    first: int
    previous: bytes = START

    def to_bytes(self) -> bytes:
        body = _HEADER.pack(MAGIC, FORMAT, 0, bytes.fromhex(self.writer), self.segment, self.first, self.previous)
        return body + _CRC.pack(crc32(body))

    def link(self) -> bytes:
        return link(self.previous, self.to_bytes())


@dataclass(frozen=True, slots=True)
class Frame:
    """offset: where it begins in the file; end: where the next one does."""

    offset: int
    end: int
    sequence: int
    link: bytes
    record: Record | Seal


@dataclass(frozen=True, slots=True)
class Damage:
    """The first byte that is not what was written. torn: nothing sound follows, as after a crash in mid-write."""

    offset: int
    reason: str
    torn: bool


def frame(previous: bytes, sequence: int, payload: bytes, mark: bytes = RECORD) -> tuple[bytes, bytes]:
    """The frame's bytes and its link."""
    ours = link(previous, payload)
    tail = _TAIL.pack(sequence, ours)
    crc = crc32(payload, crc32(tail, crc32(mark)))
    return _FRAME.pack(mark, len(payload), crc, sequence, ours) + payload, ours


def read_header(data: bytes) -> Header | None:
    """None when the header is cut or damaged. Raises Tampered for a format this release does not know."""
    if len(data) < HEADER_SIZE or _CRC.unpack_from(data, _HEADER.size)[0] != crc32(data[: _HEADER.size]):
        return None
    magic, form, flags, writer, segment, first, previous = _HEADER.unpack_from(data)
    if magic != MAGIC:
        return None
    if form != FORMAT:
        raise Tampered(f"the segment has format {form}", code="UNKNOWN_FORMAT", limit=f"this release reads {FORMAT}")
    if flags:
        return None  # none is written yet, and the link does not cover them
    return Header(writer.hex(), segment, first, previous)


def walk(data: bytes, header: Header) -> Iterator[Frame | Damage]:
    """Every frame after the header, verified; a Damage ends it early."""
    offset, sequence, previous = HEADER_SIZE, header.first, header.link()
    while offset < len(data):
        found = _one(data, offset)
        if isinstance(found, str):
            yield Damage(offset, found, torn=not _sound_after(data, offset + 1))
            return
        if found.sequence != sequence:
            yield Damage(offset, f"sequence {found.sequence} where {sequence} belongs", torn=False)
            return
        payload = data[offset + FRAME_SIZE : found.end]
        if found.link != link(previous, payload):
            yield Damage(offset, "the hash chain is broken", torn=False)
            return
        yield found
        if isinstance(found.record, Seal):
            if found.end != len(data):
                yield Damage(found.end, "bytes after the seal", torn=False)
            return
        offset, sequence, previous = found.end, sequence + 1, found.link


def _one(data: bytes, offset: int) -> Frame | str:
    """The frame at an offset by its own CRC, or why there is none."""
    if len(data) - offset < FRAME_SIZE:
        return "the frame is cut short"
    mark, length, crc, sequence, ours = _FRAME.unpack_from(data, offset)
    if mark not in (RECORD, SEAL) or length > MAX_PAYLOAD:
        return "no frame begins here"
    end = offset + FRAME_SIZE + length
    if end > len(data):
        return "the frame is cut short"
    payload = data[offset + FRAME_SIZE : end]
    if crc32(payload, crc32(_TAIL.pack(sequence, ours), crc32(mark))) != crc:
        return "the checksum differs"
    try:
        record = _decode_seal(payload) if mark == SEAL else _decode(payload)
    except msgspec.DecodeError:
        return "the record has an unknown form"
    return Frame(offset, end, sequence, ours, record)


def _sound_after(data: bytes, offset: int) -> bool:
    for mark in (RECORD, SEAL):
        at = data.find(mark, offset)
        while at >= 0:
            if isinstance(_one(data, at), Frame):
                return True
            at = data.find(mark, at + 1)
    return False
