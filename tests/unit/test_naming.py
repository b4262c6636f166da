"""What people call a version leads to it, and what is unclear says what could be meant."""

from __future__ import annotations

import pytest

from builders.domain import NOON, version
from modelmark.app.usecases.find_version import FindVersion
from modelmark.domain.errors import Missing, Rejected
from modelmark.domain.routes import Arm, Route, Snapshot
from modelmark.testing.ledger import MemoryLedger


def find(known: MemoryLedger, called, model):
    return FindVersion(ledger=known)(called, model)


ONE, TWO, THREE = (version(str(n), number=n) for n in (1, 2, 3))
OTHER = version("other", number=1, model="churn")


def ledger(*known) -> MemoryLedger:
    made = MemoryLedger()
    for one in known:
        made.add_version(one)
    arms = (Arm(version=TWO.id, name="champion", weight=0.9), Arm(version=THREE.id, name="canary", weight=0.1))
    route = Route(model="loans", arms=arms, previous=ONE.id)
    made.set_snapshot(Snapshot(sequence=1, issued_at=NOON, routes=(route,)))
    return made


@pytest.mark.parametrize(
    ("called", "meant"),
    [(None, THREE), ("latest", THREE), ("v1", ONE), ("champion", TWO), ("canary", THREE), (ONE.id.hex[:10], ONE),
     (ONE.id, ONE)],
)  # fmt: skip
def test_a_name_leads_to_its_version(called, meant) -> None:
    assert find(ledger(ONE, TWO, THREE), called, None) == meant
    assert find(ledger(ONE, TWO, THREE, OTHER), called, "loans") == meant


@pytest.mark.parametrize(
    ("called", "model", "kind", "code"),
    [
        ("v9", "loans", Missing, "NO_VERSION"),
        ("latest", "lonas", Missing, "NO_MODEL"),
        ("canary", "churn", Missing, "NO_VERSION"),
        ("v1", None, Rejected, "WHICH_MODEL"),
        ("", "loans", None, ""),
    ],
)
def test_what_is_unclear_or_unknown_is_refused(called, model, kind, code) -> None:
    known = ledger(ONE, TWO, THREE, OTHER)
    if kind is None:
        assert find(known, called, model) == THREE
        return
    with pytest.raises(kind) as caught:
        find(known, called, model)
    assert caught.value.code == code


def test_nothing_registered_names_the_next_command() -> None:
    with pytest.raises(Missing) as caught:
        find(MemoryLedger(), None, None)
    assert (caught.value.code, caught.value.hint) == ("NO_VERSION", "modelmark register")


def test_the_contract_of_the_folder_says_which_model_is_meant() -> None:
    known = ledger(ONE, TWO, OTHER)
    assert FindVersion(ledger=known, meant=lambda: "churn")("latest") == OTHER
    assert FindVersion(ledger=known, meant=lambda: "churn").model(None) == "churn"
    assert FindVersion(ledger=known, meant=lambda: "churn")("v2", "loans") == TWO, "what is said comes first"
    assert FindVersion(ledger=known, meant=lambda: "churn")(ONE.id.hex[:12]) == ONE, (
        "digits are looked up in all models"
    )
    for only in (known, ledger(ONE)):
        with pytest.raises(Missing) as caught:
            FindVersion(ledger=only, meant=lambda: "leases")("latest")
        assert caught.value.code == "NO_MODEL"
        assert "'leases', which is not registered" in caught.value.message
