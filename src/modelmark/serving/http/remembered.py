"""The head that a connection's last request had, all but its Content-Length: most clients send the same again and again."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Self

#: Longest head that is remembered, in bytes.
LONGEST: Final = 2048
#: Digits of a length that is read here; the parser reads longer ones.
DIGITS: Final = 9
_LENGTH: Final = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)\r\n", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class RememberedHead:
    """What these bytes mean at the start of a message is known, so that the parser need not see them again.

    before, after: what stands on either side of the digits of Content-Length; `after` ends the head.
    """

    method: bytes
    before: bytes
    after: bytes

    @classmethod
    def of(cls, head: bytes, headers: int, method: bytes) -> Self | None:
        """None for one that is not to be remembered. head: what came before a body, of so many headers.

        A head has one line end per header, one for the request line and one for the blank line. With just so many, and
        one of them last, it is the head of one request alone.
        """
        if len(head) > LONGEST or not head.endswith(b"\r\n\r\n") or head.count(b"\n") != headers + 2:
            return None
        found = _LENGTH.search(head)
        return None if found is None else cls(method, head[: found.start(1)], head[found.end(1) :])

    def body(self, data: bytes) -> bytes | None:
        """The body, when data is one whole request with this head; None when it must be parsed."""
        before, after = self.before, self.after
        if not data.startswith(before):
            return None
        at = len(before)
        end = data.find(b"\r", at, at + DIGITS + 1)
        digits = data[at:end]
        if end < 0 or not digits.isdigit() or not data.startswith(after, end):
            return None
        begin = end + len(after)
        return data[begin:] if len(data) - begin == int(digits) else None
