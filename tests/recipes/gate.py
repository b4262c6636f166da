"""The gate of CONTRIBUTING's recipe is known wherever ours are. Run by test_recipes.py where its package is installed."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
from acme.privacy import Privacy
from acme.rows import PRIVACY, PrivacySettings

import cases
import models
from builders.domain import ANN, BOB, approval
from modelmark.contract.catalogue import required_gates
from modelmark.contract.draft import Paths, render
from modelmark.contract.infer import infer
from modelmark.contract.read import parse
from modelmark.domain.catalogue.gate_settings import Gates
from modelmark.domain.contract import Contract
from modelmark.domain.errors import ContractInvalid, Missing
from modelmark.domain.evidence import Evidence, Verdict
from modelmark.domain.people import Person, Role
from modelmark.gates.case import Case
from modelmark.gates.junit import junit
from modelmark.gates.report import render_report
from modelmark.gates.runner import build, run_gates
from modelmark.governance.card import model_card
from modelmark.governance.difference import Side, difference
from modelmark.governance.notes import release_notes
from modelmark.governance.score import Facts, Worth
from modelmark.governance.scorecards import ml_test_score
from modelmark.seal.mark import evidence_digest
from modelmark.testing.catalogue import check_gate_row
from modelmark.testing.gates import check_gate
from modelmark.web.readers import parts

DOCS = Path(os.environ["SCRATCH"]) / "docs"
RISK = Person(role=Role.RISK, name="Ria Oak", signs=True)
SENTENCE = "0.0% of the values of income per year look like e-mail addresses."


def asking(**settings: float) -> Contract:
    contract = models.contract()
    gates = Gates(plugins={"privacy": settings})
    return replace(contract, gates=gates, people=(ANN, BOB, RISK))


def text_of(settings: str) -> bytes:
    table = models.frame(50)[[*models.NUMERIC, *models.TEXT, "y"]]
    paths = Paths(name="loans", model="model.joblib", train="train.csv", holdout="holdout.csv", target="y")
    drafted = render(infer(table, target="y"), paths)
    return re.sub(r"(?m)^gates: .*", f"gates: {{plugins: {{privacy: {settings}}}}}", drafted).encode()


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return cases.case(tmp_path_factory.mktemp("sound"), asking(max_rate=0.001))


@pytest.fixture(scope="module")
def said(case: Case) -> Evidence:
    (evidence,) = run_gates(case, gates=build(case.contract, ["privacy"]))
    return evidence


@pytest.fixture(scope="module")
def side(case: Case, said: Evidence) -> Side:
    return Side(version=case.version, contract=case.contract, evidence=(said,), size=1000)


def test_its_row_and_its_pages_are_whole() -> None:
    check_gate_row(PRIVACY, DOCS)


def test_it_passes_a_sound_candidate_and_catches_a_planted_fault(case: Case, tmp_path: Path) -> None:
    train = models.frame(1500, 1).assign(note="ann@example.org")
    leaky = cases.case(tmp_path, asking(), train=train)
    check_gate(lambda: Privacy(PrivacySettings()), case, leaky)


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ("{max_rate: 2}", "gates.plugins.privacy.max_rate: found 2; allowed: 0 to 1"),
        ("{max_rate: much}", 'gates.plugins.privacy.max_rate: found "much"; allowed: a valid number'),
        ("{most: 1}", "gates.plugins.privacy.most: found the unknown field 'most'; allowed: max_rate"),
    ],
)
def test_the_contract_holds_its_settings(settings: str, fault: str) -> None:
    with pytest.raises(ContractInvalid) as caught:
        parse(text_of(settings), Path("modelmark.yaml"))
    (found,) = map(str, caught.value.faults)
    assert fault in found
    assert re.match(r"modelmark\.yaml:\d+: ", found), "with its line"


def test_the_contract_asks_for_it_where_it_has_a_subject(case: Case) -> None:
    contract = parse(text_of("{max_rate: 0.25}"), Path("modelmark.yaml")).contract
    assert required_gates(contract)[-1] == "privacy"
    (gate,) = build(contract, ["privacy"])
    assert gate.settings == PrivacySettings(max_rate=0.25)
    numbers = replace(contract, inputs=contract.numeric())
    assert "privacy" not in required_gates(numbers)
    with pytest.raises(Missing, match="no gate 'nobody'"):
        build(replace(contract, gates=Gates(plugins={"nobody": {}})))


def test_it_is_measured_with_its_settings_beside_ours(said: Evidence) -> None:
    (check,) = said.checks
    assert (said.gate, said.verdict, check.id, check.limit.value) == ("privacy", Verdict.PASS, "no_addresses", 0.001)


def test_the_report_and_a_ci_show_it(case: Case, said: Evidence) -> None:
    page = render_report(version=case.version, contract=case.contract, evidence=(said,), at=cases.NOW)
    assert SENTENCE in page
    assert "Privacy</h2>" in page
    silent = render_report(version=case.version, contract=case.contract, evidence=(), at=cases.NOW)
    assert "The gate privacy has not been run yet." in silent
    assert 'classname="modelmark.privacy"' in junit(case.version, (said,))


def test_the_card_has_it_in_its_section(side: Side) -> None:
    seen = evidence_digest(side.evidence)
    signed = [approval(side.version, seen, person) for person in (ANN, BOB, RISK)]
    (section,) = [p for p in model_card(side, signed, (), cases.NOW).parts if p.title == "Quantitative analyses"]
    assert SENTENCE in [statement.text for statement in section.statements]
    empty = model_card(replace(side, evidence=()), signed, (), cases.NOW)
    assert "privacy" in next(p for p in empty.parts if p.title == "Quantitative analyses").waits_for


def test_the_difference_of_two_versions_compares_it(side: Side) -> None:
    section = next(s for s in difference(side, side) if s.title == "data and supply")
    assert [(row.what, row.moved) for row in section.rows] == [("privacy: no e-mail addresses", False)]


def test_the_scorecard_counts_it_and_only_where_it_is_asked(side: Side, said: Evidence) -> None:
    def tile(contract: Contract) -> tuple[Worth, str]:
        facts = Facts(
            version=side.version, contract=contract, evidence={"privacy": said}, events=(), findings={}, signed=False,
            told=(), alerted=(), now=cases.NOW,
        )  # fmt: skip
        tiles = [one for section in ml_test_score(facts).sections for one in section.tiles]
        (found,) = (one for one in tiles if one.id == "data.5")
        return found.worth, found.sentence

    assert tile(side.contract) == (Worth.PROVEN, SENTENCE)
    assert tile(models.contract()) == (Worth.OPEN, "No receipt is kept of privacy controls.")


def test_its_audience_reads_it_where_it_signs_and_in_the_release_notes(side: Side) -> None:
    by_role = {part.person.role: [check.sentence for _, check in part.checks] for part in parts(side, ())}
    assert by_role == {Role.RISK: [SENTENCE], Role.DATA_SCIENCE: [], Role.PRODUCT: []}
    assert SENTENCE in release_notes(Role.RISK, side, None)
    assert SENTENCE not in release_notes(Role.PRODUCT, side, None)
