"""How often each arm refused what, on its way to the journal."""

from __future__ import annotations

from collections import Counter

from modelmark.domain.errors import ModelmarkError
from modelmark.journal.wal.records import Refused
from modelmark.serving.models import LiveArm


class Refusals:
    """Counts by version, arm, code and field; never a value."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str, str, str, str]] = Counter()

    def note(self, arm: LiveArm, error: ModelmarkError) -> None:
        """arm: who would have answered. A field counts under its name only when it is an input: what callers make up is not
        journaled."""
        version = arm.version
        field = error.field if error.field in version.codec.names else None
        self._counts[version.model, error.code, field or "", str(version.id), arm.name] += 1

    def take(self, at: int) -> list[Refused]:
        """What was counted since the last time, as records of that moment (ns since 1970)."""
        counts, self._counts = self._counts, Counter()
        return [
            Refused(at, model, code, field, n, version, arm) for (model, code, field, version, arm), n in counts.items()
        ]
