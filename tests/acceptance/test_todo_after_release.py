"""To-dos about a model that is live, one test each: what goes wrong there is told, and what goes well stays quiet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from builders.workspace import LOOK, Case, Lived, spread, tumours
from inbox import Inbox
from modelmark import Client
from modelmark.domain.finding import Alert, Outcome
from modelmark.domain.version import DESCRIPTION
from modelmark.journal.tables.compact import compact
from modelmark.journal.tables.query import find
from modelmark.journal.wal.records import Refused
from modelmark.journal.wal.writer import Writer
from modelmark.notify.apprise import AppriseNotifier
from modelmark.seal.digests import canonical
from modelmark.serving.supervisor import running
from modelmark.steward.jobs import builtin
from modelmark.steward.loop import Steward
from modelmark.steward.serving_versions import ServingVersions

HOUR = timedelta(hours=1)
HOURS = 3


class Live:
    """A released model with some hours of life, and a steward that tells an inbox."""

    def __init__(self, root: Path, case: Case) -> None:
        self.lived, self.case, self.inbox = Lived.at(root), case, Inbox()
        self.begun = self.lived.now - HOURS * HOUR
        version = self.version = self.lived.register(case, 1, self.begun - HOUR)
        (self.lived.app.workspace.version(version.id) / DESCRIPTION).write_bytes(canonical(version))
        self.lived.check(case, version, self.begun - HOUR)
        self.lived.release(case, version, self.begun - HOUR)

    def asked(self, rows: int = 1500, **how: Any) -> list[str]:
        return self.lived.predict(self.case.contract.name, spread(self.begun, self.lived.now, rows), **how)

    def steward(self) -> Steward:
        app = self.lived.app
        serving = ServingVersions(app.monitored, app.monitored.left)
        jobs = builtin(
            app.workspace, app.monitoring_store, serving, AppriseNotifier([self.inbox.url]), witness=app.witness
        )
        return Steward(jobs, serving, app.monitoring_store, lambda: self.lived.now, log=lambda line: None, told=True)

    def watch(self, hours: int = HOURS) -> list[Alert]:
        """A look at every half hour, until now; what is open then."""
        steward = self.steward()
        for back in range(int(hours * HOUR / LOOK), -1, -1):
            assert not steward.step(self.lived.now - back * LOOK).errors
        return list(self.lived.app.monitoring_store.alerts(open_only=True))


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    found = Live(tmp_path, tumours())
    yield found
    found.inbox.close()


def test_ongoing_monitoring(live: Live) -> None:
    live.asked(label_after=timedelta(minutes=10))
    assert live.watch() == [], "a quiet day pages nobody"
    found = live.lived.app.monitoring_store.findings("tumours", limit=10_000)
    assert {f.monitor for f in found} >= {
        "quality",
        "drift",
        "performance",
        "volume",
        "estimate",
        "calibration",
        "service",
    }
    assert {f.outcome for f in found} <= {Outcome.OK, Outcome.CANNOT_TELL}
    assert all(f.sentence for f in found)

    steward = live.steward()
    away = live.lived.now + 3 * HOUR
    steward.step(away)
    told = [f.sentence for f in live.lived.app.monitoring_store.findings("tumours") if f.subject == "watch"]
    assert any(said.startswith("Nobody watched from") for said in told)


def test_data_quality_and_performance_monitored(live: Live) -> None:
    upside_down = replace(live.case, y=[1 - value for value in live.case.y])
    live.lived.released["tumours"] = (upside_down, live.version)
    live.asked(label_after=timedelta(minutes=10))
    with Writer(live.lived.app.workspace.wal) as writer:
        at = int((live.lived.now - timedelta(minutes=30)).timestamp() * 1e9)
        writer.append_many(
            [Refused(at, "tumours", "OUT_OF_RANGE", "mean radius", 900, live.version.id.hex, "champion")]
        )
    found = {(alert.monitor, alert.subject): alert for alert in live.watch()}
    assert found["performance", "roc_auc"].sentence.startswith("ROC AUC is worse than promised: 0.0")
    assert "of requests refused" in found["quality", "requests"].sentence
    assert "mostly OUT_OF_RANGE in mean radius" in found["quality", "requests"].sentence


def test_drift_noticed(live: Live) -> None:
    live.asked(shifted={"mean radius": 5.0}, since=live.lived.now - 2 * HOUR, label_after=timedelta(minutes=10))
    (alert,) = live.watch()
    assert (alert.monitor, alert.subjects) == ("drift", ("mean radius",))
    assert alert.opened_at > live.lived.now - 2 * HOUR


def test_anomalies_watched(live: Live) -> None:
    """One value that cannot be, among fifteen hundred: no share of anything moves."""
    last = spread(live.begun, live.lived.now, 1500)[-1]
    live.asked(shifted={"mean texture": 5_500.0}, since=last, label_after=timedelta(minutes=10))
    live.lived.now += LOOK
    alerts = live.watch(hours=1)
    assert [(alert.monitor, alert.subject) for alert in alerts] == [("quality", "mean texture")]
    assert "“mean texture” held 1 value that cannot be" in alerts[0].sentence


def test_alerts(live: Live) -> None:
    live.asked(
        shifted={"mean radius": 5.0, "mean texture": 6.0},
        since=live.lived.now - 2 * HOUR,
        label_after=timedelta(minutes=10),
    )
    (alert,) = live.watch()
    assert sorted(alert.subjects) == ["mean radius", "mean texture"], "one cause is one alert"
    (message,) = live.inbox.got
    assert "drift of 2 columns" in message["title"]
    assert f"modelmark alerts show {alert.id}" in message["message"]
    assert live.lived.app.handle_alert is not None
    live.watch(hours=0)
    assert len(live.inbox.got) == 1, "while it lasts it is told once"


def test_predictions_and_feedback_logged(live: Live) -> None:
    workspace, row = live.lived.app.workspace, live.case.x.iloc[0].to_dict()
    options = ("--seal-after", "0.1")
    with running(workspace, worker_options=options) as supervisor, Client(supervisor.address) as client:
        answer = client.predict("tumours", [row, row], entity="anna")
        assert client.label("tumours", [(answer.id, 0, 1), (answer.id, 1, 0)], source="crm") == 2
    compact(workspace, live.lived.app.witness)
    first, second = find(workspace, answer.id)
    assert (first["entity"], first["num_mean_radius"], first["version"]) == (
        "anna",
        row["mean radius"],
        live.version.id.hex,
    )
    assert (first["label"], second["label"]) == ("1", "0")
    assert first["score"] == pytest.approx(answer.answers[0].score)


def test_feedback_in_real_time(live: Live) -> None:
    """Whoever knows no id says what was true of whom and when; the live metric has it in the next looks."""
    workspace, app = live.lived.app.workspace, live.lived.app
    rows = [row.to_dict() for _, row in live.case.x.iloc[:120].iterrows()]
    options = ("--seal-after", "0.1")
    with running(workspace, worker_options=options) as supervisor, Client(supervisor.address) as client:
        for place, row in enumerate(rows):
            client.predict("tumours", [row], entity=f"slide {place}")
        moment = datetime.now(UTC)
        assert client.observe("tumours", [(f"slide {i}", moment, live.case.y[i]) for i in range(len(rows))]) == 120
    steward = live.steward()
    for look in range(3):
        live.lived.now = datetime.now(UTC) + look * LOOK
        assert not steward.step(live.lived.now).errors
    (found,) = app.monitoring_store.findings("tumours", monitor="performance", limit=1)
    assert found.n == 120
