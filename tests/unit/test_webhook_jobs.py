"""Events go to each webhook by itself, once, over kills and dead receivers; what never arrives is a dead letter to be seen."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from standardwebhooks import Webhook as TheirWebhook

from builders.domain import NOON, contract, digest, finding, version
from builders.steward import watched
from modelmark.app.container import Container
from modelmark.app.usecases.alerting.read_deliveries import ReadDeliveries
from modelmark.domain.alerts.events import ALERT_EVENTS, VERSION_EVENTS, event_schema
from modelmark.domain.alerts.handling import Acknowledge
from modelmark.domain.alerts.outbox import MOST_TRIES
from modelmark.domain.alerts.webhooks import Webhook, new_secret, read_networks, read_webhooks
from modelmark.domain.audit import Act
from modelmark.domain.catalogue.monitor_settings import AlertResponse, Escalation, Monitors
from modelmark.domain.errors import Missing, NotYet
from modelmark.domain.people import Role
from modelmark.domain.settings import Settings
from modelmark.notify.webhooks import WebhookSender
from modelmark.steward.job import JobContext, Step
from modelmark.steward.jobs.call_webhooks import CallWebhooks
from modelmark.steward.jobs.escalate import Escalate
from modelmark.steward.jobs.queue_events import QueueEvents
from modelmark.web.openapi import document
from webhook_receiver import Receiver

SECRET = new_secret()
HOUSE = read_networks(["127.0.0.1"])
MINUTE = timedelta(minutes=1)


@pytest.fixture
def app(tmp_path: Path) -> Container:
    app = Container(Settings(workspace=tmp_path, actor="ann"), lambda: NOON)
    app.ledger.add_version(version())
    return app


@pytest.fixture
def receivers() -> Iterator[list[Receiver]]:
    both = [Receiver(), Receiver()]
    yield both
    for one in both:
        one.close()


def context(minutes: float = 0.0, monitors: Monitors | None = None) -> JobContext:
    at = NOON + minutes * MINUTE
    serving = [replace(watched(), contract=contract(monitors=monitors or Monitors()))]
    return JobContext(now=at, serving=serving, report=lambda fault: None, step=Step(at=at))


def queue(app: Container, *hooks: Webhook) -> QueueEvents:
    return QueueEvents(
        monitoring_store=app.monitoring_store, ledger=app.ledger, hooks=hooks, environment="production",
        public_url="https://mm.example",
    )  # fmt: skip


def call(app: Container, *hooks: Webhook, sender: Any = None) -> CallWebhooks:
    made = sender or WebhookSender(HOUSE, seconds=2)
    return CallWebhooks(monitoring_store=app.monitoring_store, hooks=hooks, sender=made, clock=lambda: NOON)


def through(job: CallWebhooks, minutes: float = 0.0) -> None:
    """Start what is due, wait for it, and note what became of it."""
    job.run(context(minutes))
    for one in list(job._calls.values()):
        assert one.thread is not None
        one.thread.join(10)
    job.run(context(minutes))


def told(app: Container, hook: Webhook, minutes: float = 60) -> list[dict[str, Any]]:
    found = app.monitoring_store.due_messages(NOON + minutes * MINUTE, hook=hook.id)
    return [json.loads(message.body) for message in found]


def hook(address: str = "https://hooks.example/x") -> Webhook:
    return read_webhooks([f"{address}#{SECRET}"])[0]


AGREED = Monitors(
    alerts={
        "drift": AlertResponse(owner=Role.RISK, runbook="https://wiki/drift", escalation=Escalation(to=Role.PRODUCT))
    }
)


def test_an_alerts_life_and_a_versions_way_are_told_each_as_its_schema_says(app: Container) -> None:
    job, target = queue(app, hook()), hook()
    job.run(context())  # what was before is not told
    later = replace(version("two"), number=2)
    app.ledger.add_version(later)
    audit, one, two = app.audit, version(), later
    audit.append("ann", Act.REGISTERED, two.id, model="loans", number=2)
    for gate in ("holdout", "load"):
        audit.append("ann", Act.MEASURED, two.id, gate=gate, verdict="pass", model="loans")
    audit.append("bob", Act.APPROVED, two.id, role="risk", name="Bob Ray", model="loans", evidence="e")
    audit.append("ann", Act.RELEASED, two.id, model="loans", share=1.0, snapshot=2, seen="v1", files={})
    audit.append("ann", Act.ROLLED_BACK, two.id, model="loans", to=one.id, reason="worse", snapshot=3, seen="v2")
    audit.append("ann", Act.SIGNED_IN, "ann")
    store = app.monitoring_store
    alert, _ = store.open_alert(finding(label="v1", arm="champion"), NOON)
    job.run(context(monitors=AGREED))
    Escalate(monitoring_store=store, told=True).run(context(31, AGREED))
    job.run(context(31, AGREED))
    store.close_alert(alert.id, NOON + 32 * MINUTE)
    job.run(context(32, AGREED))
    store.reopen_alert(alert.id)
    store.set_details(alert.id, replace(store.alert(alert.id).details, reopened=1))
    job.run(context(33, AGREED))
    job.run(context(34, AGREED))

    events = told(app, target)
    assert sorted(event["type"] for event in events) == sorted([*ALERT_EVENTS, *VERSION_EVENTS])
    described = document(["loans"])["webhooks"]
    for event in events:
        schema = described[event["type"]]["post"]["requestBody"]["content"]["application/json"]["schema"]
        assert schema == event_schema(event["type"])
        jsonschema.validate(event, schema, format_checker=jsonschema.FormatChecker())
        assert set(event["data"]) == set(schema["properties"]["data"]["properties"]), "every field told is described"
    said = {event["type"]: event["data"] for event in events}
    assert said["version.checked"]["gates"] == {"holdout": "pass", "load": "pass"}
    assert (said["version.retired"]["label"], said["version.retired"]["to"]) == ("v1", "v2")
    opened = said["alert.opened"]
    assert (opened["severity"], opened["owner"], opened["runbook"]) == ("inform", "risk", "https://wiki/drift")
    assert opened["link"] == f"https://mm.example/alerts/{alert.id}"
    (message,) = store.due_messages(NOON + timedelta(hours=1))
    assert (message.audience, message.severity) == ("product", "inform")
    assert "nobody took it in hand for 31 minutes" in message.title


def test_an_alert_that_somebody_has_in_hand_is_not_escalated(app: Container) -> None:
    alert, _ = app.monitoring_store.open_alert(finding(), NOON)
    app.handle_alert(alert.id, Acknowledge())
    Escalate(monitoring_store=app.monitoring_store, told=True).run(context(60, AGREED))
    assert app.monitoring_store.alert(alert.id).details.escalated_at is None
    assert app.monitoring_store.due_messages(NOON + timedelta(days=1)) == []


def test_nothing_is_told_twice_after_a_kill_and_nothing_old_to_a_webhook_that_comes_later(app: Container) -> None:
    app.monitoring_store.open_alert(finding(subject="old"), NOON)
    queue(app).run(context())
    queue(app, hook()).run(context())
    assert told(app, hook()) == []
    app.monitoring_store.open_alert(finding(subject="new"), NOON)
    for _ in range(2):
        queue(app, hook()).run(context())
    assert [event["data"]["subjects"] for event in told(app, hook())] == [["new"]]


def test_a_dead_webhook_holds_up_neither_the_others_nor_the_steward(app: Container, receivers: list[Receiver]) -> None:
    up, down = receivers
    down.status = 500
    hooks = [read_webhooks([one.url(SECRET)])[0] for one in receivers]
    queue(app, *hooks).run(context())
    for i in range(3):
        app.monitoring_store.open_alert(finding(subject=f"c{i}"), NOON)
    queue(app, *hooks).run(context())
    job = call(app, *hooks)
    through(job)
    assert len(up.got) == 3
    assert len(down.got) == 1, "the rest waits, it would fail as well"
    assert len({TheirWebhook(SECRET).verify(b.decode(), fresh(h, b))["data"]["id"] for h, b in up.got}) == 3
    waiting = app.monitoring_store.undelivered()
    assert [(one.tries, one.hook) for one in waiting] == [(1, hooks[1].id)] * 3
    down.status = 200
    through(job, 10)
    assert (len(down.got), app.monitoring_store.undelivered()) == (4, [])
    ids = [headers["webhook-id"] for headers, _ in down.got]
    assert ids[0] in ids[1:], "sent again, by the same id"


def fresh(headers: dict[str, str], body: bytes) -> dict[str, str]:
    """The same, signed now: the jobs' clock stands still, and the library wants a time of today."""
    from datetime import UTC, datetime

    at = datetime.now(UTC)
    assert int(headers["webhook-timestamp"]) == int(NOON.timestamp())
    signature = TheirWebhook(SECRET).sign(headers["webhook-id"], at, body.decode())
    assert TheirWebhook(SECRET).sign(headers["webhook-id"], NOON, body.decode()) == headers["webhook-signature"]
    return {**headers, "webhook-timestamp": str(int(at.timestamp())), "webhook-signature": signature}


