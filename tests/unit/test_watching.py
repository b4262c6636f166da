"""How a model is watched changes without a new version, told in the audit, and for the steward's next look."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from builders.domain import NOON
from builders.keys import signer
from builders.workspace import quiet
from modelmark.contract.read import monitors_in
from modelmark.domain.catalogue.monitor_settings import Cycle, DriftMonitor, Monitors
from modelmark.domain.errors import Conflict, ContractInvalid, NotPermitted, Rejected
from modelmark.domain.people import PERMISSIONS, Principal, Role
from modelmark.governance.audit import Audit
from modelmark.governance.people import People
from modelmark.governance.watching import Watching
from modelmark.testing.account_store import MemoryAccountStore
from modelmark.testing.ledger import MemoryLedger

NOW = Monitors()
WIDE = replace(NOW, window_minutes=600.0, quality=None, drift=DriftMonitor(cycle=Cycle.WEEK), plugins={"x": {"a": 1}})


@pytest.fixture
def watching() -> Watching:
    ledger = MemoryLedger()
    audit = Audit(ledger, lambda: NOON, signer)
    return Watching(ledger=ledger, audit=audit, people=People(MemoryAccountStore(), audit, lambda: NOON), owner="ann")


def test_the_last_change_holds_and_another_process_reads_it_from_the_audit(watching: Watching) -> None:
    assert watching.settings("loans") is None
    made = watching.change("loans", WIDE, NOW, "  nights are\n quiet ")
    assert (made.changed, made.reason, made.name) == (
        ("window_minutes", "quality", "drift", "plugins"),
        "nights are quiet",
        "ann",
    )
    again = Watching(ledger=watching.ledger, audit=watching.audit, people=watching.people, owner="bob")
    assert watching.settings("loans") == again.settings("loans") == WIDE
    assert watching.settings("churn") is None
    again.reset("loans", "over")
    assert watching.settings("loans") is None
    assert watching.changed("loans").name == "bob"
    assert [event.subject for event in watching.ledger.events()] == ["monitors of loans"] * 2


def test_what_changes_nothing_or_says_no_reason_is_no_act(watching: Watching) -> None:
    with pytest.raises(Conflict) as refusal:
        watching.change("loans", NOW, NOW, "why not")
    assert refusal.value.code == "NOTHING_CHANGED"
    with pytest.raises(Conflict):
        watching.reset("loans", "why not")
    for reason in (" ", "x" * 401):
        with pytest.raises(Rejected):
            watching.change("loans", WIDE, NOW, reason)
    assert list(watching.ledger.events()) == []


def test_whoever_may_not_release_may_not_change_what_is_watched(watching: Watching) -> None:
    account = watching.people.add("bob", name="Bob Ray", roles=(Role.RISK,), password="correct horse battery")
    risk = Principal(account=account, permissions=PERMISSIONS[Role.RISK], via="session")
    with pytest.raises(NotPermitted):
        watching.change("loans", WIDE, NOW, "quieter", by=risk)


@pytest.mark.parametrize(
    ("text", "field", "line"),
    [
        ("window_minutes: -3", "window_minutes", 1),
        ("every_seconds: 60\ndrift: {tolerance: 7}", "drift.tolerance", 2),
        ("monitors:\n  performance: {min_label: 3}", "performance.min_label", 2),
        ("window: 3", "window", 1),
    ],
)
def test_a_file_of_settings_is_held_to_the_contracts_own_rules(text: str, field: str, line: int) -> None:
    with pytest.raises(ContractInvalid) as refusal:
        monitors_in(text.encode(), Path("wide.yaml"), quiet().contract)
    (fault,) = refusal.value.faults
    assert (fault.field, fault.line) == (field, line)


def test_settings_stand_alone_or_under_their_name() -> None:
    agreed = quiet().contract
    alone, named = (monitors_in(text, Path("w.yaml"), agreed) for text in (b"drift: null", b"monitors: {drift: null}"))
    assert alone == named == Monitors(drift=None)
