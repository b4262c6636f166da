"""What a worker and the process of a model say to each other: length (uint32, little-endian), then msgpack.

Neither side trusts the other's bytes further than their form. The process of a model may have no calls but `read` and `write`.
"""

from __future__ import annotations

import os
import socket
import struct
from typing import Any, Final

import msgspec

from modelmark.domain.version import Signature

LENGTH: Final = struct.Struct("<I")


class Build(msgspec.Struct, array_like=True):
    """The first frame: what to build. files: the model's, by path, the main one first."""

    flavour: str
    files: list[tuple[str, bytes]]
    signature: Signature
    numeric: list[str]
    textual: list[str]


class Run(msgspec.Struct, array_like=True):
    """Rows to answer. numbers: float64 (rows, numeric), NaN for null; texts: row-major."""

    rows: int
    numbers: bytes
    texts: list[str]


class Told(msgspec.Struct, array_like=True):
    """scores: float64, of that shape. error: what was raised instead; empty when nothing was."""

    shape: list[int]
    scores: bytes
    error: str = ""


def packed(what: Any) -> bytes:
    data = msgspec.msgpack.encode(what)
    return LENGTH.pack(len(data)) + data


def write(descriptor: int, what: Any) -> None:
    """Raises OSError when nobody is there."""
    left = memoryview(packed(what))
    while left:
        left = left[os.write(descriptor, left) :]


def receive(end: socket.socket) -> bytes:
    """One frame's msgpack, at the end that waits with a limit. Raises OSError: TimeoutError when it takes too long,
    ConnectionResetError when the other end is closed."""
    (length,) = LENGTH.unpack(_all_of(end, LENGTH.size))
    return _all_of(end, length)


def _all_of(end: socket.socket, count: int) -> bytes:
    found = bytearray()
    while len(found) < count:
        piece = end.recv(min(count - len(found), 1 << 20))
        if not piece:
            raise ConnectionResetError("it ended")
        found += piece
    return bytes(found)


def read(descriptor: int) -> bytes:
    """One frame's msgpack. Raises ConnectionResetError when the other end is closed."""
    (length,) = LENGTH.unpack(_exactly(descriptor, LENGTH.size))
    return _exactly(descriptor, length)


def _exactly(descriptor: int, count: int) -> bytes:
    found = bytearray()
    while len(found) < count:
        piece = os.read(descriptor, min(count - len(found), 1 << 20))
        if not piece:
            raise ConnectionResetError
        found += piece
    return bytes(found)
