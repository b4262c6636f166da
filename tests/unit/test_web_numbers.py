"""The numbers behind the charts, bucket by bucket, and what waits for whom."""

from __future__ import annotations

import dataclasses
import os
import time
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from builders.domain import ANN, BOB, NOON, contract, digest, evidence, finding, version
from modelmark.domain.alerts.recording import end_journal_fault, journal_fault, tell_journal_fault
from modelmark.domain.alerts.said import SAID
from modelmark.domain.audit import Act, Event
from modelmark.domain.contract import Fallback, FallbackKind, Goal, Guardrail, ModelSource, Outputs, Question
from modelmark.domain.evidence import Check, Evidence, Verdict
from modelmark.domain.finding import Alert, Outcome, Window
from modelmark.domain.metrics import Metric, Task
from modelmark.domain.people import Account, Permission, Principal, Role
from modelmark.domain.release import Approval, Comment, CommentKind, State
from modelmark.domain.routes import Arm, Route
from modelmark.domain.workspace import Workspace
from modelmark.governance.difference import Side
from modelmark.governance.release_status import ReleaseStatus
from modelmark.governance.tasks import tasks
from modelmark.journal.tables.arms import Answered
from modelmark.journal.tables.label_sources import NONE, LabelSources
from modelmark.journal.tables.timeline import Slot, Span, Timeline
from modelmark.stats.profile import Column
from modelmark.testing.monitoring_store import MemoryMonitoringStore
from modelmark.web import sentences, series
from modelmark.web.periods import SPANS, floor, named
from modelmark.web.queries import Queries
from modelmark.web.readers import QUESTIONS, parts
from modelmark.web.sentences import latency, monitor, overall, rest, scores

AT = round(NOON.timestamp() * 1000)
ONE = version()


def slot(seconds: float, requests: int = 20) -> Slot:
    at = NOON + timedelta(seconds=seconds)
    return Slot(at=at, requests=requests, rows=requests, fallbacks=0, p50_micros=400.0, p99_micros=1500.0)


def alert(**changes: Any) -> Alert:
    usual: dict[str, Any] = {
        "id": 1, "model": "loans", "version": ONE.id, "monitor": "drift", "subject": "age", "sentence": "age moved.",
        "opened_at": NOON, "seen_at": NOON, "count": 2, "closed_at": None,
    }  # fmt: skip
    return Alert(**{**usual, **changes})


# Lines over time.


def test_a_bucket_has_its_requests_a_second_and_the_last_is_measured_over_what_has_passed():
    found = series._rates([slot(0), slot(10, 5)], NOON, NOON + timedelta(seconds=15), 10)
    assert found == [
        {"at": AT, "end": AT + 10_000, "per_second": 2.0},
        {"at": AT + 10_000, "end": AT + 15_000, "per_second": 1.0},
    ]
    quarter = NOON + timedelta(seconds=12.5)
    assert [r["per_second"] for r in series._rates([slot(0), slot(10, 5)], NOON, quarter, 10)] == [2.0, 2.0]
    assert len(series._rates([slot(0), slot(10)], NOON, quarter - timedelta(milliseconds=1), 10)) == 1


def test_buckets_without_an_answer_are_drawn_only_where_asked():
    end = NOON + timedelta(seconds=30)
    seen = [slot(0), slot(20)]
    assert [r["per_second"] for r in series._rates(seen, NOON, end, 10)] == [2, 0, 2]
    assert [r["at"] for r in series._rates(seen, NOON, end, 10, empty=False)] == [AT, AT + 20_000]
    assert series._rates([], NOON, end, 10) == []


def test_a_line_of_latencies_breaks_where_a_bucket_is_empty():
    found = series._latencies([slot(0), slot(10), slot(25), slot(40.1), slot(50.1)], 10)
    assert [p["run"] for p in found] == [0, 0, 0, 1, 1]
    assert found[1] == {"at": AT + 15_000, "p50_ms": 0.4, "p99_ms": 1.5, "n": 20, "run": 0}


def test_buckets_begin_at_multiples_of_their_length():
    assert floor(NOON + timedelta(seconds=59.5), 60) == NOON
    assert floor(NOON, 60) == NOON
    assert series.ms(NOON + timedelta(microseconds=1500)) == AT + 2


