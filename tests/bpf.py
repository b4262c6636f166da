"""A classic BPF machine, as far as seccomp filters go: what the kernel would answer to a call, on any architecture."""

import struct

LOAD, JUMP_EQUAL, JUMP_ABOVE, JUMP_SET, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06


def answer(program: bytes, architecture: int, number: int, arguments=()) -> int:
    """The value the filter returns for one call. Every instruction but these five is a fault of the filter."""
    padded = [*arguments, *[0] * (6 - len(arguments))]
    data = struct.pack("<IIQ6Q", number, architecture, 0, *padded)
    at = accumulator = 0
    while True:
        code, yes, no, value = struct.unpack_from("<HBBI", program, 8 * at)
        at += 1
        if code == LOAD:
            (accumulator,) = struct.unpack_from("<I", data, value)
        elif code == RETURN:
            return value
        else:
            tests = {
                JUMP_EQUAL: accumulator == value,
                JUMP_ABOVE: accumulator >= value,
                JUMP_SET: bool(accumulator & value),
            }
            at += yes if tests[code] else no
