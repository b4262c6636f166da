"""The control loop against a real journal, real Delta tables and a real database."""

from __future__ import annotations

import dataclasses
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from builders.domain import NOON, digest
from builders.journal import AT, journal, label, predicted, refused, schema
from builders.steward import book, steward, traffic, watched
from modelmark.domain.errors import NotYet
from modelmark.domain.finding import Outcome
from modelmark.domain.workspace import Workspace
from modelmark.journal.tables.behind import predicted_rows
from modelmark.journal.tables.compact import compact
from modelmark.journal.tables.query import counts, predictions
from modelmark.journal.tables.verification import verify_tables
from modelmark.journal.wal.writer import Writer
from modelmark.stats.profile import SCORE
from modelmark.steward import observations
from modelmark.steward.job import FaultOwner, JobContext, Step
from modelmark.steward.profiler import Profiler

MINUTE = timedelta(minutes=1)


def send(root: Path, rows: int, *, minute: float = 0.0, shift: float = 0.0, seed: int = 1) -> None:
    at = AT + int(minute * 60e9)
    many = traffic(rows, seed=seed, shift=shift)
    journal(
        root,
        *(predicted(f"{minute}-{i}", ages=(age,), jobs=(job,), score=s, at=at) for i, (age, job, s) in enumerate(many)),
    )


def test_one_value_that_cannot_be_is_an_alert_that_leads_to_its_row(tmp_path: Path) -> None:
    send(tmp_path, 300)
    journal(tmp_path, predicted("odd", ages=(5500.0,), at=AT + 1, flags=[(0, "age", "IMPLAUSIBLE")]))
    keeper = steward(tmp_path)
    opened = [[a.subjects for a in keeper.step(NOON + minute * MINUTE).opened] for minute in (1, 2, 3)]
    assert opened == [[], [("age",)], []]
    (alert,) = book(tmp_path).alerts(open_only=True)
    assert alert.sentence.startswith("“age” held 1 value that cannot be, of 301 rows: outside ")
    rows = predicted_rows(
        Workspace(tmp_path), "loans", alert.version.hex, NOON - MINUTE, NOON + MINUTE, inputs={"age": "num_age"},
        faulty_first=True,
    )  # fmt: skip
    assert (rows[0]["inputs"], rows[0]["flags"]) == ({"age": 5500.0}, ["IMPLAUSIBLE:age"])


def test_traffic_that_stops_is_an_alert_in_the_second_look_and_no_more_than_one(tmp_path: Path) -> None:
    for k in range(13):
        send(tmp_path, 30, minute=k, seed=k)
        send(tmp_path, 30, minute=k + 0.5, seed=100 + k)
    keeper = steward(tmp_path, serving=[dataclasses.replace(watched(), arm="champion")])
    opened = {minute: [a.subject for a in keeper.step(NOON + minute * MINUTE).opened] for minute in (12.6, 13.6, 14.6)}
    assert opened == {12.6: [], 13.6: ["traffic"], 14.6: []}
    (alert,) = book(tmp_path).alerts(open_only=True)
    assert alert.sentence.startswith("Nobody has asked for 2 minutes, since 12:12:30 UTC")
    send(tmp_path, 30, minute=15)
    for minute in (15.6, 16.6):
        keeper.step(NOON + minute * MINUTE)
        send(tmp_path, 30, minute=minute + 0.5)
    keeper.step(NOON + 17.6 * MINUTE)
    assert book(tmp_path).alerts(open_only=True) == []


def test_slow_answers_are_an_alert_at_once(tmp_path: Path) -> None:
    many = traffic(200)
    slow = watched().contract.serving.p99_ms * 1000 + 1
    journal(
        tmp_path,
        *(
            predicted(f"{i}", ages=(age,), jobs=(job,), score=s, micros=int(slow) if i % 5 == 0 else 10)
            for i, (age, job, s) in enumerate(many)
        ),
    )
    (alert,) = steward(tmp_path).step(NOON + MINUTE).opened
    assert (alert.monitor, alert.subject) == ("service", "latency")


class Inbox:
    def __init__(self, down: int = 0) -> None:
        self.got: list[tuple[str, str]] = []
        self.down = down

    def send(self, title: str, body: str, *, audience: str = "", severity: str = "") -> None:
        if self.down:
            self.down -= 1
            raise NotYet("not delivered to 1 (json)")
        self.got.append((title, body))


def outcomes(step: Step) -> dict[tuple[str, str], Outcome]:
    return {(f.monitor, f.subject): f.outcome for f in step.findings}


