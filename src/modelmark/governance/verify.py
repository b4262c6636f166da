"""Offline verification without a server, trusting nothing that it checks.

What must be there follows from signed things only: rows and files from the audit chain under its signed head, marks from
every snapshot that was ever issued, the journal from its own signed head. What is not there is a fault.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

from modelmark.domain.audit import Event
from modelmark.domain.digest import Digest
from modelmark.domain.errors import ModelmarkError, Tampered
from modelmark.domain.ports import ArtifactStore, Ledger
from modelmark.domain.release import Approval, Waiver
from modelmark.domain.routes import Snapshot
from modelmark.domain.stored import AUDIT_HEAD, Row
from modelmark.domain.version import Version
from modelmark.governance.audit import verify_audit
from modelmark.governance.checkpoints import require_audit, require_kept, require_number, require_rows
from modelmark.journal.tables.verification import LOST
from modelmark.seal.checkpoint import Checkpoint, open_checkpoint
from modelmark.seal.digests import canonical, digest_value
from modelmark.seal.heads import open_head
from modelmark.seal.keys import Verifier
from modelmark.seal.mark import open_marked
from modelmark.seal.sums import RowSum
from modelmark.seal.tickets import authentic
from modelmark.seal.values import decode

#: The kind of an item that is neither sound nor a fault yet: what the last act still waits for.
PENDING: Final = "pending"
#: What people call the tables that are called otherwise.
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SPOKEN = {"remarks": "comments", "api_keys": "keys"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One thing verified. fault None: it holds."""

    kind: str
    name: str
    sentence: str
    fault: str | None = None


@dataclass(slots=True)
class _Told:
    """What the audit tells of, by name: SHA-256 of each row and of each file. Filled as far as events can be read."""

    rows: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)

    def take(self, event: Event) -> None:
        for kept, said in ((self.rows, event.details.get("rows")), (self.files, event.details.get("files"))):
            for name, digest in said.items() if isinstance(said, dict) else ():
                if digest is None:
                    kept.pop(name, None)
                else:
                    kept[name] = digest


def verify(
    artifacts: ArtifactStore,
    ledger: Ledger,
    verifier: Verifier,
    *,
    keys: Callable[[], str],
    snapshot: Callable[[], Snapshot | None],
    checkpoint: Callable[[], bytes | None],
    between: Callable[[], AbstractContextManager[None]] = nullcontext,
    journal: Callable[[], Iterator[tuple[str, int]]],
) -> Iterator[Item]:
    """Every item in turn; a fault in one does not hide the next.

    keys: says that the signing key is the public one's half, or raises. snapshot: reads and verifies the published
    snapshot, None where there is no file; checkpoint likewise, unopened. between: keeps whoever makes checkpoints from writing
    one meanwhile. journal: (name, records) of each part, raising Tampered.
    """
    told, kept = _Told(), defaultdict[str, list[Row]](list)
    yield _try("key", "signing key", keys)
    yield _try("audit", "chain", lambda: _audit(ledger, verifier, told))
    yield _try("rows", "database", lambda: _read(ledger.rows(), kept))
    for table in sorted({name.split("/")[0] for name in told.rows} | set(kept)):
        yield _try("rows", _SPOKEN.get(table, table), partial(_table, table, kept[table], told.rows))
    for table, rows in _summed(ledger):
        yield _try("rows", table, partial(_sum, table, rows, ledger, verifier))
    spoken = _spoken(kept["versions"])
    for folder in sorted({name.split("/")[0] for name in told.files} | set(artifacts.ids())):
        yield _try("files", spoken.get(folder, folder[:12]), partial(_files, artifacts, folder, told.files))
    for id in _ever_served(kept["snapshots"]):
        yield _try("mark", spoken.get(id.hex, id.short), partial(_mark, artifacts, ledger, verifier, id))
    yield _try("approvals", "signatures", partial(_signatures, kept, verifier))
    yield _try("snapshot", "release snapshot", lambda: _snapshot(ledger, snapshot))
    yield _try("checkpoint", "newest", lambda: _newest(ledger, verifier, checkpoint, between))
    yield from _journal(journal)


def verify_against(
    checkpoint: Checkpoint, ledger: Ledger, verifier: Verifier, *, key: Callable[[], str], journal: Callable[[], str]
) -> Iterator[Item]:
    """The workspace goes through a checkpoint that was kept elsewhere: nothing that was seen then is gone or rewritten.

    key: says that the workspace's key is the one that signed it, or raises; journal likewise of receipts and segments.
    """
    name = f"number {checkpoint.number}"
    yield _try("checkpoint", f"{name}: key", key)
    yield _try("checkpoint", f"{name}: number", lambda: require_number(checkpoint, ledger, verifier))
    yield _try("checkpoint", f"{name}: audit", lambda: require_audit(checkpoint, ledger))
    yield _try("checkpoint", f"{name}: rows", lambda: require_rows(checkpoint, ledger))
    yield _try("checkpoint", f"{name}: journal", journal)