# Scores.


def test_shares_of_scores_are_of_all_rows_beside_those_of_the_holdout():
    seen = Timeline(span=Span(counts=(1, 3) + (0,) * 18))
    found = series._scores(seen, (0.0, 2.0), [0.5, 0.25] + [0.0] * 18)
    assert len(found) == 20
    assert found[0] == {"low": 0.0, "high": 0.1, "share": 0.25, "reference": 0.5}
    assert found[1] == {"low": 0.1, "high": 0.2, "share": 0.75, "reference": 0.25}
    assert series._scores(seen, (-1.0, 1.0), None)[0] == {"low": -1.0, "high": -0.9, "share": 0.25, "reference": None}
    assert series._scores(Timeline(), (0.0, 1.0), None) == []


class Book:
    """What the pages ask of the queries, from memory."""

    def __init__(self, **known: Any) -> None:
        self.known: dict[str, Any] = {"contract": contract(), "champion": ONE, "alerts": [], "timeline": Timeline(),
                                      "performance": [], "refused": [], "looks": {}, "acts": [], **known}  # fmt: skip
        self.asked: list[Any] = []

    clock = staticmethod(lambda: NOON)

    def disk(self):
        return self.known.get("disk")

    def unwatched(self):
        return self.known.get("unwatched")

    def models(self):
        return self.known.get("models", ["loans"])

    def champion(self, model):
        found = self.known["champion"]
        return found.get(model) if isinstance(found, dict) else found

    def champions(self):
        return {model: found for model in self.models() if (found := self.champion(model)) is not None}

    def contract_of(self, _):
        return self.known["contract"]

    def alerts(self, model=None, *, open_only=True):
        return [a for a in self.known["alerts"] if model in (None, a.model) and (not open_only or a.closed_at is None)]

    def timeline(self, *asked):
        self.asked.append(asked)
        return self.known["timeline"]

    def refused(self, *_, version=None):
        return self.known["refused"]

    def performance(self, *_):
        return self.known["performance"]

    def last_look(self, _, monitor):
        return self.known["looks"].get(monitor, [])

    def score_reference(self, _):
        return self.known["reference"]

    def version(self, _):
        return ONE

    def route(self, _):
        return self.known.get("route")

    def acts(self, *_):
        return self.known["acts"]


def scored(edges: list[float], counts: list[int]) -> Column:
    return Column("@score", True, np.array([*counts, 0, 0]), np.array(edges))


def test_values_are_counted_where_the_holdouts_lay_with_a_bin_to_spare_on_each_side():
    number = contract(model=ModelSource(source="m", task=Task.REGRESSION), outputs=Outputs())
    book = Book(contract=number, reference=scored([10.0, 14.0, 28.0], [1, 1, 1, 1]))
    assert series._ends(book, ONE) == (9.0, 29.0)
    assert series._ends(book, None) == (0.0, 1.0)
    assert series._ends(Book(contract=number, reference=scored([10.0], [1, 1])), ONE) == (0.0, 1.0)
    assert series._ends(Book(reference=scored([10.0, 28.0], [1, 1, 1])), ONE) == (0.0, 1.0)


def test_the_holdouts_scores_are_spread_evenly_within_their_bins():
    book = Book(reference=scored([0.5], [30, 10]))
    found = series._score_shares(book, ONE, (0.0, 1.0))
    assert found == pytest.approx([0.075] * 10 + [0.025] * 10)
    assert sum(found) == pytest.approx(1)


def test_alerts_and_then_the_furthest_are_drawn():
    given = [
        finding(subject=str(k), outcome=Outcome.ALERT if k == 3 else Outcome.OK, measured=None if k == 0 else k / 20)
        for k in range(15)
    ]
    drawn, left = series._furthest(given)
    assert [f.subject for f in drawn] == ["3", "14", "13", "12", "11", "10", "9", "8", "7", "6", "5", "4"]
    assert [f.subject for f in left] == ["2", "1"]
    same = [
        finding(subject=s, outcome=Outcome.OK, measured=0.1, high=h) for s, h in (("b", 0.2), ("a", 0.2), ("c", 0.3))
    ]
    assert [f.subject for f in series._furthest(same)[0]] == ["c", "a", "b"]


