"""What a prediction was answered by."""

from __future__ import annotations

from enum import StrEnum


class ServedBy(StrEnum):
    """What answered."""

    MODEL = "model"
    PREVIOUS_VERSION = "previous_version"
    CONSTANT = "constant"
    REVIEW = "review"
