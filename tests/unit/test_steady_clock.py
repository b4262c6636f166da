"""A clock that is set back revives nothing: no waiver, key, session or ticket."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from builders.domain import ANN, BOB, NOON, contract, evidence, version
from builders.keys import signer
from builders.people import no_effects, principal, sign_off
from modelmark.domain.errors import NotPermitted
from modelmark.domain.people import Permission, Role
from modelmark.domain.release import WaiverRequest
from modelmark.governance.audit import Audit
from modelmark.governance.releases import Releases
from modelmark.governance.steady_clock import SteadyClock
from modelmark.testing.ledger import MemoryLedger

pytestmark = pytest.mark.usefixtures("quick_hashes")
FAILED = version("failed", registered_by="ci")
GOOD = version("good", number=2, registered_by="ci")


class Wall:
    """A desk whose machine's clock a test sets as it likes."""

    def __init__(self) -> None:
        self.now, self.ledger = NOON, MemoryLedger()
        self.clock = SteadyClock(lambda: self.now, self.ledger)
        self.sign_off = sign_off(self.ledger, self.clock)
        self.people = self.sign_off.people
        self.desk = Releases(
            self.ledger, Audit(self.ledger, self.clock, signer), self.clock, contract_of=lambda _: contract(),
            required=lambda _: ["holdout"], effects=no_effects(),
            sign_off=self.sign_off,
        )  # fmt: skip
        self.ci = principal(self.people, "ci", "The pipeline", Role.ENGINEERING)
        self.bob = principal(self.people, "bob", "Bob Ray", Role.PRODUCT)
        for one, measured in ((FAILED, 0.1), (GOOD, 0.9)):
            self.desk.register(one, actor="ci", by=self.ci)
            self.desk.record(one, [evidence(one.id, measured=measured)], actor="ci", by=self.ci)

    def later(self, span: timedelta) -> None:
        """Time passes, something happens, and the clock is set back to where it was."""
        before, self.now = self.now, self.now + span
        self.people.issue_key("ci", scopes=[Permission.VIEW], by=self.ci)
        self.now = before - timedelta(days=1)


@pytest.fixture
def wall() -> Wall:
    return Wall()


def test_a_waiver_that_is_over_stays_over(wall: Wall) -> None:
    excuse = WaiverRequest(gate="holdout", reason="pilot", expires_at=NOON + timedelta(days=1))
    wall.desk.waive(FAILED, excuse, role=BOB.role, name=BOB.name, actor="bob", by=wall.bob)
    assert wall.desk.status(FAILED).open_gates == {}
    wall.later(timedelta(days=2))
    assert set(wall.desk.status(FAILED).open_gates) == {"holdout"}


def test_a_key_that_has_ended_opens_nothing_again(wall: Wall) -> None:
    _, secret = wall.people.issue_key("bob", scopes=[Permission.VIEW], days=1, by=wall.bob)
    assert wall.people.by_key(secret)
    wall.later(timedelta(days=2))
    with pytest.raises(NotPermitted, match="opens nothing"):
        wall.people.by_key(secret)


def test_a_session_and_a_link_that_have_ended_open_nothing_again(wall: Wall) -> None:
    token, link = wall.people.open_session(wall.bob), wall.people.reset("bob", by=wall.ci)
    wall.later(timedelta(days=2))
    assert wall.people.by_session(token) is None
    with pytest.raises(NotPermitted, match="opens nothing"):
        wall.people.links.behind(link)


def test_a_ticket_that_has_expired_is_not_redeemed(wall: Wall) -> None:
    ticket = wall.desk.ticket(GOOD, role=BOB.role, name=BOB.name, by=wall.bob)
    wall.later(timedelta(hours=9))
    with pytest.raises(NotPermitted) as caught:
        wall.desk.redeem(GOOD, ticket, comment="", actor="bob", by=wall.bob)
    assert caught.value.code == "TICKET_EXPIRED"
    assert ANN.name not in [a.name for a in wall.ledger.approvals(GOOD.id)]


def test_the_chain_never_goes_back_in_time_and_it_is_said_how_late_the_clock_is(wall: Wall) -> None:
    assert wall.clock.behind() is None
    wall.later(timedelta(days=2))
    wall.people.issue_key("ci", scopes=[Permission.VIEW], by=wall.ci)
    times: list[datetime] = [event.at for event in wall.ledger.events()]
    assert times == sorted(times)
    assert wall.clock.behind() == timedelta(days=3)