def _audit(ledger: Ledger, verifier: Verifier, told: _Told) -> str:
    """The chain holds up to its signed head. What it tells of is taken even where it does not, to name more."""
    events: list[Event] = []
    bad: Tampered | None = None
    for number, row in enumerate(ledger.audit_rows(), 1):
        try:
            event = _event(number, row)
        except Tampered as error:
            bad = bad or error
            continue
        events.append(event)
        told.take(event)
    if bad:
        raise bad
    count = verify_audit(events, ledger.head(AUDIT_HEAD), verifier)
    return f"{count} events, each linked to the one before, up to the signed head"


def _event(number: int, row: Row) -> Event:
    try:
        event = decode(Event, str(row.columns["body"]).encode())
        at = (event.at - _EPOCH) // timedelta(microseconds=1)
    except (Tampered, TypeError, OverflowError):
        raise Tampered(f"audit event {number} cannot be read", code="AUDIT_CHANGED", row=number) from None
    if (row.columns["sequence"], row.columns["at"]) != (event.sequence, at) or canonical(event) != str(
        row.columns["body"]
    ).encode():
        raise Tampered(f"audit event {number} was changed ({event.act})", code="AUDIT_CHANGED", row=number)
    return event


def _read(rows: Iterable[Row], kept: dict[str, list[Row]]) -> str:
    for row in rows:
        kept[row.table].append(row)
    return f"{sum(map(len, kept.values()))} rows that the audit must tell of"


def _table(table: str, rows: list[Row], told: dict[str, str]) -> str:
    """Every row is as the last act about it left it; none is gone, none came past the acts."""
    expected = {name: digest for name, digest in told.items() if name.split("/")[0] == table}
    faults: list[tuple[str, str]] = []
    for row in rows:
        said = expected.pop(row.name, None)
        if said is None:
            faults.append(("ROW_UNKNOWN", f"no act tells of {row.name}"))
        elif digest_value(row.columns).hex != said:
            faults.append(("ROW_CHANGED", f"{row.name} is not as the audit left it"))
    faults += [("ROW_GONE", f"{name} is gone") for name in expected]
    if faults:
        code, sentence = faults[0]
        more = f", and {len(faults) - 1} more" if len(faults) > 1 else ""
        raise Tampered(sentence + more, code=code, field=table)
    return f"{len(rows)} rows, as the audit left them"


def _summed(ledger: Ledger) -> list[tuple[str, Sequence[Row] | Exception]]:
    try:
        return list(ledger.summed_rows().items())
    except Exception as error:  # noqa: BLE001  # it becomes the item's fault
        return [("findings and alerts", error)]


def _sum(table: str, rows: Sequence[Row] | Exception, ledger: Ledger, verifier: Verifier) -> str:
    """The rows add up to the signed sum."""
    if isinstance(rows, Exception):
        raise rows
    envelope = ledger.head(table)
    if envelope is None and not rows:
        return "none yet"
    signed = RowSum.restored(open_head(table, envelope, verifier))
    found = RowSum.of(row.columns for row in rows)
    if found != signed:
        raise Tampered(
            f"the {table} do not add up to their signed sum: {found.count} rows, {signed.count} signed",
            code="SUM_DIFFERS",
            field=table,
        )
    return f"{found.count} rows, which add up to their signed sum"


def _files(artifacts: ArtifactStore, folder: str, told: dict[str, str]) -> str:
    """Every file of a version is as the act that brought it left it; none is gone, none was put beside them."""
    expected = {name.partition("/")[2]: digest for name, digest in told.items() if name.partition("/")[0] == folder}
    try:
        found = artifacts.digests(Digest(f"sha256:{folder}"))
    except ValueError:
        found = {}
    if not expected:
        raise Tampered(f"no act tells of the folder {folder}", code="FOLDER_UNKNOWN", field=folder)
    for name, digest in sorted(expected.items()):
        if name not in found:
            raise Tampered(f"{name} of version {folder[:12]} is gone", code="FILE_GONE", field=name)
        if found[name] != digest:
            raise Tampered(f"{name} of version {folder[:12]} was changed", code="FILE_CHANGED", field=name)
    for name in sorted(set(found) - set(expected)):
        raise Tampered(f"no act tells of {name} of version {folder[:12]}", code="FILE_UNKNOWN", field=name)
    return f"{len(found)} files, as the audit left them"


