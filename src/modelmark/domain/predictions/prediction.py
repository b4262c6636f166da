"""What a prediction was answered by."""

from __future__ import annotations

from enum import StrEnum


class ServedBy(StrEnum):
    """Which step answered a request: the model, or one of the contract's fallbacks. Stored in every record."""

    MODEL = "model"
    PREVIOUS_VERSION = "previous_version"
    CONSTANT = "constant"
    REVIEW = "review"
