"""How every command comes to its workspace. Nothing heavy is imported before one runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modelmark.app import App


def open_app(workspace: Path | None, **given: Any) -> App:
    """given: settings of the command line, which come before those of the environment."""
    from modelmark.app import App

    return App.open(workspace=workspace, **given)
