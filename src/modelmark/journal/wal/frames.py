"""The bytes of a journal segment: one header, then frames, then a seal.

Header (80 bytes): magic, format version, flags, writer id, segment number, first sequence, previous chain link, CRC-32.
Frame (52 bytes + payload): mark, payload length, CRC-32 over everything else, sequence number, chain link, payload.
The chain runs through header and payloads of a writer's segments in order, so nothing can be changed, dropped or
moved unseen between two links that are known; the CRC tells damage at once and finds where sound frames go on.
It begins with a seed that follows from the writer's id, which no caller knows: bytes in a caller's inputs that look like
a frame are never taken for one, even where the frame around them is damaged. Format 1 had no seed.
"""

from __future__ import annotations

import re
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
FORMAT: Final = 2
FORMATS: Final = (1, FORMAT)
RECORD: Final = b"\xf5MR1"
SEAL: Final = b"\xf5MS1"
_HEADER: Final = struct.Struct("<8sHH16sQQ32s")
_CRC: Final = struct.Struct("<I")
_FRAME: Final = struct.Struct("<4sIIQ32s")
_TAIL: Final = struct.Struct("<Q32s")
HEADER_SIZE: Final = _HEADER.size + _CRC.size
FRAME_SIZE: Final = _FRAME.size
MAX_PAYLOAD: Final = 64 * 1024 * 1024
UNKNOWN_FORMAT: Final = "UNKNOWN_FORMAT"
BROKEN_CHAIN: Final = "the hash chain is broken"
WRONG_SEAL: Final = "the seal counts other records"

encode: Final = msgspec.msgpack.Encoder().encode
decode: Final = msgspec.msgpack.Decoder(Record).decode


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
    form: int = FORMAT

    def to_bytes(self) -> bytes:
        body = _HEADER.pack(MAGIC, self.form, 0, bytes.fromhex(self.writer), self.segment, self.first, self.previous)
        return body + _CRC.pack(crc32(body))

    def link(self) -> bytes:
        return link(self.previous, self.to_bytes())

    def seed(self) -> int:
        """What the CRC of every frame of this segment begins with."""
        return crc32(self.link()) if self.form > 1 else 0


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
    """A stretch of bytes that is not what was written. offset: where it begins; end: where sound frames go on, or the
    end of the file. missing: records and seal that are not there, None when nobody can tell because nothing follows.
    torn: no sound frame follows, as after a crash in mid-write. changed: the frame is
    sound and the chain is not, so that somebody rewrote it; nothing after it is looked at.
    """

    offset: int
    end: int
    reason: str
    missing: int | None = None
    torn: bool = False
    changed: bool = False


def frame(previous: bytes, sequence: int, payload: bytes, mark: bytes = RECORD, *, seed: int) -> tuple[bytes, bytes]:
    """The frame's bytes and its link."""
    ours = link(previous, payload)
    tail = _TAIL.pack(sequence, ours)
    crc = crc32(payload, crc32(tail, crc32(mark, seed)))
    return _FRAME.pack(mark, len(payload), crc, sequence, ours) + payload, ours


def read_header(data: bytes) -> Header | None:
    """None when the header is cut or damaged. Raises Tampered for a format this release does not know."""
    if len(data) < HEADER_SIZE or _CRC.unpack_from(data, _HEADER.size)[0] != crc32(data[: _HEADER.size]):
        return None
    magic, form, flags, writer, segment, first, previous = _HEADER.unpack_from(data)
    if magic != MAGIC:
        return None
    if form not in FORMATS:
        known = " and ".join(map(str, FORMATS))
        raise Tampered(f"the segment has format {form}", code=UNKNOWN_FORMAT, limit=f"this release reads {known}")
    if flags:
        return None  # none is written yet, and the link does not cover them
    return Header(writer.hex(), segment, first, previous, form)


def walk(data: bytes, header: Header) -> Iterator[Frame | Damage]:
    """Every frame after the header, verified, and each stretch of damage between them.

    After damage a frame counts again when its CRC holds and its sequence is not behind; what follows it is held to the
    chain again. So nothing is counted twice, and what is missing can be counted.
    """
    seed, offset, sequence = header.seed(), HEADER_SIZE, header.first
    previous: bytes | None = header.link()
    while offset < len(data):
        found = _one(data, offset, seed)
        reason = found if isinstance(found, str) else _misplaced(found, header, sequence, previous, data)
        if reason is None and isinstance(found, Frame):
            yield found
            offset, sequence, previous = found.end, sequence + 1, found.link
            if isinstance(found.record, Seal):
                if offset != len(data):
                    yield Damage(offset, len(data), "bytes after the seal", missing=0)
                return
            continue
        if reason in (BROKEN_CHAIN, WRONG_SEAL):
            yield Damage(offset, len(data), reason, changed=True)
            return
        torn, following = _resume(data, offset + 1, seed, sequence)
        if following is None:
            yield Damage(offset, len(data), str(reason), torn=torn and isinstance(found, str))
            return
        yield Damage(offset, following.offset, str(reason), following.sequence - sequence)
        previous = previous if following.sequence == sequence else None
        offset, sequence = following.offset, following.sequence


def _misplaced(found: Frame, header: Header, sequence: int, previous: bytes | None, data: bytes) -> str | None:
    """Why a frame that is sound by itself does not belong where it stands; None when it does. previous: the link before
    it, None where that is lost."""
    if found.sequence != sequence:
        return f"sequence {found.sequence} where {sequence} belongs"
    if previous is not None and found.link != link(previous, data[found.offset + FRAME_SIZE : found.end]):
        return BROKEN_CHAIN
    seal = found.record
    if isinstance(seal, Seal) and (seal.first != header.first or seal.records != sequence - header.first):
        return WRONG_SEAL
    return None


def _one(data: bytes, offset: int, seed: int) -> Frame | str:
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
    if crc32(payload, crc32(_TAIL.pack(sequence, ours), crc32(mark, seed))) != crc:
        return "the checksum differs"
    try:
        record = _decode_seal(payload) if mark == SEAL else decode(payload)
    except msgspec.DecodeError:
        return "the record has an unknown form"
    return Frame(offset, end, sequence, ours, record)


_MARKS: Final = re.compile(re.escape(RECORD) + b"|" + re.escape(SEAL))


def _resume(data: bytes, offset: int, seed: int, sequence: int) -> tuple[bool, Frame | None]:
    """Whether no sound frame follows at all, and the first that follows and is not behind."""
    torn = True
    while found := _MARKS.search(data, offset):
        one = _one(data, found.start(), seed)
        if isinstance(one, Frame):
            torn = False
            if one.sequence >= sequence:
                return False, one
        offset = one.end if isinstance(one, Frame) else found.start() + 1
    return torn, None
