"""A digest names exact bytes."""

from __future__ import annotations

import re
from typing import Final

_FORM: Final = re.compile(r"sha256:[0-9a-f]{64}")


class Digest(str):
    """`sha256:` and 64 lower-case hexadecimal digits.

    >>> Digest("sha256:" + "0" * 64).short
    '000000000000'
    >>> Digest("sha256:0")
    Traceback (most recent call last):
        ...
    ValueError: not a sha256 digest: 'sha256:0'
    """

    __slots__ = ()

    def __new__(cls, value: str) -> Digest:
        if not _FORM.fullmatch(value):
            raise ValueError(f"not a sha256 digest: {value!r}")
        return super().__new__(cls, value)

    @property
    def hex(self) -> str:
        return self[7:]

    @property
    def short(self) -> str:
        """The first twelve digits: enough to tell versions apart by eye."""
        return self[7:19]
