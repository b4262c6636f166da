"""Decisions and scores that no model of ours made: counted exactly, and both sides of an impossible wish said."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from modelmark.app.usecases.audit_decisions import AuditDecisions
from modelmark.domain.errors import Rejected
from modelmark.gates.fairness.decisions import Question, audit
from modelmark.seal.digests import plain

#: Of each group: rightly yes, wrongly yes, missed, rightly no, as ProPublica counted in Broward County (Angwin et al. 2016).
CELLS = {"Black": (1369, 805, 532, 990), "White": (505, 349, 461, 1139)}


def decisions(cells: dict[str, tuple[int, int, int, int]], yes: Any = 1, no: Any = 0) -> pd.DataFrame:
    rows = [
        (group, said, real)
        for group, counts in cells.items()
        for (said, real), n in zip(((yes, yes), (yes, no), (no, yes), (no, no)), counts, strict=True)
        for _ in range(n)
    ]
    return pd.DataFrame(rows, columns=["race", "high", "again"]).sample(frac=1, random_state=0)


TABLE = decisions(CELLS)
ASKED = Question(target="again", decision="high", sensitive=("race",))


def test_every_group_is_counted_exactly_and_the_published_rates_come_out():
    found = audit(TABLE, ASKED).columns[0]
    counts, rates = found.tables[:2]
    assert counts.rows == (
        ("Black", 3696, 1901, 2174, 1369, 805, 532, 990), ("White", 2454, 966, 854, 505, 349, 461, 1139),
    )  # fmt: skip
    black, white = rates.rows
    assert [text.split(" ")[0] for text in black[2:]] == ["51.4", "58.8", "72.0", "44.8", "63.0"]
    assert [text.split(" ")[0] for text in white[2:]] == ["39.4", "34.8", "52.3", "23.5", "59.1"]
    assert black[5] == "44.8 [42.5, 47.2] of 1,795"


def test_both_sides_of_the_impossible_wish_are_said():
    found = audit(TABLE, ASKED).columns[0]
    text = " ".join(found.impossible)
    assert "equal precision (calibration)" in text
    assert "equal false positive and true positive rates" in text
    assert "cannot hold together" in text
    assert "false positive rate 44.8%, which would have to be" in text
    assert any(
        "wrongly decided yes" in said and "surely differs: Black and White by +21.4" in said for said in found.sentences
    )


def test_where_base_rates_are_alike_both_wishes_could_hold():
    found = audit(decisions({"a": (50, 50, 50, 50), "b": (51, 50, 49, 50)}), ASKED).columns[0]
    assert "could hold together" in found.impossible[0]
    assert all("no two groups surely differ" in said for said in found.sentences)


def test_a_score_means_the_same_in_each_group_or_it_is_shown():
    rng = np.random.default_rng(0)
    score = rng.integers(1, 11, 4000)
    group = np.where(rng.random(4000) < 0.5, "a", "b")
    real = rng.random(4000) < score / 10 - 0.15 * (group == "b")
    table = pd.DataFrame({"decile": score, "g": group, "again": real.astype(int)})
    asked = Question(target="again", score="decile", threshold=5, sensitive=("g",))
    found = audit(table, asked).columns[0]
    titles = {part.title.split(" by ")[0]: part for part in found.tables}
    meaning = titles["What a score means"]
    assert [row[0] for row in meaning.rows] == [str(value) for value in range(1, 11)]
    at_eight = (score == 8) & (group == "b")
    assert meaning.rows[7][2].startswith(f"{100 * real[at_eight].mean():.1f} [")
    assert sum(row[3] for row in found.tables[0].rows) == int((score >= 5).sum())
    assert any(
        "score minus truth" in row
        for row in titles["Pairs of groups, decisions for g: intervals of one rate hold together"].rows
    )
    assert "ROC AUC of the score" in titles


def test_rows_without_truth_or_decision_are_left_out_and_small_groups_named():
    table = pd.concat(
        [
            TABLE,
            pd.DataFrame(
                {"race": ["Other"] * 5 + ["Black"] * 2, "high": [1] * 6 + [None], "again": [0] * 5 + [None, 1]}
            ),
        ]
    )
    found = audit(table, ASKED)
    assert (found.rows, found.left_out) == (len(TABLE) + 5, 2)
    assert "too few to compare (fewer than 30 rows): Other (5)" in found.columns[0].sentences[0]
    assert found.columns[0].tables[0].rows[1][:2] == ("Other", 5)


def test_several_columns_are_crossed_too():
    table = TABLE.assign(sex=np.where(np.arange(len(TABLE)) % 2, "f", "m"))
    found = audit(table, Question(target="again", decision="high", sensitive=("race", "sex")))
    assert [column.column for column in found.columns] == ["race", "sex", "race × sex"]
    assert sum(row[1] for row in found.columns[2].tables[0].rows) == len(TABLE)


def test_decision_and_target_may_use_other_words():
    words = TABLE.assign(
        high=TABLE["high"].map({1: "granted", 0: "refused"}), again=TABLE["again"].map({1: "repaid", 0: "lost"})
    )
    asked = Question(target="again", decision="high", sensitive=("race",), positive="repaid", decided="granted")
    assert audit(words, asked).columns[0].tables[:2] == audit(TABLE, ASKED).columns[0].tables[:2]


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"target": "race", "sensitive": ("again",)}, "NO_POSITIVE", "--positive"),
        ({"positive": "9"}, "NO_POSITIVE", "--positive"),
        ({"decided": "9"}, "NO_POSITIVE", "--decided"),
        ({"target": "many"}, "WRONG_TASK", "many"),
        ({"decision": None, "score": "points"}, "NO_THRESHOLD", "--threshold"),
        ({"decision": None, "score": "race"}, "WRONG_TYPE", "--score"),
        ({"decision": "void"}, "WRONG_TASK", "void"),
    ],
)
def test_what_cannot_be_audited_says_what_to_say(change, code, field):
    table = TABLE.assign(many=np.arange(len(TABLE)) % 5, points=np.arange(len(TABLE)) * 2.0, void=np.nan)
    asked = {"target": "again", "decision": "high", "sensitive": ("race",), **change}
    with pytest.raises(Rejected) as caught:
        audit(table, Question(**asked))
    assert (caught.value.code, caught.value.field) == (code, field)


def test_the_report_is_one_page_that_loads_nothing_and_escapes_what_it_shows(tmp_path: Path) -> None:
    hostile = "<script>alert(1)</script>"
    decisions({hostile: (40, 10, 10, 40), "b": (40, 10, 10, 40)}).to_csv(tmp_path / "t.csv", index=False)
    act = AuditDecisions(clock=lambda: datetime(2026, 1, 1, tzinfo=UTC))
    found = act(tmp_path / "t.csv", ASKED, out=tmp_path / "o.html")
    page = (tmp_path / "o.html").read_text("utf-8")
    assert "200 rows" in page
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")
    assert json.loads(json.dumps(plain(found)))["rows"] == 200