def test_the_overview_puts_first_who_needs_somebody():
    book = Book(
        models=["calm", "hurt", "new"],
        champion={"calm": ONE, "hurt": ONE},
        alerts=[alert(model="hurt"), alert(model="hurt", sentence="older")],
        timeline=Timeline(slots=(slot(-30),), span=Span(requests=1800, rows=1800, p99_micros=1500.0)),
    )
    found = series.overview(book)
    assert list(found["models"]) == ["hurt", "calm", "new"]
    assert (found["at"], found["open"]) == (AT, 2)
    assert found["sentence"].startswith("1 of 3 models needs a look: hurt (2 alerts)")
    hurt, new = found["models"]["hurt"], found["models"]["new"]
    assert (hurt["open"], hurt["champion"], hurt["says"]) == (2, ONE.label, "age moved.")
    assert (hurt["requests"], hurt["rate"], hurt["p99_ms"]) == ("1,800", "2.0 a second", "1.50")
    assert (new["champion"], new["says"]) == (None, "Nothing is released yet.")
    assert book.asked[0] == ("calm", NOON - timedelta(minutes=15), NOON, 10, (0.0, 1.0))
    assert len(hurt["spark"]) == 90
    quiet = series.overview(Book())["models"]["loans"]
    assert (quiet["rate"], quiet["p99_ms"], quiet["spark"]) == ("none", None, [])


def test_a_journal_that_takes_no_records_is_said_while_its_writer_lives(tmp_path):
    workspace = Workspace(tmp_path)
    tell_journal_fault(workspace, "0f", "OSError: Disk quota exceeded")
    assert "takes no records (OSError: Disk quota exceeded)" in (journal_fault(workspace) or "")
    assert Queries.disk(SimpleNamespace(workspace=workspace)) == journal_fault(workspace)  # type: ignore[arg-type]
    long_ago = time.time() - SAID
    os.utime(workspace.runtime / "journal-fault-0f", (long_ago, long_ago))
    assert journal_fault(workspace) is None, "its writer has ended"
    tell_journal_fault(workspace, "0f", "OSError: Disk quota exceeded")
    end_journal_fault(workspace, "0f")
    assert journal_fault(workspace) is None


def test_a_full_disk_is_said_before_all_else():
    found = series.overview(Book(disk="the disk is full", alerts=[alert()]))
    assert (found["sentence"], found["open"]) == ("The disk is full.", 2)
    found = series.overview(Book(unwatched="nobody watches"))
    assert (found["sentence"], found["open"]) == ("Nobody watches.", 1)


def test_what_a_version_that_has_left_lost_is_shown_as_its_own():
    hour = timedelta(hours=1)
    before, after = Window(start=NOON - 3 * hour, end=NOON - 2 * hour), Window(start=NOON - hour, end=NOON)
    gone = version("gone").id
    lines = [
        finding(monitor="performance", version=gone, window=before, measured=0.9, sentence="It served."),
        finding(monitor="performance", version=gone, window=after, measured=0.4, sentence="v0 no longer serves."),
        finding(monitor="performance", window=after, measured=0.9, sentence="Holds."),
    ]
    act = Event(
        sequence=1, at=NOON - 1.5 * hour, actor="ann", act=Act.RELEASED, subject=ONE.id, details={"model": "loans"},
        previous="", hash="",
    )  # fmt: skip
    found = series.model(
        Book(performance=lines, looks={"performance": lines[2:]}, acts=[act], reference=scored([0.5], [1, 1])),
        "loans",
        named("6h", NOON),
    )
    assert found["sentences"]["performance"] == "Holds. v0 no longer serves."
    assert [(p["version"], p["serves"]) for p in found["performance"]] == [
        (gone.short, False), (gone.short, False), (ONE.id.short, True)
    ]  # fmt: skip
    only = series._left(lines[:1], [act], ONE)
    assert only == [], "what it said while it served is the past"


