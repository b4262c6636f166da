"""What differs between two versions, and the notes each audience gets of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from builders.domain import NOON, contract, digest, evidence, version
from modelmark.domain.contract import DataType, Goal, Input
from modelmark.domain.evidence import Bound, Check, Evidence, Limit, Verdict, gate_verdicts
from modelmark.domain.people import Role
from modelmark.domain.release import Waiver
from modelmark.domain.version import Version
from modelmark.governance.difference import Side, balance, difference
from modelmark.governance.notes import release_notes

ONE, TWO = version("one"), version("two", number=2)


def check(name: str, value: float, reach: float = 0.01, sentence: str = "So it is.") -> Check:
    limit = Limit(bound=Bound.AT_LEAST, value=0.5)
    return Check(name=name, measured=value - reach, estimate=value, low=value - reach, high=value + reach, n=900,
                 limit=limit, sentence=sentence, confidence=0.95)  # fmt: skip


def said(of: Version, gate: str, *checks: Check, minutes: int = 0) -> Evidence:
    return replace(evidence(of.id, gate=gate, minutes=minutes), checks=checks)


def side(of: Version, *items: Evidence, size: int = 2_000_000, **changes) -> Side:
    return Side(version=of, contract=contract(**changes), evidence=items, size=size)


def section(before: Side, after: Side, title: str):
    return next(s for s in difference(before, after) if s.title == title)


def test_two_versions_of_the_same_differ_in_nothing() -> None:
    one = side(ONE, said(ONE, "holdout", check("objective", 0.9)))
    same = Side(version=ONE, contract=one.contract, evidence=one.evidence, size=one.size)
    assert [row for s in difference(one, same) for row in s.moved] == []
    assert all(s.sentence.startswith(("No ", "Of ")) for s in difference(one, same))


def test_a_figure_moved_when_the_intervals_do_not_meet_or_the_verdict_changed() -> None:
    one = side(ONE, said(ONE, "holdout", check("objective", 0.9), check("b", 0.9), check("c", 0.505, 0.001)))
    two = side(TWO, said(TWO, "holdout", check("objective", 0.93), check("b", 0.905), check("c", 0.5, 0.001)))
    found = section(one, two, "quality")
    assert [(r.what, r.change) for r in found.moved] == [
        ("holdout: objective", "+0.03, better"),
        ("holdout: c", "-0.005, worse"),
    ]
    assert found.sentence == "2 of 3 figures moved: holdout: objective, holdout: c."
    assert found.rows[0].before == "✓ 0.9 [0.89, 0.91], n = 900"
    assert found.rows[2].after == "✕ 0.5 [0.499, 0.501], n = 900"


def test_a_failure_is_not_talked_away_by_a_later_pass_or_by_silence() -> None:
    words = [
        said(ONE, "load", check("p99", 0.9)),
        said(ONE, "load", check("p99", 0.4), minutes=5),
        said(ONE, "load", check("p99", 0.3), minutes=6),
        said(ONE, "load", check("p99", 0.9), minutes=9),
        said(ONE, "load", replace(check("p99", 0.9), measured=None), minutes=10),
    ]
    shown = side(ONE, *reversed(words)).latest
    assert shown == {"load": words[2]}, "the latest failure"
    assert gate_verdicts(words, candidate=ONE.id, required={"load"}) == {"load": Verdict.FAIL}
    assert side(ONE, *words[-2:]).latest == {"load": words[-1]}


def test_of_each_gate_the_last_word_counts_and_what_one_side_lacks_is_named() -> None:
    one = side(ONE, said(ONE, "load", check("p99", 0.9)), said(ONE, "load", check("p99", 0.7), minutes=5))
    two = side(TWO, said(TWO, "fairness", check("women", 0.8)))
    load, fairness = section(one, two, "latency and load"), section(one, two, "fairness")
    assert [(r.before, r.after) for r in load.rows] == [("✓ 0.7 [0.69, 0.71], n = 900", "not measured")]
    assert [(r.before, r.moved) for r in fairness.rows] == [("not measured", True)]


def test_features_say_what_callers_must_change() -> None:
    age = contract().inputs[0]
    new = Input(name="job title", type=DataType.STRING)
    after = side(TWO, inputs=(replace(age, maximum=100.0), new))
    found = section(side(ONE), after, "features")
    assert [(r.what, r.after, r.change) for r in found.rows] == [
        ("age", "number, 0 to 100; outside: reject", ""),
        ("job", "gone", "callers may no longer send it"),
        ("job title", "string; outside: reject", "callers must send it"),
    ]
    assert found.sentence == "3 inputs differ."


def test_changed_terms_data_and_size_are_named() -> None:
    moved = replace(TWO, lineage=replace(TWO.lineage, holdout_digest=digest("another holdout"), git_commit="abc"))
    after = replace(side(TWO, purpose="ranks callers", size=3_000_000), version=moved)
    sections = {s.title: s for s in difference(side(ONE), after)}
    assert [r.what for r in sections["data"].moved] == ["holdout", "served model", "git commit"]
    assert [(r.what, r.after) for r in sections["contract"].moved] == [("purpose", "ranks callers")]
    assert sections["size"].moved[0].change == "+50%"


GOAL = Goal(name="calls answered", measure="phone log", now=60, target=80, unit="%", by="2027-06-30")


@pytest.mark.parametrize(
    ("audience", "told", "silent"),
    [
        (Role.PRODUCT, ["calls answered: from 60 to 80 %", "## Quality", "Not for: set a price"], ["Load", "rollback"]),
        (Role.RISK, ["## Fairness", "Women are declined more often.", "lets the gate load through"], ["rollback"]),
        (Role.OPERATIONS, ["load: p99", "modelmark rollback --model loans", "50 requests/s"], ["Fairness"]),
        (Role.ENGINEERING, ["## Features", "callers must send it"], ["Fairness"]),
        (Role.DATA_SCIENCE, ["## Data", "## Features"], ["rollback"]),
    ],
)
def test_each_audience_reads_the_release_in_its_own_terms(audience: Role, told: list[str], silent: list[str]) -> None:
    one = side(ONE, said(ONE, "holdout", check("objective", 0.9)), said(ONE, "load", check("p99", 0.6)))
    two = side(
        TWO,
        said(TWO, "holdout", check("objective", 0.95)),
        said(TWO, "load", check("p99", 0.9)),
        said(TWO, "fairness", check("women", 0.4, sentence="Women are declined more often.")),
        inputs=(*contract().inputs, Input(name="new", type=DataType.NUMBER)),
        goals=(GOAL,),
    )
    waiver = Waiver(
        version=TWO.id, gate="load", name="Bob Ray", reason="pilot", expires_at=NOON + timedelta(days=9), at=NOON
    )
    text = release_notes(audience, two, one, [waiver])
    assert text.startswith(f"# loans v2 for {audience.value.replace('_', ' ')}\n")
    assert "which replaces v1" in text
    for words in told:
        assert words in text, text
    for words in silent:
        assert words not in text


def test_operations_read_their_figures_also_when_nothing_moved() -> None:
    one, two = (side(of, said(of, "load", check("p99", 0.9))) for of in (ONE, TWO))
    text = release_notes(Role.OPERATIONS, two, one)
    assert "- load: p99: ✓ 0.9 [0.89, 0.91], n = 900, no sure change" in text
    assert "no sure change" not in release_notes(Role.RISK, two, one)


def test_the_first_version_is_told_by_what_was_measured() -> None:
    first = side(ONE, said(ONE, "holdout", check("objective", 0.9, sentence="ROC AUC 0.9 on 900 rows.")))
    text = release_notes(Role.PRODUCT, first, None)
    assert "the first version" in text
    assert "- ✓ ROC AUC 0.9 on 900 rows." in text


def test_words_of_a_contract_begin_no_line_of_their_own() -> None:
    two = side(TWO, said(TWO, "holdout", check("objective", 0.95)), purpose="ranks\n# Approved by everybody\r\n- truly")
    text = release_notes(Role.PRODUCT, two, None)
    assert "ranks # Approved by everybody - truly" in text
    assert [line for line in text.splitlines() if line.startswith("# ")] == ["# loans v2 for product"]


def test_a_sentence_says_which_version_is_better_and_the_limit_says_which_way_is_good() -> None:
    at_most = Limit(bound=Bound.AT_MOST, value=100.0)
    slow, quick = (replace(check("p99", value, 1.0), limit=at_most) for value in (80.0, 20.0))
    one = side(ONE, said(ONE, "load", slow), said(ONE, "holdout", check("objective", 0.9), check("b", 0.9)))
    two = side(TWO, said(TWO, "load", quick), said(TWO, "holdout", check("objective", 0.8), check("b", 0.905)))
    words = balance(difference(one, two), "v2")
    assert (
        words
        == "v2 is surely better on 1 figure and worse on 1 figure; no other figure moved by more than its interval."
    )
    assert balance(difference(one, one), "v1").startswith("v1 is neither surely better nor surely worse")
    load = section(one, two, "latency and load")
    assert load.rows[0].change == "-60, better"


def test_what_reads_alike_does_not_differ() -> None:
    one, two = side(ONE, size=1_012), side(TWO, size=1_031)
    assert [row.what for row in section(one, two, "size").moved] == []
    assert "served model" in [row.what for row in section(one, two, "data").moved]
