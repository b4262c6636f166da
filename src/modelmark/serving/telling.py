"""Lines in the log of a serving process."""

from __future__ import annotations

import sys
from contextlib import suppress

from modelmark.domain.printable import one_line


def tell(text: object) -> None:
    """One line on standard error. Nothing is raised where nobody reads it, or the disk it goes to is full."""
    with suppress(OSError, ValueError):
        print(one_line(text), file=sys.stderr, flush=True)  # noqa: T201