def test_a_models_page_has_all_its_numbers():
    many = [finding(monitor="performance", measured=None if k == 1 else k / 1000) for k in range(1000)]
    looks = {"drift": [finding(measured=k / 100, outcome=Outcome.OK, subject=str(k)) for k in range(14)]}
    book = Book(
        reference=scored([0.5], [1, 1]),
        refused=[("OUT_OF_RANGE", "age", 3), ("BAD_JSON", None, 1)],
        performance=many,
        looks=looks,
        alerts=[
            alert(),
            alert(opened_at=NOON - timedelta(minutes=60), closed_at=NOON, sentence="closed"),
            alert(opened_at=NOON - timedelta(minutes=61), closed_at=NOON, sentence="before"),
        ],
        timeline=Timeline(slots=(slot(-600),), span=Span(requests=20, rows=20, p50_micros=1.0, p99_micros=2.0)),
    )
    found = series.model(book, "loans", named("1h", NOON))
    assert 0 <= found["wait"] <= 30_000, "as long as it took, five times"
    assert found["edges"] == [{"at": AT - 3_600_000}, {"at": AT}]
    assert found["refused"] == [
        {"code": "OUT_OF_RANGE", "field": "age", "count": 3},
        {"code": "BAD_JSON", "field": None, "count": 1},
    ]
    assert "4 were refused" in found["sentences"]["traffic"]
    assert found["rest"]["drift"] == "2 more are not drawn; no interval among them passes 0.34."
    assert found["rest"]["quality"] == ""
    assert (len(found["drift"]), len(found["performance"])) == (12, 500)
    assert [m["text"] for m in found["marks"]] == ["age moved.", "closed"]
    assert found["marks"][0] == {"at": AT, "kind": "alert", "label": "✕", "text": "age moved."}
    assert found["alerts"] == [
        {
            "id": alert().id,
            "model": "loans",
            "monitor": "drift",
            "subject": "age",
            "about": alert().version.short,
            "sentence": "age moved.",
            "opened": NOON.isoformat(),
            "count": 2,
            "subjects": ["age"],
            "handling": "",
            "snoozed": False,
            "closed": None,
            "ended": "",
            "severity": "inform",
            "rated": None,
        }
    ]
    assert len(found["traffic"]) == 1
    assert found["sentences"]["quality"] == (
        f"Cannot tell yet: the quality monitor has not looked at {ONE.label}. It runs with: modelmark steward"
    )
    assert found["drift"][0].pop("href").startswith("/models/loans/rows?from=2026-03-01T11%3A00"), (
        "no column of the model"
    )
    assert found["drift"][0] | {"sentence": ""} == {
        "at": AT + 3_600_000, "subject": "13", "outcome": "ok", "measured": 0.13, "low": 0.28, "high": 0.34, "limit": 0.1,
        "n": 1000, "sentence": "",
    }  # fmt: skip
    assert series.point(finding(subject="requests"))["subject"] == "refused requests"
    bare = series.model(Book(champion=None), "loans", named("1h", NOON))
    assert set(bare["sentences"].values()) >= {"Nothing is released yet."}
    assert bare["sentences"]["scores"] == bare["sentences"]["drift"] == "Nothing is released yet."
    ends = [asked[4] for asked in book.asked]
    assert ends == [(0.0, 1.0)]


def test_spans_have_their_length_and_their_buckets():
    assert {name: (length.total_seconds(), seconds) for name, (length, seconds) in SPANS.items()} == {
        "15m": (900, 10), "1h": (3600, 60), "6h": (21_600, 300), "24h": (86_400, 900), "7d": (604_800, 7200),
        "30d": (2_592_000, 28_800), "90d": (7_776_000, 86_400),
    }  # fmt: skip


def test_the_last_look_is_that_of_the_last_window_of_this_version_alone():
    """However many arms look at the same time: six others, each at every input, at the score and at itself."""
    later = Window(start=NOON + timedelta(hours=1), end=NOON + timedelta(hours=2))
    subjects = [*(item.name for item in contract().inputs), "score"]
    store = MemoryMonitoringStore()
    for arm in range(6):
        theirs = version(f"arm {arm}").id
        store.add_findings(
            finding(monitor="drift", subject=s, window=later, version=theirs) for s in (*subjects, "own")
        )
    store.add_findings(finding(monitor="drift", subject=s, window=later) for s in subjects)
    store.add_findings([finding(monitor="drift", subject="old")])

    class Asked:
        monitoring_store = store
        contract_of = staticmethod(lambda _: contract())

    assert sorted(f.subject for f in Queries.last_look(Asked(), ONE, "drift")) == sorted(subjects)
    Asked.monitoring_store = MemoryMonitoringStore()
    assert Queries.last_look(Asked(), ONE, "drift") == []