def _spoken(rows: list[Row]) -> dict[str, str]:
    """What people call each version, by the digits of its id: `loans v3 (202fbc2f4c17)`."""
    ids = [(str(row.columns["id"]).removeprefix("sha256:"), row.columns) for row in rows]
    return {id: f"{columns['model']} v{columns['number']} ({id[:12]})" for id, columns in ids}


def _ever_served(rows: list[Row]) -> list[Digest]:
    """Every version in any snapshot that was ever issued: it must carry its mark."""
    found: set[Digest] = set()
    for row in rows:
        try:
            snapshot = decode(Snapshot, str(row.columns["body"]).encode())
        except Tampered:
            continue  # named as a row already
        found |= {arm.version for route in snapshot.routes for arm in route.arms}
    return sorted(found)


def _mark(artifacts: ArtifactStore, ledger: Ledger, verifier: Verifier, id: Digest) -> str:
    marked = open_marked(artifacts.folder(id), verifier, expected=id)
    version: Version = ledger.version(id)
    if canonical(marked.version) != canonical(version):
        raise Tampered("the database describes another version than the mark", code="MARK_MISMATCH")
    predicate = marked.statement["predicate"]
    kept = {digest_value(item) for item in ledger.evidence(id)}
    for gate in predicate["evidence"]["gates"]:
        if gate["digest"] not in kept:
            raise Tampered(f"the evidence of gate {gate['gate']} is not what was signed", code="EVIDENCE_CHANGED")
    names = ", ".join(approval["name"] for approval in predicate["approvals"])
    count = len(predicate["evidence"]["gates"])
    return f"artifact, contract and {count} pieces of evidence are as signed; approved by {names}"


def _signatures(kept: dict[str, list[Row]], verifier: Verifier) -> str:
    """Every approval that names its ticket, and every waiver that names its evidence, carries this workspace's signature;
    none was written past the act."""
    approvals = [decode(Approval, str(row.columns["body"]).encode()) for row in kept["approvals"]]
    waivers = [decode(Waiver, str(row.columns["body"]).encode()) for row in kept["waivers"]]
    acts: list[Approval | Waiver] = [
        *(a for a in approvals if a.nonce or a.signature),
        *(w for w in waivers if w.evidence or w.signature),
    ]
    for act in acts:
        if not authentic(act, verifier):
            what = "waiver" if isinstance(act, Waiver) else "approval"
            raise Tampered(
                f"the {what} of version {act.version.short} by {act.name} was not made here",
                code=f"{what.upper()}_FORGED",
            )
    return f"{len(approvals)} approvals and {len(waivers)} waivers, each signed by this workspace"


def _snapshot(ledger: Ledger, read: Callable[[], Snapshot | None]) -> str:
    published, known = read(), ledger.snapshot()
    if published is None and known is None:
        return "nothing was released yet"
    if published is None:
        raise Tampered("the published snapshot is gone", code="SNAPSHOT_GONE")
    if known is None or canonical(published) != canonical(known):
        raise Tampered("the published snapshot is not the last one that was issued", code="SNAPSHOT_DIFFERS")
    return f"number {published.sequence}, {len(published.routes)} models"


def _newest(
    ledger: Ledger,
    verifier: Verifier,
    read: Callable[[], bytes | None],
    between: Callable[[], AbstractContextManager[None]],
) -> str:
    with between():
        return require_kept(ledger, read(), partial(open_checkpoint, verifier=verifier))


def _journal(read: Callable[[], Iterator[tuple[str, int]]]) -> Iterator[Item]:
    parts = read()
    while True:
        try:
            name, records = next(parts)
        except StopIteration:
            return
        except Exception as error:  # noqa: BLE001  # named below; what cannot be read is a fault
            field = error.field if isinstance(error, ModelmarkError) else None
            yield _fault("journal", field or "journal", error)
            return
        what = "had not reached the disk and are missing" if name.endswith(LOST) else "each linked to the one before"
        yield Item(kind="journal", name=name, sentence=f"{records} records, {what}")


def _try(kind: str, name: str, check: Callable[[], str]) -> Item:
    try:
        return Item(kind=kind, name=name, sentence=check())
    except Exception as error:  # noqa: BLE001  # whatever a changed byte leads to is a fault with a name
        return _fault(kind, name, error)


def _fault(kind: str, name: str, error: Exception) -> Item:
    if isinstance(error, ModelmarkError):
        return Item(kind=kind, name=name, sentence=error.message, fault=error.code)
    why = f"it cannot be read: {type(error).__name__}"
    return Item(kind=kind, name=name, sentence=why, fault="UNREADABLE")
