"""What a broken rule of the contract says."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RuleViolation:
    """path: of the field. found, allowed: as people read them."""

    path: tuple[str | int, ...]
    found: str
    allowed: str
