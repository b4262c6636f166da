"""Takes a trained model from a file to a production endpoint, and keeps it honest there. Importing it does nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modelmark.client import Client as Client

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """`modelmark.Client`, imported when it is first asked for."""
    if name == "Client":
        from modelmark.client import Client

        return Client
    raise AttributeError(f"module 'modelmark' has no attribute {name!r}")
