"""The model card: facts with receipts, what people say only when signed, and nothing that data could smuggle in."""

from __future__ import annotations

import re
import sys
from dataclasses import replace

import pytest
from huggingface_hub import ModelCard
from markdown_it import MarkdownIt

from builders.domain import ANN, BOB, NOON, approval, contract, evidence, version
from modelmark.domain.errors import Missing
from modelmark.domain.evidence import Figure
from modelmark.governance.card import Card, CardPart, model_card
from modelmark.governance.card_forms import html, markdown, pdf
from modelmark.governance.difference import Side
from modelmark.seal.digests import digest_value
from modelmark.seal.mark import evidence_digest

ONE = version("one")
EVIL = "<img src=x onerror=alert(1)> [click](javascript:alert(1)) ![x](http://x/y.png) `*_"
BAR = {"mark": "bar", "data": {"values": [{"a": 1}]}, "encoding": {"x": {"field": "a", "type": "quantitative"}}}


def holdout(sentence="ROC AUC 0.9 [0.88, 0.92] on 900 rows.", gate="holdout"):
    item = evidence(ONE.id, gate=gate)
    check = replace(item.checks[0], name="objective", sentence=sentence, estimate=0.9)
    return replace(item, checks=(check,), figures=(Figure(title="ROC curve", spec=BAR),))


def card(*items, signed=True, **changes) -> Card:
    given = {"caveats": "Trained on one clinic.", "ethical_considerations": "May wait too long.", **changes}
    side = Side(version=ONE, contract=contract(**given), evidence=items or (holdout(),), size=123_456)
    seen = evidence_digest(side.evidence)
    signatures = [approval(ONE, seen, ANN), approval(ONE, seen, BOB)] if signed else []
    return model_card(side, signatures, () if signed else ("Ann Lee (data_science)", "Bob Ray (product)"), NOON)


def part(of: Card, title: str) -> CardPart:
    return next(p for p in of.parts if p.title == title)


def texts(of: CardPart) -> str:
    return " ".join(s.text for s in of.statements)


def test_the_nine_sections_of_the_paper_are_there_in_order() -> None:
    assert [p.title for p in card().parts] == [
        "Model details", "Intended use", "Factors", "Metrics", "Evaluation data", "Training data",
        "Quantitative analyses", "Ethical considerations", "Caveats and recommendations",
    ]  # fmt: skip


def test_every_fact_names_a_receipt_that_is_the_record_itself() -> None:
    said = holdout()
    made = card(said)
    by_people = ("Intended use", "Ethical considerations", "Caveats and recommendations")
    facts = [s for p in made.parts if p.title not in by_people for s in p.statements]
    assert len(facts) >= 8
    assert [s for s in facts if s.receipt is None] == []
    assert {s.receipt for s in facts} == {r.number for r in made.receipts}
    of_gate = next(r for r in made.receipts if r.gate == "holdout")
    assert of_gate.digest == digest_value(said)
    (fact,) = part(made, "Metrics").statements
    assert (fact.text, fact.receipt) == (said.checks[0].sentence, of_gate.number)
    assert {r.digest for r in made.receipts} >= {ONE.id, ONE.components.contract}


@pytest.mark.parametrize("title", ["Intended use", "Ethical considerations", "Caveats and recommendations"])
def test_what_only_people_can_say_is_empty_and_waits_for_names_until_it_is_signed(title: str) -> None:
    unsigned = part(card(signed=False), title)
    assert unsigned.waits_for == "empty until signed by Ann Lee (data_science), Bob Ray (product)"
    assert not [s for s in unsigned.statements if s.receipt is None]
    signed = part(card(), title)
    assert signed.waits_for == ""
    assert "Signed by Ann Lee (data science) on 2026-03-01, Bob Ray (product) on 2026-03-01." in texts(signed)


def test_signed_and_unwritten_is_said_to_be_unwritten() -> None:
    assert part(card(ethical_considerations=" "), "Ethical considerations").waits_for.startswith(
        "nobody has written this"
    )


def test_sections_that_nothing_measured_say_which_gates_are_missing() -> None:
    assert (
        part(card(), "Quantitative analyses").waits_for == "not measured: fairness, explanation, robustness, behaviour"
    )


def test_what_did_not_pass_is_a_caveat_even_before_anybody_signs() -> None:
    bad = replace(holdout(), checks=(replace(holdout().checks[0], measured=0.1, sentence="Too weak."),))
    assert "Too weak." in texts(part(card(bad, signed=False), "Caveats and recommendations"))


def test_markdown_is_a_card_as_hugging_face_reads_it() -> None:
    read = ModelCard(markdown(card()))
    assert read.data.library_name == "onnx"
    (result,) = read.data.eval_results
    assert (result.metric_type, result.metric_value, result.task_type) == ("roc_auc", 0.9, "tabular-classification")
    assert "# Model card: loans v1" in read.text


def test_each_number_on_the_page_leads_to_its_receipt() -> None:
    page = html(card())
    asked = set(re.findall(r'href="#(receipt-\d+)"', page))
    assert asked == set(re.findall(r'id="(receipt-\d+)"', page))
    assert len(asked) >= 3
    assert "ROC curve" in page
    assert "<svg role=" in page


def test_data_in_a_card_is_text() -> None:
    made = card(holdout(EVIL), purpose=EVIL, caveats=EVIL)
    drawn_elsewhere = MarkdownIt("commonmark", {"html": True}).render(markdown(made))
    for page in (html(made), drawn_elsewhere):
        assert not re.search("<(img|script)", page)
        assert not re.search(r'(href|src)="(?!#)', page)
        assert "onerror=alert" in page, "it is shown, as text"


def test_the_pdf_is_a_pdf_with_the_same_words() -> None:
    made = pdf(card())
    assert made.startswith(b"%PDF-")
    assert made.rstrip().endswith(b"%%EOF")
    assert len(made) > 5000


def test_a_pdf_without_the_libraries_that_lay_it_out_says_what_to_install(tmp_path, monkeypatch) -> None:
    (tmp_path / "weasyprint.py").write_text("raise OSError(\"cannot load library 'libpango-1.0-0'\")")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "weasyprint", raising=False)
    with pytest.raises(Missing) as caught:
        pdf(card())
    assert "cannot load library 'libpango-1.0-0'" in caught.value.message
    assert "apt-get install libpango-1.0-0" in str(caught.value.hint)
