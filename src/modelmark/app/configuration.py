"""The settings of this process: one frozen object, read once."""

from __future__ import annotations

import getpass
import os
from collections.abc import Mapping
from typing import Any

from modelmark.domain.settings import Settings


def configured(environ: Mapping[str, str] = os.environ, **given: Any) -> Settings:
    """`Settings.read`, where the actor is whoever is logged in unless something else is said."""
    return Settings.read({"MODELMARK_ACTOR": _login(), **environ}, **given)


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as in bare containers
        return f"uid {os.getuid()}"
