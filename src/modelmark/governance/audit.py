"""The audit chain: every act of governance, each linked to the one before by SHA-256, its head signed.

An event tells of every row and file that its act wrote, by digest, so that what a decision leaned on can be checked
against what was decided.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from modelmark.domain.audit import Act, Event
from modelmark.domain.errors import Tampered
from modelmark.domain.ports import Clock, Ledger
from modelmark.domain.stored import AUDIT_HEAD
from modelmark.seal.chain import START, link
from modelmark.seal.digests import canonical, digest_value
from modelmark.seal.heads import open_head, seal_head
from modelmark.seal.keys import Signer, Verifier

FIRST: Final = START.hex()


class Audit:
    """Appends to the chain. Call inside the transaction of the act itself, after it wrote what it writes, so that neither
    exists without the other."""

    def __init__(self, ledger: Ledger, clock: Clock, signer: Callable[[], Signer]) -> None:
        self._ledger = ledger
        self._clock = clock
        self._signer = signer

    def append(self, actor: str, act: Act, subject: str, **details: Any) -> Event:
        """Raises Tampered, writing nothing, when the chain does not end where its signed head says."""
        with self._ledger.transaction():
            last, signer = self._ledger.last_event(), self._signer()
            if last is not None:
                require_head(last, self._ledger.head(AUDIT_HEAD), signer.verifier())
            return self._append(last, signer, actor, act, subject, details)

    def take_over(self, files: Mapping[str, str]) -> Event | None:
        """Seal, in one event, what an earlier release kept without heads: every row as it stands, and `files` (path below
        the versions to SHA-256). None where there is nothing to seal, or a head already."""
        with self._ledger.transaction():
            last = self._ledger.last_event()
            if last is None or self._ledger.head(AUDIT_HEAD) is not None:
                return None
            self._ledger.take_written()
            rows = {row.name: digest_value(row.columns).hex for row in self._ledger.rows()}
            details = {"rows": rows, "files": files}
            return self._append(last, self._signer(), "modelmark", Act.TOOK_OVER, "earlier records", details)

    def _append(
        self, last: Event | None, signer: Signer, actor: str, act: Act, subject: str, details: dict[str, Any]
    ) -> Event:
        sequence, previous = (last.sequence + 1, last.hash) if last else (1, FIRST)
        rows = self._ledger.take_written()
        body = {
            "sequence": sequence,
            "at": self._clock(),
            "actor": actor,
            "act": act,
            "subject": subject,
            "details": {**details, "rows": rows} if rows else details,
        }
        event = Event(**body, previous=previous, hash=_hash(previous, body))  # type: ignore[arg-type]
        self._ledger.append_event(event)
        head = {"sequence": event.sequence, "hash": event.hash}
        self._ledger.set_head(AUDIT_HEAD, seal_head(AUDIT_HEAD, head, signer))
        return event

    def events(self) -> Sequence[Event]:
        """All of them, oldest first."""
        return self._ledger.events()


def require_head(last: Event | None, envelope: str | None, verifier: Verifier) -> None:
    """Raises Tampered unless the chain ends with this event and the head, signed by this key, says so."""
    if last is None and envelope is None:
        return
    head = open_head(AUDIT_HEAD, envelope, verifier)
    if last is None or (head.get("sequence"), head.get("hash")) != (last.sequence, last.hash):
        found = last.sequence if last else 0
        raise Tampered(
            f"the audit ends with event {found}, its signed head with event {head.get('sequence')}",
            code="AUDIT_CUT",
            row=found,
            hint="restore the database from a backup: an act would hide what happened",
        )


def verify_audit(events: Sequence[Event], head: str | None, verifier: Verifier) -> int:
    """The number of events, all linked from the first to the signed head. Raises Tampered naming the first bad one."""
    count = verify_chain(events)
    require_head(events[-1] if events else None, head, verifier)
    return count


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
