"""Installs a stage's list of system calls in the kernel, as a seccomp filter. Runs in the child only.

Written out as classic BPF, because it must need nothing but ctypes. A filter binds for ever, and a second one can only
take away. Source of the numbers: linux/seccomp.h and linux/bpf_common.h.
"""

from __future__ import annotations

import ctypes
import platform
import struct
import sys
from collections.abc import Iterator
from typing import Final

from modelmark.registry.syscalls import ARCHITECTURES, NUMBERS, Argument, Stage

LOAD, JUMP_EQUAL, JUMP_SET, JUMP_ABOVE, RETURN = 0x20, 0x15, 0x45, 0x35, 0x06
KILL, ALLOW, NOT_PERMITTED, NO_SUCH_CALL = 0x80000000, 0x7FFF0000, 0x00050000 | 1, 0x00050000 | 38
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data
_X32: Final = 0x40000000  # the x32 numbers name the same calls
_FILTER: Final = 2  # SECCOMP_MODE_FILTER

Line = tuple[int, int, int, int]


def install(stage: Stage) -> bool:
    """Bind this thread and its later ones for ever. False where the kernel or the machine offers no seccomp."""
    if sys.platform != "linux" or platform.machine() not in NUMBERS:
        return False
    code = program(stage, platform.machine())
    buffer = ctypes.create_string_buffer(code)
    # struct sock_fprog: the count, padding, the address.
    header = ctypes.create_string_buffer(struct.pack("@HxxxxxxQ", len(code) // 8, ctypes.addressof(buffer)))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS, without which the next needs root
    where = ctypes.c_void_p(ctypes.addressof(header))
    return bool(libc.prctl(22, _FILTER, where, 0, 0) == 0)  # PR_SET_SECCOMP


def program(stage: Stage, machine: str) -> bytes:
    """The filter as struct sock_filter after struct sock_filter."""
    return b"".join(struct.pack("<HBBI", *line) for line in _lines(stage, machine))


def _lines(stage: Stage, machine: str) -> Iterator[Line]:
    numbers = NUMBERS[machine]
    yield from [(LOAD, 0, 0, _ARCHITECTURE), (JUMP_EQUAL, 1, 0, ARCHITECTURES[machine]), (RETURN, 0, 0, KILL)]
    yield from [(LOAD, 0, 0, _NUMBER), (JUMP_ABOVE, 0, 1, _X32), (RETURN, 0, 0, KILL)]
    for name in sorted(stage.plain & numbers.keys(), key=numbers.__getitem__):
        yield from [(JUMP_EQUAL, 0, 1, numbers[name]), (RETURN, 0, 0, ALLOW)]
    for name, arguments in stage.checked.items():
        if name in numbers:
            refused = KILL if name in stage.deadly else NOT_PERMITTED
            block = [line for argument in arguments for line in _check(argument, refused)]
            yield from [(JUMP_EQUAL, 0, len(block) + 1, numbers[name]), *block, (RETURN, 0, 0, ALLOW)]
    for names, answer in ((stage.deadly - stage.checked.keys(), KILL), (stage.absent, NO_SUCH_CALL)):
        for name in sorted(names & numbers.keys()):
            yield from [(JUMP_EQUAL, 0, 1, numbers[name]), (RETURN, 0, 0, answer)]
    yield (RETURN, 0, 0, NOT_PERMITTED)


def _check(argument: Argument, refused: int) -> Iterator[Line]:
    """Falls through when the argument is as it must be; returns otherwise. Little-endian: the low half comes first."""
    low = _ARGUMENTS + 8 * argument.place
    yield (LOAD, 0, 0, low)
    if argument.without:
        yield from [(JUMP_SET, 0, 1, argument.without), (RETURN, 0, 0, refused)]
    if argument.with_any:
        yield from [(JUMP_SET, 1, 0, argument.with_any), (RETURN, 0, 0, refused)]
    if argument.one_of:
        for left, value in zip(range(len(argument.one_of), 0, -1), argument.one_of, strict=True):
            yield (JUMP_EQUAL, left, 0, value)
        yield (RETURN, 0, 0, refused)
    if argument.null:
        yield from [(JUMP_EQUAL, 1, 0, 0), (RETURN, 0, 0, refused)]
        yield from [(LOAD, 0, 0, low + 4), (JUMP_EQUAL, 1, 0, 0), (RETURN, 0, 0, refused)]
