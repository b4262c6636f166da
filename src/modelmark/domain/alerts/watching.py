"""Whether the steward lives, as others can see: it cannot tell of its own death.

The steward writes the time of each of its steps as that of one file, which costs nothing and works on a full disk, too.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import Final

from modelmark.domain.workspace import Workspace

#: After so many seconds the steward is missed: two looks at the default interval.
MISSED: Final = 120.0


def watched_now(workspace: Workspace) -> None:
    """The steward has just done a step."""
    path = workspace.runtime / "steward"
    with suppress(OSError):  # what is wrong with the disk is told otherwise
        path.parent.mkdir(exist_ok=True)
        path.touch(mode=0o600)


def unwatched_for(workspace: Workspace) -> float | None:
    """Seconds since the steward's last step; None where none ever ran."""
    try:
        last = os.stat(workspace.runtime / "steward").st_mtime
    except OSError:
        return None
    return max(0.0, time.time() - last)


def unwatched(workspace: Workspace) -> str | None:
    """One sentence, without its end, once the steward is missed; None while it works, and where none ever did."""
    seconds = unwatched_for(workspace)
    if seconds is None or seconds < MISSED:
        return None
    long = f"{seconds / 60:,.0f} minutes"
    return f"nobody watches: the steward has done nothing for {long}, so no alert can be raised; start it: modelmark steward"
