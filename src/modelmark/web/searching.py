"""What is looked for in lists of versions and of events: filters and orders that an address says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from modelmark.domain.digest import Digest
from modelmark.domain.errors import Rejected
from modelmark.governance.release_status import ReleaseStatus
from modelmark.web.events import EventRow

#: name -> (key, whether the largest comes first).
VERSION_ORDERS: Final[Mapping[str, tuple[Callable[[ReleaseStatus], Any], bool]]] = {
    "newest": (lambda s: s.version.created_at, True),
    "oldest": (lambda s: s.version.created_at, False),
    "model": (lambda s: (s.version.model, -s.version.number), False),
    "state": (lambda s: (s.state.value, s.version.model, -s.version.number), False),
}


def versions(
    found: Iterable[ReleaseStatus], asked: Mapping[str, str], names: Mapping[Digest, str]
) -> list[ReleaseStatus]:
    """asked: `model`, `state`, `q` (in model, version, digest, names) and `sort`. names: who approved. Raises Rejected."""
    order = asked.get("sort") or "newest"
    if order not in VERSION_ORDERS:
        raise Rejected("there is no such order", code="BAD_ORDER", field="sort", limit=", ".join(VERSION_ORDERS))
    key, largest = VERSION_ORDERS[order]
    kept = [
        s
        for s in found
        if asked.get("model", "") in ("", s.version.model)
        and asked.get("state", "") in ("", s.state.value)
        and _holds(asked.get("q", ""), s.version.model, s.version.label, s.version.id.hex, names.get(s.version.id, ""))
    ]
    return sorted(kept, key=key, reverse=largest)


def events(found: Iterable[EventRow], asked: Mapping[str, str]) -> list[EventRow]:
    """asked: `who` (the actor) and `q` (in the sentence, what it is about, the actor, the hash), in the order given."""
    return [
        row
        for row in found
        if asked.get("who", "") in ("", row.event.actor)
        and _holds(asked.get("q", ""), row.sentence, row.about, row.event.actor, row.event.hash)
    ]


def _holds(text: str, *places: str) -> bool:
    """Every word stands somewhere, upper and lower case alike."""
    whole = " ".join(places).casefold()
    return all(word in whole for word in text.casefold().split())
