"""The ids of predictions: they sort by time and say how many rows there are, so that a label for no row is known at once."""

from __future__ import annotations

import re
from typing import Final

_FORM: Final = re.compile("[0-9a-f]{32}")
_MARK: Final = "1"  # before it stood the first of twelve digits of a counter, which was always 0
_MOST_ROWS: Final = 0xFFFF


class PredictionIds:
    """Ids of 32 hexadecimal digits: 48 bits milliseconds, 32 bits writer, 4 bits mark, 28 bits counter, 16 bits rows (0: they
    are not said)."""

    def __init__(self, writer: str) -> None:
        self._middle = writer[:8] + _MARK
        self._count = 0

    def next(self, now_ns: int, rows: int) -> str:
        self._count = (self._count + 1) & 0xFFFFFFF
        return f"{now_ns // 1_000_000:012x}{self._middle}{self._count:07x}{rows if rows <= _MOST_ROWS else 0:04x}"


def is_prediction_id(id: str) -> bool:
    return _FORM.fullmatch(id) is not None


def rows_of(id: str) -> int | None:
    """How many rows a prediction has, by its id; None where that does not say, as those of earlier releases do not.

    >>> rows_of(PredictionIds("ab" * 16).next(1_700_000_000_000_000_000, 3))
    3
    """
    return int(id[28:], 16) or None if id[20] == _MARK else None
