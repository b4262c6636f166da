"""How often each model refused what, on its way to the journal."""

from __future__ import annotations

from collections import Counter

from modelmark.domain.errors import ModelmarkError
from modelmark.journal.wal.records import Refused
from modelmark.serving.models import LiveRoute


class Refusals:
    """Counts by model, code and field; never a value."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str, str]] = Counter()

    def note(self, route: LiveRoute, error: ModelmarkError) -> None:
        """A field counts under its name only when it is an input: what callers make up is not journaled."""
        field = error.field if error.field in route.champion.codec.names else None
        self._counts[route.model, error.code, field or ""] += 1

    def take(self, at: int) -> list[Refused]:
        """What was counted since the last time, as records of that moment (ns since 1970)."""
        counts, self._counts = self._counts, Counter()
        return [Refused(at, model, code, field, n) for (model, code, field), n in counts.items()]
