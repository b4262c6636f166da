"""The settings of this process: one frozen object, read once."""

from __future__ import annotations

import getpass
import os
from collections.abc import Mapping
from typing import Any

from modelmark.domain.settings import Settings
from modelmark.domain.workspace import require_delta


def configured(environ: Mapping[str, str] = os.environ, **given: Any) -> Settings:
    """`Settings.read`, where the actor is whoever is logged in unless something else is said.

    Raises Rejected (BAD_PLACE) for a workspace in which Delta Lake cannot keep the journal's tables.
    """
    found = Settings.read({"MODELMARK_ACTOR": _login(), **environ}, **given)
    require_delta(found.place.root, "--workspace")
    return found


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as in bare containers
        return f"uid {os.getuid()}"
