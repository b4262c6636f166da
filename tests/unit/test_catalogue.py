"""Rows of gates and monitors that other packages bring: found, refused, or gone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.metadata import EntryPoint, EntryPoints

import pytest

from builders.domain import ANN, BOB, NOON, approval, contract, evidence, version
from modelmark.contract import catalogue
from modelmark.contract.catalogue import gate_names, gate_row, load, required_gates, shown_gates
from modelmark.domain.catalogue.gate_settings import Gates
from modelmark.domain.catalogue.gates import GATES
from modelmark.domain.catalogue.rows import DifferenceSection
from modelmark.domain.errors import Missing
from modelmark.domain.evidence import Check
from modelmark.domain.people import Role
from modelmark.domain.version import Version
from modelmark.governance.audiences import read_by
from modelmark.governance.card import model_card
from modelmark.governance.difference import Side, difference
from modelmark.seal.digests import canonical, plain
from modelmark.seal.mark import evidence_digest
from modelmark.seal.values import restore

Installed = Callable[..., None]


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Installed]:
    """Entry points as if packages had been installed."""

    def install(**points: str) -> None:
        every = EntryPoints(EntryPoint(name, value, catalogue.GATE_GROUP) for name, value in points.items())
        monkeypatch.setattr(catalogue, "entry_points", lambda **wanted: every.select(**wanted))
        catalogue._brought.cache_clear()

    yield install
    catalogue._brought.cache_clear()


def test_one_of_ours_cannot_be_replaced(installed: Installed) -> None:
    installed(holdout="unittest:TestCase", other="unittest:TestCase")
    assert gate_row("holdout") is GATES["holdout"]
    assert gate_names() == (*GATES, "other")


@pytest.mark.parametrize(
    ("value", "why"),
    [
        pytest.param("no_such_module:ROW", "ModuleNotFoundError", id="not importable"),
        pytest.param("unittest:TestCase", "is no GateRow of that name", id="no row"),
        pytest.param("modelmark.domain.catalogue.gates:_ROWS", "is no GateRow of that name", id="several"),
    ],
)
def test_a_package_that_is_broken_is_said_to_be(installed: Installed, value: str, why: str) -> None:
    installed(mine=value)
    with pytest.raises(Missing, match=why) as caught:
        gate_row("mine")
    assert caught.value.code == "BAD_PLUGIN"


def test_a_row_whose_code_is_gone_is_said_to_be() -> None:
    with pytest.raises(
        Missing, match=r"holdout cannot be loaded: modelmark\.gates\.holdout\.gate:Gone: AttributeError"
    ):
        load(replace(GATES["holdout"], code="modelmark.gates.holdout.gate:Gone"))


@pytest.mark.parametrize("value", [None, "no_such_module:ROW"], ids=["gone", "broken"])
def test_a_gate_whose_package_is_gone_is_still_asked_and_what_it_said_is_shown(
    installed: Installed, value: str | None
) -> None:
    installed(**({} if value is None else {"mine": value}))
    asking = contract(gates=Gates(plugins={"mine": {}}))
    assert required_gates(asking)[-1] == "mine"
    one = version("one")
    said = evidence(one.id, gate="mine")
    side = Side(version=one, contract=asking, evidence=(said,), size=1)
    signed = [approval(one, evidence_digest(side.evidence), person) for person in (ANN, BOB)]
    told = [statement.text for part in model_card(side, signed, (), NOON).parts for statement in part.statements]
    assert said.checks[0].sentence in told
    assert "mine: minimum" in [row.what for section in difference(side, side) for row in section.rows]


def test_gates_of_this_house_stand_in_their_order_and_others_as_they_are_named() -> None:
    assert [row.name for row in shown_gates(["zebra", "load", "ant", "holdout"])] == ["holdout", "load", "zebra", "ant"]


def test_each_role_reads_what_matters_most_to_it_first() -> None:
    assert {role: read_by(role, GATES) for role in Role} == {
        Role.PRODUCT: ("objective", "holdout", "slices"),
        Role.RISK: ("fairness", "calibration", "explanation", "robustness", "behaviour", "slices"),
        Role.OPERATIONS: ("load", "replay", "edge_cases"),
        Role.DATA_SCIENCE: ("data_contract", "leakage", "holdout", "explanation"),
        Role.ENGINEERING: ("tests", "parity", "edge_cases", "supply_chain", "load"),
    }


def test_the_difference_and_the_card_show_gates_in_the_order_people_read_them() -> None:
    one = version("one")
    side = Side(version=one, contract=contract(), evidence=[evidence(one.id, gate=name) for name in GATES], size=1)
    shown = {section.title: [row.what.split(":")[0] for row in section.rows] for section in difference(side, side)}
    assert {title: names for title, names in shown.items() if title in [*DifferenceSection]} == {
        "quality": ["holdout", "objective", "calibration"],
        "slices": ["slices"],
        "fairness": ["fairness"],
        "explanation": ["explanation"],
        "behaviour and robustness": ["behaviour", "robustness", "edge cases"],
        "latency and load": ["load", "replay"],
        "data and supply": ["data contract", "leakage", "tests", "parity", "supply chain"],
    }
    made = model_card(replace(side, evidence=()), [], ["Ann Lee"], NOON)
    assert [part.waits_for for part in made.parts if part.title in ("Metrics", "Quantitative analyses")] == [
        "not measured: objective, holdout, calibration",
        "not measured: fairness, explanation, robustness, behaviour",
    ]


def test_evidence_stored_before_checks_had_keys_keeps_its_digest_and_its_meaning() -> None:
    check = evidence().checks[0]
    stored = {"name": "against the champion v3", "measured": 0.9, "limit": {"bound": "at_least", "value": 0.8},
              "sentence": "It is.", "estimate": None, "low": None, "high": None, "n": None, "confidence": None}  # fmt: skip
    read = restore(Check, stored)
    assert canonical(read) == canonical(stored), "a field that came later is left out while it is empty"
    assert read.id == replace(read, name="against the champion v4").id == "against_the_champion"
    assert replace(read, name="hop skip jump on v2").id == "hop_skip_jump_on_the_candidate"
    assert replace(read, name="hop skip jump on champion v1").id == "hop_skip_jump_on_champion"
    keyed = replace(check, key="every_column_matters", name="each input has its use")
    assert keyed.id == replace(check, name="every column matters").id
    assert restore(Check, plain(keyed)) == keyed


def test_the_difference_matches_checks_by_what_they_are_known_by() -> None:
    one, two = version("one"), version("two")

    def side(of: Version, **named: str) -> Side:
        item = evidence(of.id)
        said = replace(item, checks=(replace(item.checks[0], **named),))
        return Side(version=of, contract=contract(), evidence=(said,), size=1)

    before, after = side(one, name="every column matters"), side(two, key="every_column_matters", name="reworded")
    (section,) = (s for s in difference(before, after) if s.title == "quality")
    assert [(row.what, row.moved) for row in section.rows] == [("holdout: reworded", False)]
