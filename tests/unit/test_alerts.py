"""One story is told once when it begins and once when it ends; what cannot be sent waits longer each time."""

from __future__ import annotations

import random
from datetime import timedelta
from pathlib import Path

from builders.domain import NOON, finding, version
from builders.steward import book
from modelmark.domain.errors import NotYet
from modelmark.domain.finding import Outcome
from modelmark.steward.alerts import PER_STEP, send_due, tell

MINUTE = timedelta(minutes=1)


def test_an_alert_closes_only_after_two_quiet_looks_running(tmp_path: Path) -> None:
    watch = book(tmp_path)
    bad, well, unsure = (finding(outcome=o) for o in (Outcome.ALERT, Outcome.OK, Outcome.CANNOT_TELL))
    still_open = []
    for minute, seen in enumerate([bad, well, bad, unsure, unsure, unsure, well]):
        tell(watch, [seen], NOON + minute * MINUTE, every=MINUTE, queue=True)
        still_open.append(len(watch.alerts(open_only=True)))
    assert still_open == [1, 1, 1, 1, 1, 1, 0]
    assert len(watch.due_messages(NOON + 10 * MINUTE)) == 2


def test_everything_that_opens_in_one_look_is_one_message(tmp_path: Path) -> None:
    watch = book(tmp_path)
    tell(watch, [finding(subject=f"c{i}", sentence=f"c{i} moved.") for i in range(5)], NOON, every=MINUTE, queue=True)
    (message,) = watch.due_messages(NOON)
    assert message.title == "loans: drift of c0, drift of c1, drift of c2 and 2 more needs a look"
    assert message.body.count("moved.") == 5


def test_an_alert_and_its_message_name_the_version_and_the_arm(tmp_path: Path) -> None:
    watch = book(tmp_path)
    tell(watch, [finding(label="v3", arm="canary"), finding(subject="job")], NOON, every=MINUTE, queue=True)
    assert {a.about for a in watch.alerts()} == {"v3, canary", version().id.short}
    (message,) = watch.due_messages(NOON)
    assert "(v3, canary, since" in message.body


class Down:
    def send(self, title: str, body: str, *, audience: str = "", severity: str = "") -> None:
        raise NotYet("not delivered to 1 (json)")


def test_a_message_nobody_takes_waits_longer_each_time_up_to_an_hour_or_so(tmp_path: Path) -> None:
    watch, now, waits = book(tmp_path), NOON, []
    watch.queue_message("k", "t", "b", now)
    for _ in range(12):
        assert send_due(watch, Down(), now, random.Random(0)) == (0, ["not delivered to 1 (json)"])
        began = now
        while not watch.due_messages(now):
            now += timedelta(seconds=5)
        waits.append(now - began)
    assert waits == sorted(waits)
    assert waits[0] < timedelta(seconds=30)
    assert timedelta(minutes=30) <= waits[-1] <= timedelta(minutes=91)


def test_one_step_sends_a_bounded_number(tmp_path: Path) -> None:
    class Up:
        def send(self, title: str, body: str, *, audience: str = "", severity: str = "") -> None: ...

    watch = book(tmp_path)
    for i in range(PER_STEP + 3):
        watch.queue_message(f"k{i}", "t", "b", NOON)
    assert [send_due(watch, Up(), NOON, random.Random(0))[0] for _ in range(3)] == [PER_STEP, 3, 0]
