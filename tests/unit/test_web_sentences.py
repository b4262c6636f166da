"""The sentence that opens each panel says what is so, or that we cannot tell and what would."""

from __future__ import annotations

import dataclasses

import pytest

from builders.domain import NOON, contract, finding, version
from modelmark.domain.contract import ModelSource, Outputs
from modelmark.domain.finding import Alert, Outcome
from modelmark.domain.metrics import Task
from modelmark.journal.tables.timeline import Span
from modelmark.web import sentences
from modelmark.web.sentences import card, latency, monitor, overall, rest, scores, traffic

BUSY = Span(rows=7200, requests=7200, p50_micros=400.0, p99_micros=1120.0)


def alert(model: str = "loans", sentence: str = "“age” moved by 0.31.") -> Alert:
    return Alert(
        id=1, model=model, version=version().id, monitor="drift", subject="age", sentence=sentence, opened_at=NOON,
        seen_at=NOON, count=1, closed_at=None,
    )  # fmt: skip


def found(subject: str, outcome: Outcome = Outcome.OK, **changes):
    return finding(subject=subject, outcome=outcome, sentence=f"{subject} said so.", **changes)


@pytest.mark.parametrize(
    ("models", "serving", "alerts", "said"),
    [
        (0, 0, [], "No model is here yet."),
        (1, 0, [], "Nothing needs you: 0 models serve, no alert is open."),
        (1, 1, [], "Nothing needs you: 1 model serves, no alert is open."),
        (3, 2, [], "Nothing needs you: 2 models serve, no alert is open."),
        (1, 1, ["loans"], "loans (1 alert) needs a look."),
        (3, 3, ["loans", "churn", "loans"], "2 of 3 models need a look: loans (2 alerts), churn (1 alert)."),
        (9, 9, list("abcde"), "5 of 9 models need a look: a (1 alert), b (1 alert), c (1 alert) and 2 more."),
    ],
)
def test_the_overview_says_how_many_models_need_a_look_and_which(models, serving, alerts, said):
    assert overall([alert(model) for model in alerts], models, serving) == said


def test_a_card_tells_the_newest_alert_or_that_there_is_none():
    assert card([alert(), alert(sentence="older")], released=True) == "“age” moved by 0.31."
    assert card([], released=True) == "No alert is open."
    assert card([], released=False) == "Nothing is released yet."


@pytest.mark.parametrize(
    ("span", "refused", "said"),
    [
        (Span(), 0, "No request was answered in this span."),
        (Span(), 1, "No request was answered in this span. 1 was refused."),
        (BUSY, 0, "7,200 requests answered, 2.0 a second; none was refused."),
        (BUSY, 1200, "7,200 requests answered, 2.0 a second; 1,200 were refused."),
        (Span(rows=1, requests=1), 0, "1 request answered, 1.0 an hour; none was refused."),
        (
            Span(rows=14400, requests=7200, fallbacks=3),
            0,
            "7,200 requests (14,400 rows) answered, 2.0 a second; none was refused. 3 rows got a fallback's answer.",
        ),
    ],
)
def test_traffic_says_how_many_how_fast_and_how_many_were_refused(span, refused, said):
    assert traffic(span, 3600.0, refused) == said


@pytest.mark.parametrize(
    ("requests", "seconds", "said"),
    [
        (7200, 3600, "2.0 a second"),
        (3600, 3600, "1.0 a second"),
        (90, 3600, "1.5 a minute"),
        (20, 86400, "0.8 an hour"),
    ],
)
def test_a_rate_is_in_a_unit_that_leaves_a_readable_number(requests, seconds, said):
    assert sentences.rate(requests, seconds) == said


def test_latency_is_held_to_what_was_agreed():
    promise = contract().serving.p99_ms
    said = latency(BUSY, contract())
    assert said.startswith(f"99 of 100 requests took at most 1.12 ms in the server, as agreed (≤ {promise:g} ms)")
    assert said.endswith("half took at most 0.40 ms; n = 7,200.")
    slow = dataclasses.replace(BUSY, p99_micros=promise * 1000 + 1)
    assert "slower than agreed" in latency(slow, contract())
    assert latency(Span(), contract()).startswith("Cannot tell")


