"""Versions that serve no more are judged until their labels have come, as their own."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from builders.domain import NOON, digest
from builders.journal import AT, journal, label, predicted, schema
from builders.steward import book, steward, watched
from builders.workspace import Lived, quiet, spread
from modelmark.domain.finding import Outcome
from modelmark.journal.wal.records import Record
from modelmark.steward.job import Step
from modelmark.steward.jobs.monitor import MonitorVersions
from modelmark.steward.loop import Steward
from modelmark.steward.profiler import MonitoredVersion, Profiler
from modelmark.steward.serving_versions import ServingVersions

MINUTE = timedelta(minutes=1)
V2 = dataclasses.replace(watched(), version=digest("v2"), label="v2")
V1 = dataclasses.replace(watched(), label="v1")
LEFT = dataclasses.replace(V1, left=True)


class Inbox:
    def __init__(self) -> None:
        self.got: list[tuple[str, str]] = []

    def send(self, title: str, body: str, *, audience: str = "", severity: str = "") -> None:
        self.got.append((title, body))


def rows(version: MonitoredVersion, count: int) -> list[Record]:
    name = version.label
    return [
        schema(version=version.version.hex),
        *(predicted(f"{name}{i}", version=version.version.hex, at=AT + i) for i in range(count)),
    ]


def truth(version: MonitoredVersion, count: int, right: bool) -> list[Record]:
    return [label(f"{version.label}{i}", int(right), at=AT) for i in range(count)]


def look(root: Path, minute: int, serving: Sequence[MonitoredVersion], left: Sequence[MonitoredVersion] = ()) -> Step:
    inbox = Inbox()
    step = steward(root, inbox, serving=serving, left=left).step(NOON + minute * MINUTE)
    assert step.errors == []
    return step


def test_late_labels_of_a_version_that_has_left_are_its_own_loss(tmp_path: Path) -> None:
    journal(tmp_path, *rows(V1, 100), *rows(V2, 100))
    look(tmp_path, 1, [V1])
    assert look(tmp_path, 2, [V2], [LEFT]).opened == [], "no label has come"
    journal(tmp_path, *truth(V1, 100, False), *truth(V2, 100, True))
    found = [f for f in look(tmp_path, 3, [V2], [LEFT]).findings if f.monitor == "performance"]
    said = {f.version: (f.outcome, f.sentence) for f in found}
    assert said[V1.version][0] is Outcome.ALERT
    assert said[V1.version][1].startswith("v1 no longer serves. Accuracy is worse than promised: 0.000 on 100 labels")
    assert said[V2.version][0] is Outcome.OK
    assert [(a.version, a.monitor) for a in book(tmp_path).alerts(open_only=True)] == [(V1.version, "performance")]


def test_of_a_version_that_has_left_only_the_labels_are_judged(tmp_path: Path) -> None:
    journal(tmp_path, *rows(V1, 300), *rows(V2, 10), *truth(V1, 100, False))
    opened = {a.monitor for minute in (1, 2) for a in look(tmp_path, minute, [V1]).opened}
    assert opened == {"drift", "performance"}, "a single age and score"
    found = look(tmp_path, 3, [V2], [LEFT]).findings
    assert {f.monitor for f in found if f.version == V1.version} == {"performance"}
    assert {a.monitor for a in book(tmp_path).alerts(open_only=True) if a.version == V1.version} == {"performance"}
    look(tmp_path, 4, [V2])
    assert [a for a in book(tmp_path).alerts(open_only=True) if a.version == V1.version] == [], (
        "its labels are due no more"
    )


def test_where_nothing_serves_what_has_left_is_still_judged(tmp_path: Path) -> None:
    journal(tmp_path, *rows(V1, 60), *truth(V1, 60, False))
    assert [a.version for a in look(tmp_path, 1, [], [LEFT]).opened] == [V1.version]


def test_who_has_left_is_asked_once_a_minute_and_when_others_serve() -> None:
    asked: list[datetime] = []

    def ask(now: datetime) -> Sequence[MonitoredVersion]:
        asked.append(now)
        return [LEFT]

    serving = [V1]
    known = ServingVersions(lambda: serving, ask)
    known.refresh()
    assert [known.left(NOON + s * MINUTE / 60) for s in (0, 30, 59)] == [(LEFT,)] * 3
    assert len(asked) == 1
    serving[:] = [V2]
    known.refresh()
    known.left(NOON + MINUTE)
    known.left(NOON + MINUTE)
    assert asked == [NOON, NOON + MINUTE]
    known.left(NOON + 2 * MINUTE)
    assert len(asked) == 3


def test_tables_that_cannot_be_read_keep_nobody_from_those_that_serve(tmp_path: Path) -> None:
    def broken(now: datetime) -> Sequence[MonitoredVersion]:
        raise OSError("the tables are away")

    keeper = steward(tmp_path)
    keeper._serving._ask_left = broken
    step = keeper.step(NOON)
    assert {f.monitor for f in step.findings} >= {"quality", "drift", "performance"}
    assert any("the tables are away" in line for line in step.errors)


def test_a_departed_version_whose_files_are_gone_is_told_once_and_keeps_nobody_from_the_others(tmp_path: Path) -> None:
    case, hour = quiet(), timedelta(hours=1)
    life = Lived.at(tmp_path, NOON)
    ids = []
    for number in (1, 2, 3):
        at = NOON + (number - 4) * hour
        version = life.register(case, number, at)
        life.check(case, version, at)
        life.release(case, version, at)
        life.predict("churn", spread(at, at + hour, 20))
        ids.append(version.id)
    life.app.workspace.version(ids[0]).rename(tmp_path / "elsewhere")
    kept = book(tmp_path / "other")
    known = ServingVersions(list, life.app.monitored.left)
    look = MonitorVersions(
        workspace=life.app.workspace,
        monitoring_store=kept,
        profiler=Profiler(life.app.workspace, kept),
        serving=known,
        told=False,
    )
    steps = [
        Steward([look], known, kept, lambda: NOON, log=lambda line: None).step(NOON + m * MINUTE) for m in (0, 2, 4)
    ]
    ((said,), *later) = [step.errors for step in steps]
    assert said.startswith("v1 of churn has left and cannot be judged: ")
    assert later == [[], []]
    assert [one.version for one in known.left(NOON)] == [ids[1]]


def test_every_version_that_answered_is_judged_until_its_labels_have_come(tmp_path: Path) -> None:
    """The contract's labels take an hour; a day more is waited for them."""
    case, hour = quiet(), timedelta(hours=1)
    life = Lived.at(tmp_path, NOON)
    ids = []
    for number in (1, 2, 3):
        at = NOON + (number - 4) * hour
        version = life.register(case, number, at)
        life.check(case, version, at)
        life.release(case, version, at)
        if number != 2:  # which was released and never answered
            life.predict("churn", spread(at, at + hour, 20))
        ids.append(version.id)
    last = NOON - 2 * hour
    monitored = life.app.monitored
    assert [one.version for one in monitored()] == [ids[2]]
    assert [(one.version, one.label, one.left) for one in monitored.left(NOON)] == [(ids[0], "v1", True)]
    assert len(monitored.left(last + 24 * hour)) == 1
    assert monitored.left(last + 25 * hour) == []
    assert not any(one.left for one in monitored())
