"""The product publishes how many of its own alerts were worth somebody's time, and how sure that is."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from builders.domain import NOON, contract, finding
from modelmark.app.container import Container
from modelmark.contract.rules import rule_violations
from modelmark.domain.alerts.handling import Close, Rate
from modelmark.domain.alerts.harm import Severity, severity_of
from modelmark.domain.catalogue.monitor_settings import AlertResponse, Escalation, Monitors, response_to
from modelmark.domain.errors import Rejected
from modelmark.domain.finding import Rating
from modelmark.domain.people import Role
from modelmark.domain.settings import Settings
from modelmark.steward.alerts import tell
from modelmark.steward.responses import Responses

DAY = timedelta(days=1)


@pytest.fixture
def app(tmp_path: Path) -> Container:
    return Container(Settings(workspace=tmp_path, actor="ann"), lambda: NOON)


def test_precision_is_of_those_rated_with_the_exact_interval_by_monitor_and_model_over_the_span_asked(
    app: Container,
) -> None:
    ratings = [Rating.USEFUL] * 7 + [Rating.NOISE] * 3 + [None] * 2
    for i, rating in enumerate(ratings):
        monitor = "drift" if i < 6 else "performance"
        model = "loans" if i % 2 else "churn"
        alert, _ = app.monitoring_store.open_alert(finding(subject=f"c{i}", monitor=monitor, model=model), NOON - DAY)
        if rating:
            app.handle_alert(alert.id, Close(reason="mended"))
            app.handle_alert(alert.id, Rate(rating=rating))
    old, _ = app.monitoring_store.open_alert(finding(subject="old"), NOON - 40 * DAY)
    app.handle_alert(old.id, Rate(rating=Rating.NOISE))

    report = app.alert_precision(days=30)
    total = report.total
    assert (total.alerts, total.rated, total.useful, total.share) == (12, 10, 7, 0.7)
    assert (round(total.low, 4), round(total.high, 4)) == (0.3475, 0.9333), "Clopper & Pearson of 7 in 10"
    assert report.sentence == (
        "Alert precision of the last 30 days: 70% useful (7 of 10; 95% interval 35% to 93%); 10 of 12 alerts rated."
    )
    assert [(one.name, one.alerts, one.rated, one.useful) for one in report.monitors] == [
        ("drift", 6, 6, 6), ("performance", 6, 4, 1),
    ]  # fmt: skip
    assert [one.name for one in report.models] == ["churn", "loans"]
    assert app.alert_precision(days=90).total.rated == 11
    acts = [event for event in app.ledger.events() if event.act == "rated alert"]
    assert (len(acts), acts[-1].details["rating"]) == (11, "noise")


def test_where_nobody_rated_anything_nothing_is_claimed_and_the_last_word_counts(app: Container) -> None:
    alert, _ = app.monitoring_store.open_alert(finding(), NOON)
    assert (app.alert_precision().total.share, app.alert_precision().total.sentence) == (
        None, "Cannot tell: 0 of 1 alerts rated.",
    )  # fmt: skip
    for rating in (Rating.NOISE, Rating.USEFUL):
        now = app.handle_alert(alert.id, Rate(rating=rating))
    assert now.handling == "useful, says ann"
    assert app.alert_precision().total.share == 1.0
    for days in (0, 3_651):
        with pytest.raises(Rejected) as caught:
            app.alert_precision(days=days)
        assert caught.value.code == "BAD_DAYS"


@pytest.mark.parametrize(
    ("monitor", "subject", "severity"),
    [
        ("performance", "accuracy", Severity.PAGE),
        ("service", "errors", Severity.PAGE),
        ("quality", "requests", Severity.PAGE),
        ("steward", "disk", Severity.PAGE),
        ("quality", "age", Severity.TICKET),
        ("steward", "age", Severity.TICKET),
        ("their_own", "x", Severity.TICKET),
        ("drift", "age", Severity.INFORM),
    ],
)
def test_severity_follows_harm(app: Container, monitor: str, subject: str, severity: Severity) -> None:
    alert, _ = app.monitoring_store.open_alert(finding(monitor=monitor, subject=subject), NOON)
    assert severity_of(alert) is severity


def test_each_owner_hears_of_their_own_alerts_as_loud_as_the_worst_with_runbook_and_link(app: Container) -> None:
    settings = Monitors(
        alerts={
            "performance": AlertResponse(owner=Role.RISK, runbook="https://wiki/p"),
            "default": AlertResponse(owner=Role.OPERATIONS),
        }
    )
    responses = Responses(public_url="https://mm.example", of_model={"loans": settings})
    found = [finding(monitor=one, subject=f"{one} x") for one in ("performance", "drift", "quality")]
    tell(app.monitoring_store, found, NOON, every=timedelta(minutes=1), queue=True, responses=responses)
    messages = {message.audience: message for message in app.monitoring_store.due_messages(NOON)}
    assert {to: message.severity for to, message in messages.items()} == {"risk": "page", "operations": "ticket"}
    assert "Runbook: https://wiki/p" in messages["risk"].body
    assert "https://mm.example/alerts/1" in messages["risk"].body
    assert "Runbook" not in messages["operations"].body


@pytest.mark.parametrize(
    ("alerts", "broken"),
    [
        (
            {"drift": AlertResponse(runbook="https://wiki/x"), "service": AlertResponse(), "default": AlertResponse()},
            [],
        ),
        ({"drfit": AlertResponse()}, ["drfit"]),
        ({"drift": AlertResponse(runbook="javascript:alert(1)")}, ["runbook"]),
        ({"drift": AlertResponse(runbook="https://user:pw@wiki/x")}, ["runbook"]),
        ({"drift": AlertResponse(runbook="https://w/" + "x" * 491)}, ["runbook"]),
        ({"drift": AlertResponse(runbook="https://w/" + "x" * 490)}, []),
        ({"drift": AlertResponse(escalation=Escalation(after_minutes=1.0))}, []),
        ({"drift": AlertResponse(escalation=Escalation(after_minutes=0.9))}, ["after_minutes"]),
        ({"drift": AlertResponse(escalation=Escalation(after_minutes=10_081))}, ["after_minutes"]),
    ],
)
def test_who_answers_is_held_to_rules(alerts: dict[str, AlertResponse], broken: list[str]) -> None:
    found = [
        v for v in rule_violations(contract(monitors=Monitors(alerts=alerts))) if v.path[:2] == ("monitors", "alerts")
    ]
    assert [violation.path[-1] for violation in found] == broken


def test_a_monitor_without_an_answer_of_its_own_has_the_default_one() -> None:
    settings = Monitors(alerts={"default": AlertResponse(owner=Role.RISK), "drift": AlertResponse()})
    assert (response_to(settings, "quality").owner, response_to(settings, "drift").owner) == (Role.RISK, None)
    assert response_to(Monitors(), "drift") == AlertResponse()