def test_scores_count_decisions_not_bins():
    agreed = contract(outputs=Outputs(classes=(0, 1), positive=1, threshold=0.37))
    span = dataclasses.replace(BUSY, decided={"1": 720, "0": 6480})
    assert scores(span, agreed, None) == "10% of rows were decided as “1” (score ≥ 0.37); n = 7,200."
    assert "on the holdout about 30%" in scores(span, agreed, [0.7 / 7] * 7 + [0.3 / 13] * 13)
    assert scores(Span(), agreed, None) == "Cannot tell: no row carries a score in this span."
    none = dataclasses.replace(BUSY, decided={"0": 7200})
    assert scores(none, agreed, None).startswith("0% of rows")


def test_the_positive_class_is_written_as_its_label_is():
    agreed = contract(outputs=Outputs(classes=(False, True), positive=True))
    assert "“true”" in scores(dataclasses.replace(BUSY, decided={"true": 7200}), agreed, None)


def test_scores_of_many_classes_name_the_most_frequent_answer():
    agreed = contract(model=ModelSource(source="m", task=Task.MULTICLASS), outputs=Outputs(classes=("a", "b", "c")))
    span = dataclasses.replace(BUSY, decided={"a": 1, "b": 7}, mean_score=0.934)
    assert scores(span, agreed, None) == (
        "“b” was the answer most often, for 88% of rows; the chosen class had a probability of 93% on average; n = 8."
    )


def test_values_of_a_regression_are_told_with_their_unit():
    agreed = contract(model=ModelSource(source="m", task=Task.REGRESSION), outputs=Outputs(unit="EUR"))
    span = dataclasses.replace(BUSY, values=(1.25, 20.0, 99.5))
    assert (
        scores(span, agreed, None) == "Half of the values lie below 20 EUR, 9 of 10 between 1.25 and 99.5; n = 7,200."
    )
    assert scores(Span(), agreed, None) == "Cannot tell: no row carries a value in this span."


def test_a_monitor_without_a_look_says_what_is_missing():
    assert monitor([], "nothing yet") == "nothing yet"


def test_alerts_come_before_everything_else_the_largest_first():
    now = [found("a"), found("b", Outcome.ALERT, measured=0.2), found("c", Outcome.ALERT, measured=0.5)]
    assert monitor(now, "") == "c said so. 1 more alert below."
    assert monitor([*now, found("d", Outcome.ALERT, measured=0.1)], "") == "c said so. 2 more alerts below."
    assert monitor(now[:2], "") == "b said so."


def test_what_cannot_be_told_is_never_called_well():
    unknown = found("a", Outcome.CANNOT_TELL)
    assert monitor([unknown, found("b", Outcome.CANNOT_TELL)], "") == "a said so."
    said = monitor([found("b"), found("c"), unknown], "")
    assert said == "2 of 3 held their limits in the last window, of the others we cannot tell. a said so."


def test_that_all_is_well_counts_inputs_apart_from_score_and_requests():
    assert monitor([found("a", n=5), found("b", n=1200), found("score")], "") == (
        "All 2 inputs and the score held their limits in the last window; n = 1,200."
    )
    assert monitor([found("a"), found("requests")], "").startswith(
        "The only input and the share of refused requests held"
    )
    assert monitor([found("roc_auc")], "") == "roc_auc said so."


def test_what_a_chart_leaves_out_is_said_with_its_largest():
    assert rest([], percent=False) == ""
    assert rest([found("a", high=0.034)], percent=False) == ("1 more is not drawn; no interval among them passes 0.03.")
    assert rest([found("a", high=0.034), found("b", high=None, measured=0.05)], percent=True) == (
        "2 more are not drawn; no interval among them passes 5.0%."
    )
