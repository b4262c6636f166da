"""Fields that came after a format was first written."""

from __future__ import annotations

from dataclasses import field
from typing import Any, Final

LATER: Final = "later"


def later(*, default: Any) -> Any:
    """A dataclass field left out of the plain form while it holds its default.

    So what was written, signed and digested before the field existed keeps its text and its digest.
    """
    return field(default=default, metadata={LATER: True})