class Unwell:
    tries = 0

    def send(self, hook: Webhook, id: str, at: Any, body: bytes) -> None:
        self.tries += 1
        raise NotYet("webhook 1 (https://hooks.example) answered 500", code="NOT_DELIVERED")


def test_what_never_arrives_is_a_dead_letter_that_is_seen_and_can_be_sent_again(app: Container) -> None:
    store, target, sender = app.monitoring_store, hook(), Unwell()
    store.queue_message("hook-x-msg_1", "alert.opened", "{}", NOON, audience=f"hook:{target.id}")
    job, minutes = call(app, target, sender=sender), 0.0
    for _ in range(MOST_TRIES + 5):
        through(job, minutes)
        minutes += 100
    assert sender.tries == MOST_TRIES
    assert store.due_messages(NOON + timedelta(days=99), hook=target.id) == []
    read = ReadDeliveries(monitoring_store=store, hooks=lambda: [target])
    (letter,) = read().messages
    assert (letter.dead, letter.to, read().dead, read().webhooks[0].dead) == (
        True,
        "webhook 1 (https://hooks.example)",
        1,
        1,
    )
    assert app.send_again() == 1
    assert read().messages[0].dead is False
    assert len(store.due_messages(NOON, hook=target.id)) == 1
    assert [event.act for event in app.ledger.events()] == ["sent again"]
    with pytest.raises(Missing) as caught:
        app.send_again(["nothing"])
    assert caught.value.code == "NO_MESSAGE"


def test_people_s_messages_die_too_and_what_waits_for_a_webhook_that_is_named_no_more_is_dead(app: Container) -> None:
    store = app.monitoring_store
    store.queue_message("opened-1", "t", "b", NOON)
    store.queue_message("hook-y-msg_1", "alert.opened", "{}", NOON, audience="hook:gone")
    for _ in range(MOST_TRIES):
        store.message_failed("opened-1", NOON, NOON, "down")
    assert store.due_messages(NOON) == []
    through(call(app))
    found = app.deliveries()
    assert (found.dead, [one.to for one in found.messages]) == (
        2,
        ["webhook gone, which is not named any more", "everybody"],
    )


def test_a_version_that_is_gone_holds_up_no_event(app: Container) -> None:
    job = queue(app, hook())
    job.run(context())
    app.audit.append("ann", Act.REGISTERED, digest("gone"), model="loans", number=9)
    app.audit.append("ann", Act.REGISTERED, version().id, model="loans", number=1)
    job.run(context())
    assert [event["data"]["label"] for event in told(app, hook())] == ["v1"]
