"""Offline verification of mark, artifact, snapshot, audit and journal, without a server and trusting none of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from modelmark.domain.audit import Act
from modelmark.domain.errors import ModelmarkError, Tampered
from modelmark.domain.ports import ArtifactStore, Ledger
from modelmark.domain.release import Approval, CommentKind, State, Waiver
from modelmark.domain.routes import Snapshot
from modelmark.domain.version import Version
from modelmark.governance.account_rules import accounted
from modelmark.governance.audit import verify_chain
from modelmark.governance.people import People
from modelmark.seal.digests import canonical, digest_value, plain
from modelmark.seal.keys import Verifier
from modelmark.seal.mark import open_marked
from modelmark.seal.tickets import authentic

#: States whose versions were released at some time, so they must carry a mark.
_MARKED = frozenset({State.CANARY, State.CHAMPION, State.RETIRED, State.ROLLED_BACK})
_ACCOUNT_ACTS = frozenset({Act.ADDED_ACCOUNT, Act.CHANGED_ACCOUNT, Act.DISABLED_ACCOUNT, Act.CHANGED_PASSWORD,
                           Act.ISSUED_LINK, Act.REDEEMED_LINK, Act.CONFIRMED_ACCOUNT})  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One thing verified. fault None: it holds."""

    kind: str
    name: str
    sentence: str
    fault: str | None = None


def verify(
    artifacts: ArtifactStore,
    ledger: Ledger,
    verifier: Verifier,
    *,
    people: People,
    snapshot: Callable[[], Snapshot],
    journal: Callable[[], Iterator[tuple[str, int]]],
) -> Iterator[Item]:
    """Every item in turn; a fault in one does not hide the next.

    snapshot: reads and verifies the published snapshot. journal: (writer, records) per writer, raising Tampered.
    """
    for version in ledger.versions():
        name = f"{version.model} {version.label} ({version.id.short})"
        if ledger.state(version.id) not in _MARKED:
            continue
        yield _try("mark", name, partial(_mark, artifacts, ledger, verifier, version))
    yield _try("approvals", "signatures", partial(_signatures, ledger, verifier))
    yield _try("audit", "chain", partial(_audit, ledger))
    yield _try("accounts", "directory", partial(_accounts, ledger, people))
    yield _try("snapshot", "release snapshot", lambda: _snapshot(ledger, snapshot))
    yield from _journal(journal)


def _mark(artifacts: ArtifactStore, ledger: Ledger, verifier: Verifier, version: Version) -> str:
    marked = open_marked(artifacts.folder(version.id), verifier, expected=version.id)
    if canonical(marked.version) != canonical(version):
        raise Tampered("the database describes another version than the mark", code="MARK_MISMATCH")
    predicate = marked.statement["predicate"]
    kept = {digest_value(item) for item in ledger.evidence(version.id)}
    for gate in predicate["evidence"]["gates"]:
        if gate["digest"] not in kept:
            raise Tampered(f"the evidence of gate {gate['gate']} is not what was signed", code="EVIDENCE_CHANGED")
    names = ", ".join(approval["name"] for approval in predicate["approvals"])
    count = len(predicate["evidence"]["gates"])
    return f"artifact, contract and {count} pieces of evidence are as signed; approved by {names}"


def _signatures(ledger: Ledger, verifier: Verifier) -> str:
    """Every approval that names its ticket, and every waiver that names its evidence, carries this workspace's signature;
    none was written past the act."""
    versions = ledger.versions()
    approvals = [a for version in versions for a in ledger.approvals(version.id) if a.nonce or a.signature]
    waivers = [w for version in versions for w in ledger.waivers(version.id) if w.evidence or w.signature]
    acts: list[Approval | Waiver] = [*approvals, *waivers]
    for act in acts:
        if not authentic(act, verifier):
            what = "waiver" if isinstance(act, Waiver) else "approval"
            raise Tampered(
                f"the {what} of version {act.version.short} by {act.name} was not made here",
                code=f"{what.upper()}_FORGED",
            )
    return f"{len(approvals)} approvals and {len(waivers)} waivers, each signed by this workspace"


def _accounts(ledger: Ledger, people: People) -> str:
    """Accounts and keys are as the last act about each left them."""
    told = {e.subject: e for e in ledger.events() if e.act in _ACCOUNT_ACTS}
    known = people.accounts()
    for account in known:
        event = told.pop(account.login, None)
        said = plain(accounted(account))
        if event is None or any(said[name] != plain(value) for name, value in event.details.items() if name in said):
            raise Tampered(f"the account {account.login} is not as the audit left it", code="ACCOUNT_CHANGED")
    if told:
        raise Tampered(f"the account {min(told)} is gone", code="ACCOUNT_GONE")
    issued = {e.details["key"] for e in ledger.events() if e.act == Act.ISSUED_KEY}
    revoked = {e.details["key"] for e in ledger.events() if e.act == Act.REVOKED_KEY}
    keys = people.keys()
    if {key.id for key in keys} != issued or {key.id for key in keys if key.revoked_at} != revoked:
        raise Tampered("the keys are not those that the audit tells of", code="KEYS_CHANGED")
    return f"{len(known)} accounts and {len(keys)} keys, as the audit left them"


def _audit(ledger: Ledger) -> str:
    """The chain holds, and tells of every act the database shows: a chain that was cut short is whole in itself."""
    events = ledger.events()
    count = verify_chain(events)
    told = Counter(event.act for event in events)
    versions = ledger.versions()
    kept = {
        Act.REGISTERED: len(versions),
        Act.MEASURED: sum(len(ledger.evidence(version.id)) for version in versions),
        Act.APPROVED: sum(len(ledger.approvals(version.id)) for version in versions),
        Act.WAIVED: sum(len(ledger.waivers(version.id)) for version in versions),
        **{
            Act(kind): sum(r.kind is kind for version in versions for r in ledger.comments(version.id))
            for kind in CommentKind
        },
    }
    for act, number in kept.items():
        if told[act] != number:
            raise Tampered(f"the audit tells {told[act]} times of “{act}”, the database {number} times",
                           code="AUDIT_INCOMPLETE")  # fmt: skip
    last = ledger.snapshot()
    if last is not None and last.sequence not in {event.details.get("snapshot") for event in events}:
        raise Tampered(f"no audit event tells of snapshot {last.sequence}", code="AUDIT_INCOMPLETE")
    return f"{count} events, each linked to the one before"


def _snapshot(ledger: Ledger, read: Callable[[], Snapshot]) -> str:
    published, known = read(), ledger.snapshot()
    if known is None or canonical(published) != canonical(known):
        raise Tampered("the published snapshot is not the last one that was issued", code="SNAPSHOT_DIFFERS")
    return f"number {published.sequence}, {len(published.routes)} models"


def _journal(read: Callable[[], Iterator[tuple[str, int]]]) -> Iterator[Item]:
    parts = read()
    while True:
        try:
            name, records = next(parts)
        except StopIteration:
            return
        except ModelmarkError as error:
            yield Item(kind="journal", name=error.field or "journal", sentence=error.message, fault=error.code)
            return
        yield Item(kind="journal", name=name, sentence=f"{records} records, each linked to the one before")


def _try(kind: str, name: str, check: Callable[[], str]) -> Item:
    try:
        return Item(kind=kind, name=name, sentence=check())
    except ModelmarkError as error:
        return Item(kind=kind, name=name, sentence=error.message, fault=error.code)
