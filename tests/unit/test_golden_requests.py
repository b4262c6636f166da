"""A version is ready on a machine once it answers there what it answered when it was registered."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import loops
import serving_case as case
from builders.domain import NOON
from builders.steward import watched
from modelmark.app.golden_answers import golden_rows
from modelmark.domain.alerts.next_step import next_step
from modelmark.domain.alerts.unserved import tell_unserved, unserved
from modelmark.domain.errors import OutputInvalid, Tampered
from modelmark.domain.finding import Outcome
from modelmark.domain.version import GOLDEN, GoldenRequests, Probe
from modelmark.domain.workspace import Workspace
from modelmark.journal.wal.writer import Sync, Writer
from modelmark.seal import keys
from modelmark.serving import golden
from modelmark.serving.metrics import Metrics
from modelmark.serving.models import load_candidate, load_marked
from modelmark.serving.runtime import Runtime
from modelmark.stats.rounding import ROUNDING
from modelmark.steward.jobs.hear_workers import HearWorkers
from modelmark.steward.loop import Steward
from modelmark.steward.serving_versions import ServingVersions
from modelmark.testing.monitoring_store import MemoryMonitoringStore

CONTRACT = case.contract()
GRAPH = case.gradient_boosting(3)
ROWS = [json.dumps({"f0": a, "f1": b, "f2": 0.5}) for a in (-2.0, 0.3, 2.0) for b in (-1.0, 1.0)]


class Scores:
    """Answers a row with the probability it holds."""

    def predict(self, rows: Sequence[Mapping[str, Any]]) -> list[list[float]]:
        return [[1 - row["f0"], row["f0"]] for row in rows]


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory) -> GoldenRequests:
    built = case.build(tmp_path_factory.mktemp("first"), CONTRACT, GRAPH, marked=False)
    found = golden.recorded(load_candidate(built.folder, built.id), CONTRACT, ROWS)
    assert found is not None
    assert [request.row for request in found.requests] == ROWS
    assert {request.label for request in found.requests} == {0, 1}
    return found


def moved(answered: GoldenRequests, by: float = 0.0, *, label: int = 0) -> GoldenRequests:
    """The last request was answered otherwise. label: by so many."""
    *others, last = answered.requests
    scores = (last.scores[0] - by, last.scores[1] + by)
    return GoldenRequests(
        requests=(*others, dataclasses.replace(last, scores=scores, label=(last.label + label) % 2)),
    )


def test_rows_that_are_refused_or_next_to_another_label_are_no_golden_requests() -> None:
    rows = [0.5, 0.5 - ROUNDING, 0.5 - 3 * ROUNDING, 0.9]
    found = golden.recorded(Scores(), CONTRACT, [json.dumps({"f0": score}) for score in rows])
    assert found is not None
    assert [(json.loads(r.row)["f0"], r.label) for r in found.requests] == [(rows[2], 0), (0.9, 1)]
    assert golden.recorded(Scores(), CONTRACT, [json.dumps({"f0": 0.5})] * 4) is None
    many = [json.dumps({"f0": at / 1000}) for at in range(golden.MOST + 10)]
    few = golden.recorded(Scores(), CONTRACT, many)
    assert few is not None
    assert len(few.requests) == golden.MOST


def test_a_row_on_which_the_model_fails_is_no_golden_request() -> None:
    class Failing(Scores):
        def predict(self, rows: Any) -> Any:
            if any(row["f0"] == 0.9 for row in rows):
                raise RuntimeError("indices element out of data bounds")
            return super().predict(rows)

    found = golden.recorded(Failing(), CONTRACT, [json.dumps({"f0": score}) for score in (0.9, 0.1, 0.8)])
    assert found is not None
    assert [json.loads(request.row)["f0"] for request in found.requests] == [0.1, 0.8]


def test_of_each_family_something_is_tried_first() -> None:
    made = [Probe(family=f, row=f"{f}{at}", original=None, label=0) for f in ("a", "b", "c") for at in range(3)]
    assert golden_rows(made[:7], CONTRACT, None) == ["a0", "b0", "c0", "a1", "b1", "a2", "b2"]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("by", "label", "same"),
    [
        pytest.param(0.0, 0, True, id="the same"),
        pytest.param(ROUNDING / 2, 0, True, id="within rounding"),
        pytest.param(ROUNDING * 2, 0, False, id="beyond rounding"),
        pytest.param(0.0, 1, False, id="another label"),
    ],
)
def test_a_version_loads_only_where_it_answers_as_it_did(
    tmp_path: Path, answered: GoldenRequests, by: float, label: int, same: bool
) -> None:
    built = case.build(tmp_path, CONTRACT, GRAPH, golden=moved(answered, by, label=label))
    verifier = keys.verifier(built.workspace.keys)
    if same:
        load_marked(built.folder, verifier, built.id)
    else:
        with pytest.raises(OutputInvalid) as caught:
            load_marked(built.folder, verifier, built.id)
        assert (caught.value.code, caught.value.row) == ("GOLDEN_DIFFERS", len(ROWS) - 1)
        assert "labels" in (caught.value.limit or "")


def test_the_mark_covers_them_and_they_name_no_version(tmp_path: Path, answered: GoldenRequests) -> None:
    built = case.build(tmp_path, CONTRACT, GRAPH, golden=answered)
    assert built.id == case.build(tmp_path / "none", CONTRACT, GRAPH).id
    easier = GoldenRequests(requests=answered.requests[:1])
    (built.folder / GOLDEN).write_bytes(case.canonical(easier))
    with pytest.raises(Tampered, match=r"golden\.json"):
        load_marked(built.folder, keys.verifier(built.workspace.keys), built.id)


def test_a_version_that_answers_otherwise_here_is_not_served_and_what_served_goes_on(
    tmp_path: Path, answered: GoldenRequests
) -> None:
    old = case.build(tmp_path, CONTRACT, golden=None)
    new = case.build(tmp_path, CONTRACT, GRAPH, number=2, golden=moved(answered, 0.01))
    workspace, verifier = old.workspace, keys.verifier(old.workspace.keys)

    async def work() -> None:
        with Writer(workspace.wal, sync=Sync.NEVER) as writer:
            runtime = Runtime(workspace, writer, Metrics(None), verifier=lambda: verifier)
            case.release(old)
            await runtime.refresh()
            runtime.tidy()
            assert unserved(workspace) is None
            case.release(new, sequence=2, previous=old)
            await runtime.refresh()
            runtime.tidy()
            assert runtime.route("churn").champion.id == old.id
            fine, problems = runtime.ready()
            assert fine
            assert any("golden request 5 is answered otherwise" in problem for problem in problems), problems
            assert "golden request 5" in (unserved(workspace) or "")
            shutil.rmtree(workspace.runtime)  # a machine where nothing ever served
            other = Runtime(workspace, writer, Metrics(None), verifier=lambda: verifier)
            await other.refresh()
            assert other.route("churn").champion.id == old.id
            assert other.ready()[0]
            shutil.rmtree(workspace.runtime)
            case.release(new, sequence=3)
            alone = Runtime(workspace, writer, Metrics(None), verifier=lambda: verifier)
            await alone.refresh()
            assert not alone.ready()[0], "nothing answers"

    loops.run(work())


def test_it_is_an_alert_until_it_is_served(tmp_path: Path) -> None:
    workspace, serving, book = Workspace(tmp_path), ServingVersions(lambda: [watched()]), MemoryMonitoringStore()
    serving.refresh()
    steward = Steward([HearWorkers(workspace=workspace)], serving, book, lambda: NOON, log=lambda _: None)
    assert steward.step(NOON).findings == []
    tell_unserved(workspace, "0f", ["version 12ab of loans does not load: golden request 5"])
    (told,) = steward.step(NOON + timedelta(minutes=1)).findings
    assert (told.subject, told.outcome) == ("unserved", Outcome.ALERT)
    assert "golden request 5" in told.sentence
    (alert,) = book.alerts(open_only=True)
    assert "lock.txt" in next_step(alert)
    tell_unserved(workspace, "0f", [])
    for minute in (2, 4):
        assert len(book.alerts(open_only=True)) == 1
        steward.step(NOON + timedelta(minutes=minute))
    assert book.alerts(open_only=True) == []
