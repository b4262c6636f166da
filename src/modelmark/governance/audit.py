"""The audit chain: every act of governance, each linked to the one before by SHA-256."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from modelmark.domain.audit import Act, Event
from modelmark.domain.errors import Tampered
from modelmark.domain.ports import Clock, Ledger
from modelmark.seal.chain import START, link
from modelmark.seal.digests import canonical

FIRST: Final = START.hex()


class Audit:
    """Appends to the chain. Call inside the transaction of the act itself, so that neither exists without the other."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock

    def append(self, actor: str, act: Act, subject: str, **details: Any) -> Event:
        last = self._ledger.last_event()
        sequence, previous = (last.sequence + 1, last.hash) if last else (1, FIRST)
        body = {
            "sequence": sequence,
            "at": self._clock(),
            "actor": actor,
            "act": act,
            "subject": subject,
            "details": details,
        }
        event = Event(**body, previous=previous, hash=_hash(previous, body))  # type: ignore[arg-type]
        self._ledger.append_event(event)
        return event

    def events(self) -> Sequence[Event]:
        """All of them, oldest first."""
        return self._ledger.events()


def verify_chain(events: Iterable[Event]) -> int:
    """The number of events, all linked from the first. Raises Tampered naming the first bad one."""
    previous, count = FIRST, 0
    for event in events:
        count += 1
        if event.sequence != count:
            raise Tampered(f"audit event {count} is gone: found {event.sequence}", code="AUDIT_GAP", row=count)
        body = {name: getattr(event, name) for name in ("sequence", "at", "actor", "act", "subject", "details")}
        if event.previous != previous or event.hash != _hash(previous, body):
            raise Tampered(f"audit event {count} was changed ({event.act})", code="AUDIT_CHANGED", row=count)
        previous = event.hash
    return count


def _hash(previous: str, body: Mapping[str, Any]) -> str:
    return link(bytes.fromhex(previous), canonical(body)).hex()