def test_a_quiet_window_is_quiet_and_every_subject_has_its_say(tmp_path: Path) -> None:
    send(tmp_path, 1000)
    step = steward(tmp_path).step(NOON + MINUTE)
    assert outcomes(step) == {
        ("quality", "age"): Outcome.OK,
        ("quality", "job"): Outcome.OK,
        ("quality", "requests"): Outcome.OK,
        ("drift", "age"): Outcome.OK,
        ("drift", "job"): Outcome.OK,
        ("drift", "score"): Outcome.OK,
        ("performance", "accuracy"): Outcome.CANNOT_TELL,
        ("service", "errors"): Outcome.OK,
        ("service", "latency"): Outcome.OK,
        ("service", "traffic"): Outcome.CANNOT_TELL,
        ("volume", "volume"): Outcome.CANNOT_TELL,
        ("volume", "labels"): Outcome.CANNOT_TELL,
        ("estimate", "accuracy"): Outcome.CANNOT_TELL,
        ("calibration", "probabilities"): Outcome.CANNOT_TELL,
    }
    assert step.errors == []
    assert len(book(tmp_path).findings("loans")) == 14


def test_drift_is_told_once_when_it_begins_and_once_when_it_ends(tmp_path: Path) -> None:
    inbox = Inbox(down=1)
    keeper = steward(tmp_path, inbox)
    send(tmp_path, 1000, shift=30)
    assert keeper.step(NOON + MINUTE / 2).opened == [], "one look may be chance"
    (opened,) = keeper.step(NOON + 1.5 * MINUTE).opened
    assert opened.subject == "age"
    assert inbox.got == []  # it was down; the message waits
    keeper.step(NOON + 2.5 * MINUTE)
    keeper.step(NOON + 3.5 * MINUTE)
    ((title, body),) = inbox.got
    assert title == "loans: drift of age needs a look"
    assert "moved away from the reference" in body
    assert [a.count for a in book(tmp_path).alerts(open_only=True)] == [3]
    send(tmp_path, 1000, minute=14)
    keeper.step(NOON + 15 * MINUTE)
    keeper.step(NOON + 16 * MINUTE)
    keeper.step(NOON + 17 * MINUTE)
    assert [title for title, _ in inbox.got[1:]] == ["loans: drift of age is over"]
    assert book(tmp_path).alerts(open_only=True) == []


def test_wrong_answers_become_an_alert_once_labels_come(tmp_path: Path) -> None:
    send(tmp_path, 300)
    keeper = steward(tmp_path)
    keeper.step(NOON + MINUTE)
    rows = predictions(Workspace(tmp_path), "loans", NOON, NOON + MINUTE).to_pylist()
    wrong = [
        label(r["id"], 1 - int(r["prediction"]) if i % 2 else int(r["prediction"]), at=AT) for i, r in enumerate(rows)
    ]
    journal(tmp_path, *wrong, refused(200))
    found = keeper.step(NOON + 2 * MINUTE)
    assert outcomes(found)["performance", "accuracy"] is Outcome.ALERT
    assert outcomes(found)["quality", "requests"] is Outcome.ALERT


def test_of_many_labels_that_came_together_the_judged_ones_are_drawn_at_random(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observations, "MAX_LABELS", 200)
    send(tmp_path, 1000)
    keeper = steward(tmp_path)
    keeper.step(NOON + MINUTE)
    rows = predictions(Workspace(tmp_path), "loans", NOON, NOON + MINUTE).to_pylist()
    right_at_first = [
        label(r["id"], int(r["prediction"]) if i < 300 else 1 - int(r["prediction"]), at=AT) for i, r in enumerate(rows)
    ]
    journal(tmp_path, *right_at_first)
    found = {f.monitor: f for f in keeper.step(NOON + 2 * MINUTE).findings}["performance"]
    assert found.outcome is Outcome.ALERT, found.sentence
    assert "on 200 labels drawn at random of 1,000" in found.sentence
    assert found.measured is not None
    assert abs(found.measured - 0.3) < 0.13, "four standard errors"


def test_looks_are_due_by_the_contract_and_an_unwatched_time_is_a_finding(tmp_path: Path) -> None:
    steward(tmp_path).step(NOON)
    assert steward(tmp_path).step(NOON + MINUTE / 2).findings == []
    later = steward(tmp_path).step(NOON + 10 * MINUTE)
    (gap,) = [f for f in later.findings if f.subject == "watch"]
    assert (gap.window.start, gap.window.end, gap.outcome) == (NOON, NOON + 10 * MINUTE, Outcome.CANNOT_TELL)
    assert gap.sentence.startswith("Nobody watched from 2026-03-01 12:00:00 to 2026-03-01 12:10:00 UTC")


def test_what_fails_is_a_finding_and_the_rest_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    send(tmp_path, 10)

    def broken(*_: object) -> None:
        raise ValueError("boom\nboom")

    monkeypatch.setattr("modelmark.monitors.quality.Quality.evaluate", broken)
    monkeypatch.setattr("modelmark.journal.tables.compact.Compactor.maintain", broken)
    step = steward(tmp_path, log=lines.append).step(NOON + MINUTE)
    assert lines == [
        "modelmark steward: monitor quality of loans failed: ValueError: boom boom",
        "modelmark steward: maintenance failed: ValueError: boom boom",
    ]
    said = outcomes(step)
    assert said["quality", "monitor"] is said["steward", "maintenance"] is Outcome.CANNOT_TELL
    assert ("drift", "age") in said