# Sentences at their turning points.


def test_three_models_are_named_before_more_are_counted():
    assert overall([alert(model=m) for m in "abc"], 3, 3).endswith("c (1 alert).")
    assert overall([alert(model=m) for m in "abcd"], 4, 4).endswith("c (1 alert) and 1 more.")
    assert overall([], 1200, 1200) == "Nothing needs you: 1,200 models serve, no alert is open."


def test_a_promise_is_kept_at_the_promise_itself_and_a_rate_turns_at_one():
    promise = contract().serving.p99_ms
    span = Span(requests=1, rows=1, p50_micros=1000.0, p99_micros=promise * 1000)
    assert "as agreed" in latency(span, contract())
    assert latency(dataclasses.replace(span, p50_micros=None), contract()).startswith("Cannot tell")
    assert [sentences.rate(n, 3600) for n in (3600, 3599, 60, 59)] == [
        "1.0 a second", "60.0 a minute", "1.0 a minute", "59.0 an hour",
    ]  # fmt: skip
    several = contract(model=ModelSource(source="m", task=Task.MULTICLASS), outputs=Outputs(classes=("a", "b", "c")))
    assert "0% on average; n = 2" in scores(dataclasses.replace(span, decided={"a": 2}), several, None)


def test_what_monitors_say_counts_and_orders():
    unknown = [finding(subject=s, outcome=Outcome.CANNOT_TELL, sentence=f"{s}.", n=7) for s in "ab"]
    good = finding(subject="c", outcome=Outcome.OK, sentence="c.", n=1234)
    assert (
        monitor([good, *unknown], "") == "1 of 3 held their limits in the last window, of the others we cannot tell. a."
    )
    assert monitor([finding(measured=None, sentence="none."), finding(measured=0.1, sentence="some.")], "").startswith(
        "some."
    )
    assert rest([finding(high=0.0, measured=9.0), finding(high=None, measured=None)], percent=False).endswith(
        "passes 0.00."
    )


# What waits for whom.


def status(**changes: Any) -> ReleaseStatus:
    usual: dict[str, Any] = {
        "version": ONE,
        "state": State.CHECKED,
        "gates": {},
        "waived": (),
        "approvals": (),
        "missing": (),
        "unfilled": (),
    }
    return ReleaseStatus(**{**usual, **changes})


def somebody(name: str = "Ann Lee", *permissions: Permission) -> Principal:
    account = Account(login="ann", name=name, roles=(), admin=False, email="", password="", created_at=NOON)
    return Principal(account=account, permissions=frozenset(permissions), via="session")


def asked(name: str, text: str = "why?") -> Comment:
    return Comment(
        id="1",
        version=ONE.id,
        evidence=ONE.id,
        kind=CommentKind.CHANGE_REQUEST,
        name=name,
        login="x",
        text=text,
        at=NOON,
    )


def test_open_gates_come_before_signatures_and_say_what_to_do():
    found = tasks([status(gates={"supply_chain": Verdict.FAIL, "load": Verdict.CANNOT_TELL, "holdout": Verdict.PASS},
                          not_run=frozenset({"load"}), missing=(ANN,))], None)  # fmt: skip
    assert [(t.place, t.mine) for t in found] == [("supply_chain", False), ("load", False)]
    assert found[0].sentence == "The gate supply chain says: fail. Mend the model, or let a signer waive it."
    assert found[1].sentence == f"The gate load has not been run yet: modelmark check {ONE.argument}."


def test_ones_own_tasks_come_first():
    waiting = status(missing=(BOB, ANN), requests=(asked("Cy"), asked(ANN.name)))
    found = tasks([waiting], somebody(ANN.name))
    assert [t.mine for t in found] == [True, True, False, False]
    assert found[0].sentence == f"{ANN.name} asked for a change: why?"
    assert found[1].sentence == f"{ANN.name} has not approved it as {ANN.role.replace('_', ' ')}."
    assert found[1].place == f"part-{ANN.role}"
    nobody = dataclasses.replace(ANN, name="")
    assert tasks([status(missing=(nobody,))], None)[0].mine is False
    assert tasks([status(missing=(nobody,))], None)[0].sentence.startswith("somebody has not")


