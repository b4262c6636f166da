"""The loop runs what is due and tells of what fails; what a job does is the job's own."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from builders.domain import NOON
from builders.steward import DEAL, watched
from modelmark.domain.disk import free_bytes
from modelmark.domain.errors import NotYet
from modelmark.domain.finding import Outcome, Window
from modelmark.domain.workspace import Workspace
from modelmark.journal.tables.cohorts import CohortSize
from modelmark.steward import jobs
from modelmark.steward.alerts import close_departed
from modelmark.steward.job import FaultOwner, Job, JobContext, JobFault
from modelmark.steward.jobs.disk_room import DiskRoom
from modelmark.steward.loop import Steward
from modelmark.steward.observations import JournalObservations
from modelmark.steward.profiler import MonitoredVersion, Profiler
from modelmark.steward.serving_versions import ServingVersions
from modelmark.testing.monitoring_store import MemoryMonitoringStore

MINUTE = timedelta(minutes=1)


class Planned:
    """A job that notes when it ran and does as it is told."""

    def __init__(
        self,
        act: Callable[[JobContext], bool] = lambda _: True,
        *,
        interval: timedelta = timedelta(),
        checkpoint: str = "",
        owner: FaultOwner = FaultOwner.VERSIONS,
    ) -> None:
        self.name, self.interval, self.checkpoint, self.owner = "planned", interval, checkpoint, owner
        self.act = act
        self.ran: list[float] = []

    def run(self, context: JobContext) -> bool:
        self.ran.append((context.now - NOON) / MINUTE)
        return self.act(context)


def broken(_: JobContext) -> bool:
    raise NotYet("the disk\nis slow")


def steward(
    *planned: Job,
    book: MemoryMonitoringStore | None = None,
    log: Any = lambda line: None,
    versions: Sequence[MonitoredVersion] = (),
) -> Steward:
    serving = ServingVersions(lambda: versions or [watched()])
    serving.refresh()
    return Steward(planned, serving, book or MemoryMonitoringStore(), lambda: NOON, log=log)


def walk(keeper: Steward, minutes: Sequence[float]) -> None:
    for minute in minutes:
        keeper.step(NOON + minute * MINUTE)


@pytest.mark.parametrize(
    ("interval", "ran"),
    [pytest.param(0, [0, 1, 2, 3, 4], id="in every step"), pytest.param(2, [0, 2, 4], id="every two minutes")],
)
def test_a_job_runs_when_it_is_due(interval: int, ran: list[float]) -> None:
    job = Planned(interval=interval * MINUTE)
    walk(steward(job), range(5))
    assert job.ran == ran


@pytest.mark.parametrize(("checkpoint", "ran"), [("tidy", [5]), ("", [1, 6])], ids=["kept", "not kept"])
def test_an_interval_holds_over_a_restart_where_a_checkpoint_keeps_it(checkpoint: str, ran: list[float]) -> None:
    book = MemoryMonitoringStore()
    walk(steward(Planned(interval=5 * MINUTE, checkpoint=checkpoint), book=book), [0])
    again = Planned(interval=5 * MINUTE, checkpoint=checkpoint)
    walk(steward(again, book=book), [1, 4, 5, 6])
    assert again.ran == ran


def test_what_could_not_be_done_yet_is_due_again_at_once_and_what_fails_is_not() -> None:
    waiting = Planned(lambda _: len(waiting.ran) > 2, interval=5 * MINUTE)
    walk(steward(waiting), range(6))
    assert waiting.ran == [0, 1, 2]
    failing = Planned(broken, interval=3 * MINUTE)
    walk(steward(failing), range(6))
    assert failing.ran == [0, 3]


def test_a_job_that_fails_is_a_finding_of_every_version_and_keeps_no_other_from_its_work() -> None:
    book, lines, after = MemoryMonitoringStore(), list[str](), Planned()
    step = steward(Planned(broken), after, book=book, log=lines.append).step(NOON)
    assert lines == ["modelmark steward: planned failed: the disk is slow"]
    (found,) = book.findings("loans")
    assert (found.monitor, found.subject, found.outcome) == ("steward", "planned", Outcome.CANNOT_TELL)
    assert found.sentence == "Planned failed: the disk is slow."
    assert (step.findings, after.ran) == ([found], [0])


def test_a_fault_that_only_the_log_owns_becomes_no_finding() -> None:
    book = MemoryMonitoringStore()
    step = steward(Planned(broken, owner=FaultOwner.LOG), book=book).step(NOON)
    assert step.errors == ["planned failed: the disk is slow"]
    assert book.findings("loans") == []


def test_what_a_job_reports_is_an_alert_once_a_look_and_the_job_goes_on() -> None:
    def damaged(context: JobContext) -> bool:
        context.report(JobFault(subject="segment 3", sentence="segment 3 is damaged"))
        return True

    book, job = MemoryMonitoringStore(), Planned(damaged)
    keeper = steward(job, book=book)
    walk(keeper, [0, 0.5, 1])
    assert [(a.subject, a.count) for a in book.alerts(open_only=True)] == [("segment 3", 2)]
    assert job.ran == [0, 0.5, 1]


def test_every_job_of_ours_names_itself_its_interval_its_checkpoint_and_who_owns_its_fault(tmp_path: Path) -> None:
    table = jobs.builtin(Workspace(tmp_path), MemoryMonitoringStore(), ServingVersions(list), None)
    assert [(job.name, job.interval.total_seconds(), job.checkpoint) for job in table] == [
        ("versions", 0, ""),
        ("disk", 0, ""),
        ("workers", 0, ""),
        ("snapshot", 5, ""),
        ("compaction", 0, ""),
        ("labels by entity", 0, ""),
        ("versions", 0, ""),
        ("profiles", 0, "profile"),
        ("look", 0, "look"),
        ("departed alerts", 0, ""),
        ("escalation", 10, ""),
        ("pruning", 600, "prune"),
        ("maintenance", 60, ""),
        ("messages", 0, ""),
    ]
    assert {job.owner for job in table} == {FaultOwner.VERSIONS}


def test_a_model_that_cannot_be_looked_at_keeps_none_of_the_others_from_it(tmp_path: Path) -> None:
    unknown = dataclasses.replace(DEAL, monitors=dataclasses.replace(DEAL.monitors, plugins={"nobody": {}}))
    serving = ServingVersions(lambda: [dataclasses.replace(watched(), model="a", contract=unknown), watched()])
    book = MemoryMonitoringStore()
    table = jobs.builtin(Workspace(tmp_path), book, serving, None)
    step = Steward(table, serving, book, lambda: NOON, log=lambda line: None).step(NOON)
    assert step.errors == ["look failed: no installed package brings a monitor 'nobody'"]
    assert {f.subject for f in book.findings("loans")} >= {"age", "look"}, "the other, and whose fault it is"
    assert (book.checkpoint("look/a"), book.checkpoint("look/loans")) == ({}, {"at": NOON.isoformat()})


def test_records_are_read_when_they_are_asked_for_and_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    one, window = watched(), Window(start=NOON, end=NOON + MINUTE)

    class Counting(Profiler):
        def window(self, *_: Any) -> dict[str, Any]:
            read.append("profiles")
            return {}

    def refusals(*_: Any, version: str) -> dict[tuple[str, str], int]:
        read.append(f"refusals of {version[:4]}")
        return {}

    def sizes(_: Any, model: str, __: str, starts: Sequence[Any], *___: Any, **____: Any) -> list[CohortSize]:
        read.append(f"sizes of {model}")
        return [CohortSize(9, 3) for _ in starts]

    def labelled(*_: Any, version: str, **__: Any) -> str:
        read.append(f"labels of {version[:4]}")
        return "a table"

    monkeypatch.setattr("modelmark.steward.observations.refusals", refusals)
    monkeypatch.setattr("modelmark.steward.observations.cohort_sizes", sizes)
    monkeypatch.setattr("modelmark.steward.observations.labelled", labelled)
    monkeypatch.setattr(
        "modelmark.steward.observations.labelled_predictions", lambda contract, table: (contract, table)
    )
    observed = JournalObservations(
        Workspace(tmp_path), Counting(Workspace(tmp_path), MemoryMonitoringStore()), one, window
    )
    assert read == []
    assert (observed.refused, observed.refused) == ({}, {})
    assert read == [f"refusals of {one.version.hex[:4]}"]
    assert observed.profiles == observed.profiles == {}
    assert observed.cohorts is observed.cohorts
    assert read[1:] == ["profiles", "sizes of loans", "sizes of loans"], "up to now, and up to a delay ago"
    assert observed.cohorts[0].read() == (DEAL, "a table")
    assert read[4:] == [f"labels of {one.version.hex[:4]}"]


def test_a_full_disk_is_an_alert_which_a_reserve_makes_room_for(tmp_path: Path) -> None:
    reserve = tmp_path / "run" / "reserve"
    job, book = DiskRoom(workspace=Workspace(tmp_path), reserve=2**20), MemoryMonitoringStore()
    assert steward(job, book=book).step(NOON).findings == []
    assert reserve.stat().st_size == 2**20
    low = dataclasses.replace(job, least=2**60)
    (found,) = steward(low, book=book).step(NOON + MINUTE).findings
    assert (found.subject, found.outcome) == ("disk", Outcome.ALERT)
    assert "are free" in found.sentence
    assert reserve.exists(), "there is room for the alert yet"
    full = dataclasses.replace(job, reserve=2**60)
    (found,) = steward(full, book=book).step(NOON + 2 * MINUTE).findings
    assert "The workspace's disk is full: predictions are refused" in found.sentence
    assert not reserve.exists()


def test_the_disk_of_the_journal_counts_where_it_is_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = Workspace(tmp_path)
    workspace.wal.mkdir(parents=True)
    left = {tmp_path: 2**40, workspace.wal: 2**20}
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=left[path]))
    assert free_bytes(workspace) == 2**20
    assert free_bytes(Workspace(tmp_path / "not yet")) == 2**40


def test_a_full_disk_is_one_alert_of_the_workspace_and_over_when_there_is_room_again(tmp_path: Path) -> None:
    full, roomy = (DiskRoom(workspace=Workspace(tmp_path), least=least, reserve=2**16) for least in (2**60, 1))
    book, two = MemoryMonitoringStore(), [watched(), dataclasses.replace(watched(), model="churn")]
    for minute, job, versions in [(0, full, two), (0.1, full, two), (1, full, two[1:]), (2, roomy, two[1:])]:
        steward(job, book=book, versions=versions).step(NOON + minute * MINUTE)
        close_departed(book, {(v.model, v.version) for v in versions}, (), NOON + minute * MINUTE, queue=False)
    (alert,) = book.alerts(open_only=True)
    assert (alert.place, alert.subject, alert.closed_at) == ("the workspace", "disk", None), "it outlives its version"
    assert len(book.findings("churn")) >= 2, "every version has its finding"
    steward(roomy, book=book, versions=two[1:]).step(NOON + 3 * MINUTE)
    assert [a.subject for a in book.alerts()] == ["disk"]
    assert book.alerts(open_only=True) == []


def test_what_is_still_wrong_in_other_numbers_is_said_once_a_look() -> None:
    left = iter((63, 62, 61))

    def shrinking(context: JobContext) -> bool:
        context.report(JobFault(subject="disk", sentence=f"{next(left)} MiB are free"))
        return True

    book = MemoryMonitoringStore()
    walk(steward(Planned(shrinking), book=book), [0, 0.5, 0.9])
    assert [f.sentence for f in book.findings("loans")] == ["63 MiB are free."]


def test_damage_stays_told_until_somebody_closes_it() -> None:
    def damaged(context: JobContext) -> bool:
        if context.now == NOON:
            context.report(JobFault(subject="segment 3", sentence="segment 3 is damaged"))
        context.well("disk")
        return True

    book = MemoryMonitoringStore()
    walk(steward(Planned(damaged), book=book), [0, 1, 2, 3])
    assert [a.subject for a in book.alerts(open_only=True)] == ["segment 3"]
