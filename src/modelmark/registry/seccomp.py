"""A seccomp filter for the child: the kernel itself refuses processes, sockets and opening anything for writing.

Runs in the child only. Written out as classic BPF, because it must need nothing but ctypes.
Source of the numbers: linux/seccomp.h, linux/bpf_common.h, asm/unistd_64.h and asm-generic/unistd.h.
"""

from __future__ import annotations

import ctypes
import platform
import struct
import sys
from typing import Final

_LOAD, _JUMP_EQUAL, _JUMP_SET, _JUMP_ABOVE, _RETURN = 0x20, 0x15, 0x45, 0x35, 0x06
_KILL, _ALLOW, _NOT_PERMITTED, _NO_SUCH_CALL = 0x80000000, 0x7FFF0000, 0x00050000 | 1, 0x00050000 | 38
_NUMBER, _ARCHITECTURE, _FIRST, _SECOND, _THIRD = 0, 4, 16, 24, 32  # offsets in struct seccomp_data
_THREAD: Final = 0x00010000  # CLONE_THREAD
_WRITES: Final = 0o1 | 0o2 | 0o100 | 0o1000 | 0o2000


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split()))


#: Machine -> (audit architecture, calls that kill, calls refused, open, openat, clone, calls that "do not exist").
_CALLS: Final = {
    "x86_64": (
        0xC000003E,
        # socket connect accept bind listen sendto sendmsg fork vfork execve ptrace process_vm_* execveat accept4 bpf
        # io_uring_*
        (41, 42, 43, 49, 50, 44, 46, 57, 58, 59, 101, 310, 311, 322, 288, 321, 425, 426, 427),
        # rename mkdir rmdir creat link unlink symlink chmod chown truncate, their -at forms, mount, memfd_create ...
        _numbers(
            "82 83 84 85 86 87 88 90 92 94 76 258 260 263 264 265 266 268 316 133 259 165 166 161"
            " 272 308 319 53 62 175 313 248 250 298 323"
        ),
        2,
        257,
        56,
        (435, 437),
    ),
    "aarch64": (
        0xC00000B7,
        (198, 203, 202, 200, 201, 206, 211, 221, 117, 270, 271, 281, 242, 280, 425, 426, 427),
        (34, 54, 37, 35, 36, 38, 53, 52, 55, 45, 276, 33, 40, 39, 51, 97, 268, 279, 199, 129, 105, 273, 217, 219, 241),
        None,
        56,
        220,
        (435, 437),
    ),
}


def install() -> bool:
    """Bind this thread and its later ones for ever. False where the kernel or the machine offers no seccomp."""
    if sys.platform != "linux" or platform.machine() not in _CALLS:
        return False
    program = _program(platform.machine())
    buffer = ctypes.create_string_buffer(program)
    # struct sock_fprog: the count, padding, the address.
    header = ctypes.create_string_buffer(struct.pack("@HxxxxxxQ", len(program) // 8, ctypes.addressof(buffer)))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS, without which the next needs root
    return bool(libc.prctl(22, 2, ctypes.c_void_p(ctypes.addressof(header)), 0, 0) == 0)  # PR_SET_SECCOMP, MODE_FILTER


def _program(machine: str) -> bytes:
    architecture, kill, refuse, opening, opening_at, clone, absent = _CALLS[machine]
    lines = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_JUMP_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        (_JUMP_ABOVE, 0, 1, 0x40000000),  # the x32 numbers name the same calls
        (_RETURN, 0, 0, _KILL),
    ]
    for numbers, answer in ((kill, _KILL), (refuse, _NOT_PERMITTED), (absent, _NO_SUCH_CALL)):
        for number in numbers:
            lines += [(_JUMP_EQUAL, 0, 1, number), (_RETURN, 0, 0, answer)]
    # A new thread is fine, a new process is not.
    lines += [(_JUMP_EQUAL, 0, 4, clone), (_LOAD, 0, 0, _FIRST), (_JUMP_SET, 1, 0, _THREAD)]
    lines += [(_RETURN, 0, 0, _KILL), (_RETURN, 0, 0, _ALLOW)]
    for opens, flags in ((opening, _SECOND), (opening_at, _THIRD)):
        if opens is not None:
            lines += [(_JUMP_EQUAL, 0, 4, opens), (_LOAD, 0, 0, flags), (_JUMP_SET, 0, 1, _WRITES)]
            lines += [(_RETURN, 0, 0, _NOT_PERMITTED), (_RETURN, 0, 0, _ALLOW)]
    lines.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("<HBBI", *line) for line in lines)