def test_what_may_be_released_is_the_task_of_who_may():
    for by, mine in ((None, False), (somebody(), False), (somebody("Ann Lee", Permission.RELEASE), True)):
        (task,) = tasks([status(state=State.APPROVED)], by)
        assert (task.sentence, task.place, task.mine) == ("Everybody agreed: it may be released.", "main", mine)
    assert tasks([status(unfilled=("purpose",))], None) == []


@pytest.mark.parametrize("turned", [False, True])
def test_only_the_newest_version_before_traffic_waits(turned):
    older = status(version=dataclasses.replace(ONE, number=1), requests=(asked("old"),))
    newer = status(version=dataclasses.replace(ONE, number=2), requests=(asked("new"),))
    given = [newer, older] if turned else [older, newer]
    assert [t.sentence[:3] for t in tasks(given, None)] == ["new"]
    serving = dataclasses.replace(newer, state=State.CHAMPION)
    assert tasks([older, serving], None) == []
    for state in (State.REGISTERED, State.CHECKED, State.APPROVED):
        assert tasks([dataclasses.replace(newer, state=state)], None)


# What each signer reads.


def side(**changes: Any) -> Side:
    signers = tuple(dataclasses.replace(ANN, role=role, name=role.value, signs=True) for role in QUESTIONS)
    bad: Evidence = dataclasses.replace(evidence(gate="load", measured=0.1))
    return Side(version=ONE, contract=contract(people=signers, **changes), evidence=(evidence(), bad), size=2048)


def facts(role: Role, **changes: Any) -> dict[str, str]:
    return dict(next(p.facts for p in parts(side(**changes), []) if p.person.role is role))


def test_each_role_reads_what_was_agreed_in_its_terms():
    goal = Goal(name="fewer calls", target=40.0, unit="a day", by="2027-01-01")
    rail = Guardrail(metric=Metric.RECALL, limit=0.8)
    told = facts(Role.PRODUCT, goals=(goal, Goal(name="x")), guardrails=(rail,))
    assert told["Guardrails"] == f"{Metric.RECALL.title} 0.8"
    assert told["Goal"] == "x: to ?  by "
    assert facts(Role.PRODUCT, goals=(goal,))["Goal"] == "fewer calls: to 40 a day by 2027-01-01"
    assert facts(Role.PRODUCT)["Guardrails"] == "none were named"
    questions = (
        Question(ask=Role.RISK, of=Role.PRODUCT, question="a?"),
        Question(ask=Role.OPERATIONS, of=Role.RISK, question="b?", answer="yes"),
        Question(ask=Role.OPERATIONS, of=Role.PRODUCT, question="c?"),
    )  # fmt: skip
    risk = facts(Role.RISK, questions=questions, forbidden_uses=())
    assert (risk["a?"], risk["b?"], "c?" in risk) == ("not answered", "yes", False)
    assert risk["Not to be used for"] == "nobody has said"
    assert risk["Fair to groups of"] == "no column was named"
    chain = (Fallback(kind=FallbackKind.PREVIOUS_VERSION), Fallback(kind=FallbackKind.REVIEW))
    assert facts(Role.OPERATIONS, fallback=chain)["Deadline"].endswith("ms; then previous version, then review")
    assert facts(Role.OPERATIONS, fallback=())["Deadline"].endswith("ms; then an error")
    assert facts(Role.OPERATIONS)["To undo it"].endswith("modelmark rollback --model loans")
    assert "99 of 100 answers within" in facts(Role.OPERATIONS)["Agreed traffic"]
    data = facts(Role.DATA_SCIENCE)
    assert (data["Inputs"], data["Code"]) == ("2, target y", "not in a git checkout")
    assert data["Training table"].startswith("train.csv, ")
    assert data["Holdout"].startswith("holdout.csv, ")
    assert facts(Role.ENGINEERING)["Conversion"] == "0 of 100 decisions flipped"
    assert "Served model" in facts(Role.ENGINEERING)


