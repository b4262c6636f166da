"""When what is asked about happened: `at` in a native body, the header `x-modelmark-at` in every protocol."""

from __future__ import annotations

import time
from typing import Final

from modelmark.domain.predictions.event_time import OLDEST, event_time

AT: Final = b"x-modelmark-at"


def happened(text: object) -> bytes:
    """As the journal has it: int64 little-endian, nanoseconds. text: RFC 3339, a header's in bytes. Raises Rejected (BAD_TIME)."""
    if isinstance(text, bytes):
        found = event_time(text.decode("latin-1"), time.time_ns(), oldest=OLDEST, field=AT.decode())
    else:
        found = event_time(text, time.time_ns(), oldest=OLDEST)
    return found.to_bytes(8, "little", signed=True)
