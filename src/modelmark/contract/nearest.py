"""What somebody may have meant by a name that nothing has."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches
from itertools import islice
from typing import Final

#: Names are compared up to so many characters, and with so many others: each comparison costs their product.
MAX_LENGTH: Final = 64
MAX_KNOWN: Final = 500


def nearest(name: str, known: Collection[str], *, cutoff: float = 0.6) -> str | None:
    """The most similar of the first `MAX_KNOWN`; None where none is as similar as `cutoff`, from 0 to 1."""
    short = [other for other in islice(known, MAX_KNOWN) if len(other) <= MAX_LENGTH]
    found = get_close_matches(name[:MAX_LENGTH], short, n=1, cutoff=cutoff)
    return found[0] if found else None