def test_risk_reads_everything_that_did_not_pass_and_the_others_their_own():
    signed = Approval(version=ONE.id, evidence=ONE.id, role=Role.RISK, name="risk", at=NOON)
    found = {part.person.role: part for part in parts(side(), [signed])}
    assert {role: part.signed for role, part in found.items()} == {role: role is Role.RISK for role in QUESTIONS}
    assert [gate for gate, _ in found[Role.RISK].residual] == ["load"]
    for part in found.values():
        assert part.question == QUESTIONS[part.person.role]
        assert all(isinstance(check, Check) and check.verdict is Verdict.PASS for _, check in part.checks)
    assert [gate for gate, _ in found[Role.OPERATIONS].residual] == ["load"]
    assert found[Role.OPERATIONS].checks == ()


def test_what_answers_now_stands_side_by_side_with_what_its_labels_say():
    arms = (Arm(version=ONE.id, name="champion", weight=0.9), Arm(version=digest("two"), name="canary", weight=0.1))
    did = Answered(requests=1200, rows=1300, fallbacks=4, p50_micros=400.0, p99_micros=2500.0, mean_score=0.25)
    judged = finding(monitor="performance", measured=0.9, low=0.85, high=0.95, n=300)
    book = Book(
        route=Route(model="loans", arms=arms, previous=None),
        timeline=Timeline(arms={ONE.id.hex: did}), reference=scored([0.5], [1, 1]),
        looks={"performance": [judged]}, refused=[("OUT_OF_RANGE", "age", 7)],
    )  # fmt: skip
    first, second = series.model(book, "loans", named("1h", NOON))["arms"]
    here = "from=2026-03-01T11%3A00%3A00%2B00%3A00&to=2026-03-01T12%3A00%3A00%2B00%3A00"
    assert (first.pop("rows"), first.pop("others")) == (
        f"/models/loans/rows?version=v1&{here}", f"/models/loans/rows?version=v1&path=fallback&{here}"
    )  # fmt: skip
    assert first.pop("refusals") == "/models/loans/refusals?span=1h&version=v1"
    assert first.pop("judged") == "/models/loans/rows?version=v1&label=any"
    assert first == {
        "label": "v1", "arm": "champion", "weight": "90%", "requests": "1,200", "p50_ms": "0.40", "p99_ms": "2.50",
        "score": "0.25", "fallbacks": "4", "refused": "7", "performance": "0.9 [0.85, 0.95], n = 300",
    }  # fmt: skip
    assert (second["weight"], second["requests"], second["p99_ms"]) == ("10%", "0", "–")


def test_a_rollback_is_marked_unlike_a_release():
    acts = [
        Event(
            sequence=n, at=NOON, actor="ann", act=act, subject=ONE.id, details={"model": "loans"}, previous="", hash=""
        )
        for n, act in enumerate((Act.RELEASED, Act.ROLLED_BACK), 1)
    ]
    found = series.marks(Book(), "loans", NOON, acts)
    assert [(mark["kind"], mark["label"]) for mark in found] == [("release", "v1"), ("rollback", "↩ v1")]


def test_a_monitors_point_leads_to_what_it_is_about():
    hour = named("1h", NOON)
    lead = lambda **about: series._of_input(finding(**about), "loans", hour)["href"]  # noqa: E731
    assert lead(subject="age of car", column=True) == "/models/loans/input?name=age+of+car&span=1h"
    assert lead(subject="requests") == "/models/loans/refusals?span=1h"
    assert lead(subject="score", column=True).startswith("/models/loans/rows?from=")


def test_labels_by_source_are_counted_on_from_what_was_known(monkeypatch, tmp_path):
    counted = []
    known = lambda _, model, before: counted.append((model, before)) or LabelSources(waiting=frozenset({model}))  # noqa: E731
    monkeypatch.setattr("modelmark.web.queries.label_sources", known)
    queries = object.__new__(Queries)
    for name, value in (("workspace", Workspace(tmp_path)), ("_sources", {})):
        object.__setattr__(queries, name, value)
    for model in ("loans", "churn", "loans"):
        assert queries.label_sources(model) == []
    assert counted == [("loans", NONE), ("churn", NONE), ("loans", LabelSources(waiting=frozenset({"loans"})))]
