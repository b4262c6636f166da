"""People take alerts in hand: on record, in their names, and with something to go by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from builders.domain import NOON, contract, digest, finding, version
from builders.journal import AT, journal, label, predicted, refused
from builders.people import principal
from modelmark.app.container import Container
from modelmark.app.usecases.handle_alert import HandleAlert
from modelmark.app.usecases.predictions.rows_behind import RowsBehind
from modelmark.domain.alerts.handling import Acknowledge, Assign, Close, Snooze
from modelmark.domain.alerts.next_step import next_step
from modelmark.domain.errors import Conflict, Missing, ModelmarkError, NotPermitted, Rejected
from modelmark.domain.finding import Alert
from modelmark.domain.people import Role
from modelmark.domain.settings import Settings
from modelmark.domain.until import later_on
from modelmark.domain.workspace import Workspace
from modelmark.journal.tables.compact import compact
from modelmark.testing.ledger import MemoryLedger

HOUR = timedelta(hours=1)


@pytest.fixture
def app(tmp_path: Path) -> Container:
    return Container(Settings(workspace=tmp_path, actor="ann"), lambda: NOON)


@pytest.fixture
def alert(app: Container) -> Alert:
    return app.monitoring_store.open_alert(finding(label="v3", arm="canary"), NOON)[0]


def test_what_somebody_did_with_an_alert_stands_with_it_and_in_the_audit(app: Container, alert: Alert) -> None:
    handle = app.handle_alert
    handle(alert.id, Acknowledge())
    handle(alert.id, Assign(to=" Bob\n Ray "))
    now = handle(alert.id, Snooze(until=NOON + 4 * HOUR))
    assert now.handling == "acknowledged by ann, assigned to Bob Ray, snoozed until 2026-03-01 16:00 UTC"
    assert (now.is_snoozed(NOON), now.is_snoozed(NOON + 4 * HOUR)) == (True, False)
    assert now.closed_at is None
    over = handle(alert.id, Close(reason="understood"))
    assert (over.closed_at, over.details.ended) == (NOON, "closed by ann: understood")
    told = [(e.act, e.actor, e.subject) for e in app.ledger.events()]
    acts = ("acknowledged alert", "assigned alert", "snoozed alert", "closed alert")
    assert told == [(act, "ann", f"alert {alert.id}") for act in acts]
    assert app.ledger.events()[0].details["alert"] == "drift of age, loans v3, canary"


@pytest.mark.parametrize(
    ("act", "kind", "code"),
    [
        pytest.param(lambda h, a: h(a + 7, Acknowledge()), Missing, "NO_ALERT", id="of no alert"),
        pytest.param(lambda h, a: h(a, Assign(to="  ")), Rejected, "BAD_TEXT", id="to nobody"),
        pytest.param(lambda h, a: h(a, Close(reason="x" * 401)), Rejected, "BAD_TEXT", id="for an endless reason"),
        pytest.param(lambda h, a: h(a, Snooze(until=NOON)), Rejected, "BAD_TIME", id="until now"),
        pytest.param(
            lambda h, a: (h(a, Close(reason="done")), h(a, Acknowledge())), Conflict, "ALERT_OVER", id="once it is over"
        ),
    ],
)
def test_refused(
    app: Container, alert: Alert, act: Callable[[HandleAlert, int], object], kind: type[ModelmarkError], code: str
) -> None:
    with pytest.raises(kind) as error:
        act(app.handle_alert, alert.id)
    assert error.value.code == code
    assert error.value.field or error.value.hint


def test_where_there_are_accounts_one_of_them_has_to_act(app: Container, alert: Alert) -> None:
    bob = principal(app.people, "bob", "Bob Ray", Role.PRODUCT)
    with pytest.raises(NotPermitted):
        app.handle_alert(alert.id, Acknowledge())
    assert app.monitoring_store.alert(alert.id).handling == ""
    assert app.handle_alert(alert.id, Acknowledge(), by=bob).details.acknowledged_by == "Bob Ray"


def test_until_when_an_alert_asks_for_nobody() -> None:
    assert later_on("4h", now=NOON, field="until") == NOON + 4 * HOUR
    assert later_on("2d", now=NOON, field="until") == NOON + 48 * HOUR
    for text in ("h", "-4h", "4 h", "", "1e9h", "999999h"):
        with pytest.raises(Rejected) as error:
            later_on(text, now=NOON, field="until")
        assert (error.value.code, error.value.limit) == ("BAD_DATE", "4h, 2d or 2027-01-31")


def test_every_kind_of_alert_has_a_next_step_and_a_canary_is_ended(alert: Alert) -> None:
    assert "labels say whether answers are still right" in next_step(alert)
    worse = replace(alert, monitor="performance", subject="accuracy")
    assert "end the canary: modelmark rollback --model loans --reason WHY" in next_step(worse)
    champion = replace(worse, details=replace(worse.details, arm="champion"))
    assert "go back: modelmark rollback" in next_step(champion)
    assert f"modelmark alerts close {alert.id}" in next_step(replace(alert, monitor="steward", subject="segment 3"))
    assert "the gate load found" in next_step(replace(alert, monitor="steward", subject="waiver of load"))
    assert next_step(replace(alert, monitor="elsewhere")).startswith("Look at the rows")


class TestRowsBehind:
    @pytest.fixture(scope="class")
    def behind(self, tmp_path_factory: pytest.TempPathFactory) -> RowsBehind:
        root = tmp_path_factory.mktemp("behind")
        records = [predicted(f"p{k}", at=AT + k, ages=(float("nan") if k == 1 else 20.0 + k,)) for k in range(4)]
        other = predicted("other", at=AT + 9, version=digest("other").hex)
        journal(root, *records, other, refused(3), label("p0", 1), label("p2", 0), label("p3", 1))
        compact(Workspace(root))
        ledger = MemoryLedger()
        ledger.add_version(version())
        return RowsBehind(workspace=Workspace(root), ledger=ledger, contract_of=lambda _: contract())

    def seen(self, **changes: object) -> Alert:
        from modelmark.testing.monitoring_store import MemoryMonitoringStore

        found = finding(**changes)
        return MemoryMonitoringStore().open_alert(found, NOON + timedelta(seconds=1))[0]

    def test_of_an_input_that_moved_the_newest_rows_of_that_version_with_it(self, behind: RowsBehind) -> None:
        told = behind(self.seen())
        assert [row["id"] for row in told.rows] == ["p3", "p2", "p1", "p0"]
        assert [row["inputs"]["age"] for row in told.rows] == [23.0, 22.0, None, 20.0]

    def test_of_a_faulty_input_the_faulty_rows_first(self, behind: RowsBehind) -> None:
        told = behind(self.seen(monitor="quality"))
        assert [row["id"] for row in told.rows] == ["p1", "p3", "p2", "p0"]

    def test_of_a_loss_the_wrong_rows(self, behind: RowsBehind) -> None:
        told = behind(self.seen(monitor="performance", subject="accuracy"))
        answers = {row["id"]: (row["prediction"], row["label"]) for row in told.rows}
        assert answers
        assert all(answer != truth for answer, truth in answers.values())
        assert set(answers) in ({"p0", "p3"}, {"p2"})

    def test_of_refusals_what_callers_were_told(self, behind: RowsBehind) -> None:
        assert behind(self.seen(monitor="quality", subject="requests")).refused == [("OUT_OF_RANGE", "age", 3)]

    def test_of_a_version_that_is_not_here_that_it_is_not(self, behind: RowsBehind) -> None:
        told = behind(self.seen(version=digest("nobody")))
        assert (told.rows, told.refused) == ((), ())
        assert told.sentence.startswith("The rows cannot be read")
