"""A version whose probabilities mislead, with a calibration map behind it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from modelmark.domain.version import Version
from modelmark.gates.case import Case
from modelmark.registry.recalibrate import Recalibrated, recalibrate
from modelmark.stats.recalibration import Method


@dataclass(frozen=True, slots=True, kw_only=True)
class Recalibrate:
    """open_case: puts a version before its tables."""

    open_case: Callable[[Version, Path], Case]

    def __call__(self, version: Version, path: Path, method: str | None = None) -> Recalibrated:
        """The map is fitted on the validation table beside the contract at `path`; it changes no version that is there."""
        base = (path if path.is_dir() else path.parent).resolve()
        return recalibrate(self.open_case(version, base), Method(method) if method else None)
