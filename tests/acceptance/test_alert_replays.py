"""What happens to models, told again to the steward's real jobs by the minute: each time the alerts that somebody tired should
see, in the order in which they should be seen, and no other."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from builders.domain import NOON, digest
from builders.journal import AT, journal, label, pid, predicted, schema
from builders.steward import DEAL, book, steward, watched
from modelmark.domain.alerts.harm import by_harm
from modelmark.domain.alerts.next_step import next_step
from modelmark.domain.alerts.recording import end_journal_fault, tell_journal_fault
from modelmark.domain.catalogue.monitor_settings import DriftMonitor
from modelmark.domain.contract import Contract, DataType, Input, Labels
from modelmark.domain.workspace import Workspace
from modelmark.journal.wal.records import Labelled, Predicted, Record, Refused
from modelmark.stats.profile import reference
from modelmark.steward.profiler import MonitoredVersion

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
CHAMPION = dataclasses.replace(watched(), label="v1", arm="champion")
CANARY = dataclasses.replace(watched(), version=digest("v2"), label="v2", arm="canary")
Rows = Sequence[tuple[float, str, float]]


class Inbox:
    def __init__(self) -> None:
        self.titles: list[str] = []

    def send(self, title: str, body: str, *, audience: str = "", severity: str = "") -> None:
        self.titles.append(title)


class Replay:
    """Traffic and looks of one workspace. Looks are a minute apart at least, as the contract has it."""

    def __init__(self, root: Path, *serving: MonitoredVersion) -> None:
        self.root, self.inbox, self.serving = root, Inbox(), list(serving)
        self.left: list[MonitoredVersion] = []
        self.keeper = self._begun()
        self.sent = 0

    def _begun(self):  # type: ignore[no-untyped-def]
        return steward(self.root, self.inbox, serving=self.serving, left=self.left)

    def write(self, records: Iterable[Record], version: MonitoredVersion = CHAMPION) -> None:
        contract = version.contract
        told = schema(
            version=version.version.hex,
            numeric=[i.name for i in contract.numeric()],
            text=[i.name for i in contract.textual()],
        )
        journal(self.root, told, *records)

    def asked(
        self,
        start: datetime,
        count: int,
        *,
        over: timedelta = MINUTE,
        version: MonitoredVersion = CHAMPION,
        seed: int = 0,
    ) -> list[Predicted]:
        """Ordinary rows, evenly over a span of time."""
        rng = np.random.default_rng(seed)
        ages, jobs, scores = rng.normal(40, 10, count), rng.choice(["a", "b"], count), rng.beta(2, 2, count)
        first, step = _ns(start), int(over / timedelta(microseconds=1)) * 1000 // count
        self.sent += count
        return [
            predicted(
                pid(f"{self.sent}-{seed}-{i}"), at=first + i * step, ages=(float(ages[i]),), jobs=(str(jobs[i]),),
                score=float(scores[i]), version=version.version.hex, arm=version.arm,
            )
            for i in range(count)
        ]  # fmt: skip

    def look(self, *at: datetime) -> list[tuple[str, str, str]]:
        """The open alerts after the last of these looks, the worst first: monitor, what about, and whose."""
        for now in at:
            step = self.keeper.step(now)
            assert step.errors == []
        return [(a.monitor, a.topic, a.about) for a in by_harm(book(self.root).alerts(open_only=True, limit=1000))]


def _ns(at: datetime) -> int:
    return AT + int((at - NOON) / timedelta(microseconds=1)) * 1000


def minutes(*at: float) -> list[datetime]:
    return [NOON + minute * MINUTE for minute in at]


def test_128_sensors_that_drift_are_one_alert(tmp_path: Path) -> None:
    names = [f"sensor {k:03}" for k in range(128)]
    contract: Contract = dataclasses.replace(
        DEAL, inputs=tuple(Input(name=name, type=DataType.NUMBER) for name in names)
    )
    rng = np.random.default_rng(0)
    score = rng.beta(2, 2, 1000)
    train = pd.DataFrame(rng.normal(size=(2000, 128)), columns=names)
    made = reference(contract, train, np.stack([1 - score, score], axis=1))
    plant = dataclasses.replace(CHAMPION, version=digest("plant"), contract=contract, reference=made)
    replay = Replay(tmp_path, plant)
    for minute in range(3):
        rows, scores = rng.normal(0.0 if minute == 0 else 0.9, 1, (500, 128)), rng.beta(2, 2, 500)
        told = {"at": _ns(NOON + minute * 12 * MINUTE), "version": plant.version.hex, "jobs": (), "rows": 1}
        packed = np.stack([1 - scores, scores], axis=1).astype("<f8")
        replay.write(
            (
                predicted(pid(f"{minute}-{i}"), ages=tuple(row), scores=packed[i].tobytes(), **told)
                for i, row in enumerate(rows)
            ),
            plant,
        )
    assert replay.look(*minutes(1)) == []
    assert replay.look(*minutes(13, 14)) == [("drift", "128 columns", "v1, champion")]
    assert replay.look(*minutes(25)) == [("drift", "128 columns", "v1, champion")]
    assert replay.inbox.titles == ["loans v1, champion: drift of 128 columns needs a look"]


def test_nights_and_weekends_are_quiet_and_an_outage_by_day_is_not(tmp_path: Path) -> None:
    hourly = dataclasses.replace(
        DEAL, labels=Labels(), monitors=dataclasses.replace(DEAL.monitors, window_minutes=60.0, every_seconds=1800.0)
    )
    office = dataclasses.replace(CHAMPION, contract=hourly)
    replay = Replay(tmp_path, office)
    midnight = NOON.replace(hour=0)
    records: list[Record] = []
    for day in (*range(5), *range(7, 12), 14):  # two weeks of five days from eight to six, then the Monday until noon
        opens, hours = midnight + day * DAY + 8 * HOUR, 4 if day == 14 else 10
        for burst in range(4 * hours):  # ten at a time, every quarter of an hour
            records += replay.asked(opens + burst * 15 * MINUTE, 10, over=MINUTE / 6, seed=day)
    replay.write(records, office)
    for day in range(7, 14):
        for hour in (7, 13, 18.5, 23):
            assert replay.look(midnight + day * DAY + hour * HOUR) == [], (day, hour)
    monday = midnight + 14 * DAY
    assert replay.look(monday + 11.5 * HOUR, monday + 12 * HOUR) == []
    assert replay.look(monday + 12.5 * HOUR) == [("service", "traffic", "v1, champion")]


def test_inputs_that_follow_the_hour_are_quiet_and_what_moves_beside_them_is_not(tmp_path: Path) -> None:
    """The training table has no times, so the first day pages nobody, and is what the second is compared with."""
    seasons = DriftMonitor(min_rows=150)
    hourly = dataclasses.replace(DEAL.monitors, window_minutes=60.0, every_seconds=1800.0, drift=seasons)
    mill = dataclasses.replace(CHAMPION, contract=dataclasses.replace(DEAL, monitors=hourly))
    replay, midnight, rng = Replay(tmp_path, mill), NOON.replace(hour=0), np.random.default_rng(12)

    def hours(first: int, last: int, moved: float = 0.0) -> None:
        for hour in range(first, last):
            usual, at = 40 + moved + (8 if 8 <= hour % 24 < 20 else -8), midnight + hour * HOUR
            rows, scores = rng.normal(usual, 6, (4, 50)), rng.beta(2, 2, (4, 50))
            replay.write(
                (
                    predicted(
                        pid(f"{hour}-{k}"), at=_ns(at + k * 14 * MINUTE), ages=rows[k].tolist(),
                        jobs=rng.choice(["a", "b"], 50).tolist(),
                        scores=np.stack([1 - scores[k], scores[k]], axis=1).astype("<f8").tobytes(),
                    )
                    for k in range(4)
                ),
                mill,
            )  # fmt: skip

    hours(0, 42)
    for hour in (4, 4.5, 13, 13.5, 28, 28.5, 37, 37.5, 42):
        assert replay.look(midnight + hour * HOUR) == [], hour
    hours(42, 44, moved=16)
    assert replay.look(midnight + 43.5 * HOUR, midnight + 44 * HOUR) == [("drift", "age", "v1, champion")]
    (alert,) = book(tmp_path).alerts()
    assert "beside 5,000 training rows" in alert.sentence, "further away than any hour explains"
    said = [f.sentence for f in book(tmp_path).findings("loans", monitor="drift") if f.subject == "age"]
    assert any("a day of traffic would tell" in sentence for sentence in said)


def test_a_canary_with_bad_requests_is_the_canarys_alert_alone(tmp_path: Path) -> None:
    replay = Replay(tmp_path, CHAMPION, CANARY)
    at = NOON
    replay.write(replay.asked(at, 2000, seed=1))
    replay.write(replay.asked(at, 5000, version=CANARY, seed=2), CANARY)
    bad = [Refused(_ns(at), "loans", "OUT_OF_RANGE", "age", 154, CANARY.version.hex, "canary")]
    shared = [Refused(_ns(at), "loans", "BAD_JSON", "", 20, CHAMPION.version.hex, "champion")]
    replay.write([*bad, *shared])
    assert replay.look(*minutes(1, 2)) == [("quality", "requests", "v2, canary")]
    (alert,) = book(tmp_path).alerts()
    assert alert.sentence.startswith("3.0% of requests refused (154 of 5,154;")
    assert replay.inbox.titles == ["loans v2, canary: quality of requests needs a look"]


def truth(records: Iterable[Predicted], wrong: Callable[[int], bool], at: datetime) -> list[Labelled]:
    """What turned out for each row, all of it known at one time."""
    scores = [np.frombuffer(record.scores, "<f8")[1] for record in records]
    said = [int(score >= 0.5) for score in scores]
    return [label(record.id, 1 - said[i] if wrong(i) else said[i], at=_ns(at)) for i, record in enumerate(records)]


def test_labels_that_are_exported_again_each_night_open_and_close_nothing(tmp_path: Path) -> None:
    replay = Replay(tmp_path, CHAMPION)
    rows = replay.asked(NOON, 400, seed=3)
    replay.write(rows)
    replay.look(*minutes(1))
    for night in range(2):
        labels = truth(rows, lambda i: i % 20 < 13, NOON + night * DAY)  # 0.35 are right, of 0.9
        replay.write(labels)
        last = NOON + night * DAY
        assert replay.look(last + 2 * MINUTE, last + 3 * MINUTE) == [("performance", "accuracy", "v1, champion")], night
    (alert,) = book(tmp_path).alerts()
    assert "0.350 on 400 labels" in alert.sentence
    assert replay.inbox.titles == ["loans v1, champion: performance of accuracy needs a look"]


def test_of_a_file_of_100_000_labels_all_count(tmp_path: Path) -> None:
    replay = Replay(tmp_path, CHAMPION)
    rng = np.random.default_rng(4)
    many, scores = 1000, rng.beta(2, 2, (100, 1000))
    batches = [
        predicted(
            pid(f"batch {b}"), at=_ns(NOON) + b * 1000, ages=rng.normal(40, 10, many).tolist(),
            jobs=rng.choice(["a", "b"], many).tolist(),
            scores=np.stack([1 - scores[b], scores[b]], axis=1).astype("<f8").tobytes(),
        )
        for b in range(100)
    ]  # fmt: skip
    replay.write(batches)
    assert replay.look(*minutes(1)) == []
    # The first 20,000 rows are answered rightly, and all of the 80,000 that follow wrongly.
    replay.write(
        Labelled(batch.id, i, _ns(NOON + HOUR), "loans", int(scores[b, i] >= 0.5) ^ int(b >= 20), "file")
        for b, batch in enumerate(batches)
        for i in range(many)
    )
    assert replay.look(*minutes(2)) == [("performance", "accuracy", "v1, champion")]
    (alert,) = book(tmp_path).alerts()
    assert "labels drawn at random of 100,000" in alert.sentence
    assert "Accuracy is worse than promised: 0.2" in alert.sentence or "0.19" in alert.sentence


def test_late_labels_of_a_version_that_has_left_are_its_own_and_only_that(tmp_path: Path) -> None:
    replay = Replay(tmp_path, CHAMPION)
    old = replay.asked(NOON, 300, seed=5)
    replay.write(old)
    replay.look(*minutes(1))
    v2 = dataclasses.replace(CANARY, arm="champion")
    replay.serving[:] = [v2]
    replay.left[:] = [dataclasses.replace(CHAMPION, left=True, arm="")]
    new = replay.asked(NOON + 2 * MINUTE, 300, version=v2, seed=6)
    replay.write(new, v2)
    replay.write(
        [*truth(old, lambda i: i % 2 == 0, NOON + 3 * MINUTE), *truth(new, lambda i: i % 20 == 0, NOON + 3 * MINUTE)]
    )
    assert replay.look(*minutes(4, 5)) == [("performance", "accuracy", "v1")]
    (alert,) = book(tmp_path).alerts()
    assert alert.sentence.startswith("v1 no longer serves. Accuracy is worse than promised")


def test_a_full_disk_is_one_alert_whatever_else_stops_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replay = Replay(tmp_path, CHAMPION, CANARY)
    replay.write(replay.asked(NOON - 20 * MINUTE, 1200, over=20 * MINUTE, seed=7))
    replay.write(replay.asked(NOON - 20 * MINUTE, 400, over=20 * MINUTE, version=CANARY, seed=8), CANARY)
    assert replay.look(NOON) == []
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(
        shutil, "disk_usage", lambda _: SimpleNamespace(total=usage.total, used=usage.total, free=2**20)
    )
    for minute in (1, 2, 3):
        replay.keeper.step(NOON + minute * MINUTE)
    told = [(a.monitor, a.topic, a.place) for a in book(tmp_path).alerts(open_only=True)]
    assert told == [("steward", "disk", "the workspace")]
    monkeypatch.undo()
    replay.write(replay.asked(NOON + 3 * MINUTE, 200, over=2 * MINUTE, seed=9))
    assert replay.look(*minutes(4, 5)) == []
    assert replay.inbox.titles == [
        "the workspace: steward of disk needs a look",
        "the workspace: steward of disk is over",
    ]


def test_a_journal_that_takes_nothing_though_the_disk_has_room_is_that_and_no_silence(tmp_path: Path) -> None:
    replay = Replay(tmp_path, CHAMPION)
    replay.write(replay.asked(NOON - 20 * MINUTE, 1200, over=20 * MINUTE, seed=7))
    assert replay.look(NOON) == []
    tell_journal_fault(Workspace(tmp_path), "0f", "OSError: Disk quota exceeded")
    for minute in (1, 2, 3):
        replay.keeper.step(NOON + minute * MINUTE)
    (alert,) = book(tmp_path).alerts(open_only=True)
    assert (alert.monitor, alert.topic, alert.place) == ("steward", "records", "the workspace")
    assert alert.sentence.startswith(
        "The journal takes no records (OSError: Disk quota exceeded): predictions are refused"
    )
    assert "quota" in next_step(alert)
    end_journal_fault(Workspace(tmp_path), "0f")
    replay.write(replay.asked(NOON + 3 * MINUTE, 200, over=2 * MINUTE, seed=9))
    assert replay.look(*minutes(4, 5)) == []
    assert replay.inbox.titles[1:] == ["the workspace: steward of records is over"]


def test_traffic_that_stops_is_told_and_what_was_told_of_it_ends(tmp_path: Path) -> None:
    replay = Replay(tmp_path, CHAMPION, CANARY)
    replay.write(replay.asked(NOON, 400, over=20 * MINUTE, version=CANARY, seed=11), CANARY)
    rows = replay.asked(NOON, 1200, over=20 * MINUTE, seed=10)
    for record in rows[900:]:  # the last five minutes
        record.numbers = np.array([75.0], "<f8").tobytes()
    replay.write(rows)
    assert replay.look(*minutes(14)) == []
    assert replay.look(*minutes(18, 19)) == [("drift", "age", "v1, champion")]
    assert replay.look(*minutes(20.5, 22)) == [("service", "traffic", "v1, champion"), ("drift", "age", "v1, champion")]
    assert replay.look(*minutes(32)) == [("service", "traffic", "v1, champion")]
    ended = {a.monitor: a.details.ended for a in book(tmp_path).alerts() if a.closed_at}
    assert ended == {"drift": "there is no traffic any more"}