def test_a_damaged_segment_becomes_an_alert(tmp_path: Path) -> None:
    send(tmp_path, 10)
    (path,) = Workspace(tmp_path).wal.glob("*/*.seg")
    data = bytearray(path.read_bytes())
    data[300] ^= 1
    path.write_bytes(data)
    keeper = steward(tmp_path)
    keeper.step(NOON)
    (alert,) = keeper.step(NOON + MINUTE).opened or book(tmp_path).alerts()
    assert path.name in alert.sentence


def test_alerts_of_a_version_that_left_are_closed(tmp_path: Path) -> None:
    send(tmp_path, 1000, shift=30)
    for minute in (1, 2):
        steward(tmp_path).step(NOON + minute * MINUTE)
    assert book(tmp_path).alerts(open_only=True)
    steward(tmp_path, serving=[dataclasses.replace(watched(), version=digest("next"))]).step(NOON + 3 * MINUTE)
    assert book(tmp_path).alerts(open_only=True) == []


def test_rows_are_profiled_once_however_often_profiling_is_killed(tmp_path: Path) -> None:
    send(tmp_path, 500)
    space, one = Workspace(tmp_path), watched()
    compact(space)

    class Dies(type(book(tmp_path))):  # type: ignore[misc]
        def set_checkpoint(self, *_: object) -> None:
            raise KeyboardInterrupt

    dying = Dies(book(tmp_path)._database)
    killed = Profiler(space, dying)
    killed.watch(one)
    with pytest.raises(KeyboardInterrupt):
        killed.step()
    for _ in range(3):
        fresh = Profiler(space, book(tmp_path))
        fresh.watch(one)
        fresh.step()
    found = fresh.window(one, NOON - MINUTE, NOON + MINUTE)
    assert int(fresh.watch(one).columns[SCORE].histogram(found[SCORE]).sum()) == 500


class Listener:
    """A job that hears every step, and says when it has heard enough."""

    name, checkpoint, owner, interval = "listener", "", FaultOwner.LOG, timedelta()

    def __init__(self, stop: threading.Event) -> None:
        self.seen: list[Step] = []
        self.stop = stop

    def run(self, context: JobContext) -> bool:
        self.seen.append(context.step)
        if len(self.seen) == 2:
            self.stop.set()
        return True


def test_the_loop_ends_when_told_and_runs_a_further_job(tmp_path: Path) -> None:
    listener = Listener(threading.Event())
    keeper = steward(tmp_path, clock=lambda: NOON, more_jobs=[listener], step_seconds=0.01)
    keeper.run(listener.stop)
    assert len(listener.seen) == 2


PROCESS = """
    import sys, threading
    from datetime import UTC, datetime
    from pathlib import Path
    from builders.steward import steward
    steward(Path(sys.argv[1]), clock=lambda: datetime.now(UTC), step_seconds=0.02).run(threading.Event())
"""


def start(root: Path) -> subprocess.Popen[bytes]:
    paths = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2] / "src")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(PROCESS), str(root)], env=env)


def _committed(space: Workspace) -> bool:
    return any(space.tables.glob("predictions/*/_delta_log/*.json"))


def test_a_steward_killed_again_and_again_loses_and_doubles_nothing(tmp_path: Path) -> None:
    space, sent, chance = Workspace(tmp_path), [], random.Random(4)
    book(tmp_path)
    now = time.time_ns()
    with Writer(space.wal, seal_after=0.05) as writer:
        writer.declare(schema())
        for _ in range(6):
            process = start(tmp_path)
            deadline = time.monotonic() + 1.6 + chance.uniform(0, 0.8)
            while time.monotonic() < deadline or not (_committed(space) or time.monotonic() > deadline + 60):
                batch = [predicted(f"p{len(sent) + i}", at=now) for i in range(20)]
                writer.append_many(batch)
                sent += [record.id for record in batch]
                writer.tick()
                time.sleep(0.01)
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
    before = counts(space)["predictions/loans"]
    assert before > 0  # it did get to work between the kills
    last = steward(tmp_path).step(NOON)
    assert last.errors == []
    table = predictions(space, "loans", NOON - timedelta(days=9000), NOON + timedelta(days=9000))
    assert sorted(table["id"].to_pylist()) == sorted(sent)
    assert dict(verify_tables(space)) == {"predictions/loans": len(sent)}
    one, profiler = watched(), Profiler(space, book(tmp_path))
    found = profiler.window(one, NOON - timedelta(days=9000), NOON + timedelta(days=9000))
    assert int(np.sum(profiler.watch(one).columns[SCORE].histogram(found[SCORE]))) == len(sent)
