"""The ids of predictions: they sort by time and say how many rows there are, so that a label for no row is known at once."""

from __future__ import annotations

import re
from typing import Final

_FORM: Final = re.compile("[0-9a-f]{32}")
_MARK: Final = "1"  # before it stood the first of twelve digits of a counter, which was always 0
_MOST_ROWS: Final = 0xFFFF
_AHEAD: Final = 86_400_000  # milliseconds by which another machine's clock may be ahead


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


def may_be_given(id: str, now_ns: int) -> bool:
    """Whether an id can have been given by now. It says when it was and bears our mark, or the 0 of earlier releases; of ids
    that somebody made up one in a thousand seems to be ours.

    >>> now = 1_700_000_000_000_000_000
    >>> may_be_given(PredictionIds("ab" * 16).next(now, 3), now), may_be_given("deadbeef" * 4, now)
    (True, False)
    """
    return id[20] in (_MARK, "0") and int(id[:12], 16) <= now_ns // 1_000_000 + _AHEAD


def rows_of(id: str) -> int | None:
    """How many rows a prediction has, by its id; None where that does not say, as those of earlier releases do not.

    >>> rows_of(PredictionIds("ab" * 16).next(1_700_000_000_000_000_000, 3))
    3
    """
    return int(id[28:], 16) or None if id[20] == _MARK else None
