"""What was live at a moment is read from the acts: versions, people, credentials, evidence."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from builders.domain import ANN, BOB, NOON, contract, evidence, version
from builders.keys import signer
from builders.people import no_effects, principal, sign_off
from modelmark.app.usecases.audit_at import AuditAt, Moment
from modelmark.domain.errors import Rejected
from modelmark.domain.people import Principal, Role
from modelmark.domain.until import moment
from modelmark.domain.version import Version
from modelmark.governance.audit import Audit
from modelmark.governance.releases import Releases
from modelmark.seal.digests import digest_value
from modelmark.testing.ledger import MemoryLedger

V = {n: version(f"v{n}", number=n, registered_by="ci") for n in (1, 2, 3)}


class Life:
    """v1 champion at 1 h, v2 canary at 2 h and champion at 3 h, v3 canary at 4 h and gone at 5 h, v2 rolled back at 6 h."""

    def __init__(self) -> None:
        self.now, self.ledger = NOON, MemoryLedger()
        office = sign_off(self.ledger, lambda: self.now)
        self.desk = Releases(
            self.ledger, Audit(self.ledger, lambda: self.now, signer), lambda: self.now, contract_of=lambda _: contract(),
            required=lambda _: ["holdout"], effects=no_effects(),
            sign_off=office,
        )  # fmt: skip
        people = office.people
        self.ops = principal(people, "ops", "Opal Orr", Role.ENGINEERING)
        self.signers = {
            "Ann Lee": principal(people, "ann", "Ann Lee", Role.DATA_SCIENCE),
            "Bob Ray": principal(people, "bob", "Bob Ray", Role.PRODUCT),
        }
        self._release(1, V[1])
        self._release(2, V[2], share=0.25)
        self.now = NOON + timedelta(hours=3)
        self.desk.release(V[2], actor="ops", by=self.ops)
        self._release(4, V[3], share=0.1)
        for hour in (5, 6):
            self.now = NOON + timedelta(hours=hour)
            self.desk.rollback("loans", actor="ops", by=self.ops)

    def _release(self, hour: float, one: Version, share: float = 1.0) -> None:
        self.now = NOON + timedelta(hours=hour - 0.5)
        self.desk.register(one, actor="ops", by=self.ops)
        self.desk.record(one, [evidence(one.id, minutes=int(60 * hour) - 40)], actor="ops", by=self.ops)
        for person in (ANN, BOB):
            who: Principal = self.signers[person.name]
            self.desk.approve(one, role=person.role, name=person.name, comment="", actor=who.login, by=who)
        self.now = NOON + timedelta(hours=hour)
        self.desk.release(one, share=share, actor="ops", by=self.ops)

    def at(self, hour: float) -> Moment:
        return AuditAt(ledger=self.ledger)(NOON + timedelta(hours=hour))


@pytest.fixture(scope="module")
def life() -> Life:
    return Life()


@pytest.mark.parametrize(
    ("hour", "live"),
    [
        (0.9, []),
        (1, [("v1", "champion", 1.0)]),
        (2.5, [("v1", "champion", 0.75), ("v2", "canary", 0.25)]),
        (3.5, [("v2", "champion", 1.0)]),
        (4.5, [("v2", "champion", 0.9), ("v3", "canary", 0.1)]),
        (5.5, [("v2", "champion", 1.0)]),
        (7, [("v1", "champion", 1.0)]),
    ],
)
def test_it_says_what_was_live(life: Life, hour: float, live: list[tuple[str, str, float]]) -> None:
    assert [(one.label, one.arm, one.share) for one in life.at(hour).live] == live


def test_it_says_who_had_agreed_through_which_credential_and_on_what_evidence(life: Life) -> None:
    (champion,) = life.at(1.5).live
    assert [(a.name, a.role, a.via, a.issued_by) for a in champion.approvals] == [
        ("Ann Lee", Role.DATA_SCIENCE, "password", "ops"), ("Bob Ray", Role.PRODUCT, "password", "ops"),
    ]  # fmt: skip
    (seen,) = life.ledger.evidence(V[1].id)
    assert [(g.gate, g.verdict, g.digest) for g in champion.gates] == [("holdout", "pass", digest_value(seen))]
    assert (champion.by, champion.via, champion.since) == ("ops", "password", NOON + timedelta(hours=1))
    assert champion.contract == V[1].components.contract
    (again,) = life.at(7).live
    assert (again.event, again.approvals) == (champion.event, champion.approvals), "what came back had been agreed then"


def test_what_was_said_later_is_not_read_into_the_past(life: Life) -> None:
    life.now = NOON + timedelta(hours=8)
    life.desk.record(V[1], [evidence(V[1].id, gate="load", minutes=480)], actor="ops", by=life.ops)
    assert [g.gate for g in life.at(7).live[0].gates] == ["holdout"]
    assert len(life.at(7).live[0].approvals) == 2


@pytest.mark.parametrize("text", ["yesterday", "2026-13-01", "12345678901234567890"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(Rejected) as caught:
        moment(text, now=NOON, field="--at")
    assert (caught.value.code, caught.value.field) == ("BAD_TIME", "--at")


def test_a_time_is_utc_unless_it_says_so() -> None:
    assert moment("2026-03-01T14:05", now=NOON, field="x") == datetime.fromisoformat("2026-03-01T14:05+00:00")
    assert moment("2026-03-01T14:05+02:00", now=NOON, field="x") == datetime.fromisoformat("2026-03-01T12:05+00:00")
    assert moment(" ", now=NOON, field="x") == NOON
