"""What the tables hold of a stage: every count and sum of a handful of records, by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from builders.domain import NOON, contract, digest
from builders.journal import AT, journal, label, pid, predicted, refused
from modelmark.domain.contract import Contract, Costs, Data, Labels, ModelSource, Objective, Outputs
from modelmark.domain.metrics import Metric, Task
from modelmark.domain.rollouts.settings import Margins, StageKind
from modelmark.journal.tables import stages
from modelmark.journal.tables.compact import compact
from modelmark.journal.wal.records import Predicted, Record, Refused, Schema, Shadowed
from modelmark.journal.wal.writer import Writer
from modelmark.rollouts.evidence import StageEvidence
from modelmark.rollouts.reading import read_stage

NEW = digest("new")
AGREED = contract(
    objective=Objective(metric=Metric.ACCURACY), labels=Labels(expected_delay_hours=1.0),
    data=Data(train="t", holdout="h", target="y", sensitive=("job",)),
)  # fmt: skip
HOUR = 3_600_000_000_000


@pytest.fixture(autouse=True, params=[stages.GATHERED, 0], ids=["gathered", "too many to gather"])
def _read_so(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "GATHERED", request.param)


def canary(name: str, score: float = 0.7, **changes: object):
    return predicted(pid(name), score=score, version=NEW.hex, arm="canary", **changes)


def shadow(name: str, score: float | None = 0.7, *, rows: int = 1, error: str = "") -> Shadowed:
    scores = b"" if score is None else np.tile([1 - score, score], rows).astype("<f8").tobytes()
    return Shadowed(pid(name), AT, "loans", str(NEW), "shadow-v2", rows, scores, error, 2000)


def read(
    root: Path,
    records: Sequence[Record],
    kind: StageKind = StageKind.CANARY,
    agreed: Contract = AGREED,
    hours: float = 2.0,
) -> StageEvidence:
    """Two hours after all of it, as a stage that began at noon; versions read alike."""
    workspace = journal(root)
    outputs = agreed.outputs
    with Writer(workspace.wal) as writer:
        for id in (digest("one"), NEW):
            writer.declare(
                Schema(
                    str(id),
                    "loans",
                    str(agreed.model.task),
                    ["age"],
                    ["job"],
                    list(outputs.classes),
                    outputs.positive,
                    0.5,
                )
            )
        old = str(digest("one"))
        writer.append_many(
            [_of(r, old if r.arm == "champion" else str(NEW)) if isinstance(r, Predicted) else r for r in records]
        )
    compact(workspace)
    now = NOON + timedelta(hours=hours)
    return read_stage(workspace, agreed, NEW, kind=kind, margins=Margins(), since=NOON, now=now)


def _of(record, version: str):
    record.version = version
    return record


def test_a_canarys_requests_failures_times_scores_and_labels(tmp_path: Path):
    late = AT + int(1.5 * HOUR)
    found = read(
        tmp_path,
        [
            predicted(pid("a"), score=0.8, micros=1000),
            predicted(pid("b"), score=0.4, micros=3000, ages=(40.0, 41.0), jobs=("a", "b")),
            predicted(pid("before"), at=AT - HOUR), predicted(pid("table"), micros=0),
            canary("c", 0.6, micros=9000), canary("d", 0.9, path="constant"), canary("e", 0.1, at=late),
            Refused(AT, "loans", "MODEL_OUTPUT_INVALID", "", 3, NEW.hex, "canary"),
            Refused(AT, "loans", "OUT_OF_RANGE", "age", 50, NEW.hex, "canary"), refused(7),
            label(pid("a"), 1), label(pid("b"), 1, row=0), label(pid("b"), 0, row=1), label(pid("c"), 0), label(pid("d"), 0),
            label(pid("e"), 1),
        ],
    )  # fmt: skip
    assert (found.champion.requests, found.champion.failed) == (2, 0)
    assert (found.candidate.requests, found.candidate.failed) == (3 + 3, 1 + 3), (
        "refusals of the caller's making are none"
    )
    assert found.latency is not None
    assert found.latency[0].n == 2
    assert found.latency[1].quantile(1.0) == pytest.approx(9.0, rel=0.011)
    assert found.score is not None
    assert found.score.champion.mean == pytest.approx((0.8 + 0.4) / 2)
    assert (found.score.candidate.n, found.score.candidate.mean) == (2, pytest.approx(0.35)), (
        "a constant is no score of its"
    )
    assert found.quality is not None
    assert (found.quality.champion.n, found.quality.champion.total) == (2, 0.5), "half of b's rows are wrong"
    assert (found.quality.candidate.n, found.quality.candidate.total) == (1, 1.0), "e is too young to have its label"
    assert found.matured == 1
    assert {group: pair.candidate.n for group, pair in found.fairness.items()} == {"job = a": 2}


@pytest.mark.parametrize(
    ("fell_back_at", "failed"),
    [
        pytest.param(AT + 1_000_000, 0, id="before this canary has answered anything: the one before was asked"),
        pytest.param(AT + 3_000_000_000, 1, id="after it has"),
    ],
)
def test_what_the_canary_before_could_not_answer_is_not_held_against_this_one(
    tmp_path: Path, fell_back_at: int, failed: int
):
    own, other = AT + 2_000_000_000, canary("b", path="previous_version", at=fell_back_at)
    found = read(tmp_path, [predicted(pid("x")), other, canary("a", at=own), canary("c", at=own + 1_000_000)])
    assert (found.candidate.failed, found.candidate.requests) == (failed, 2 + failed)


def test_a_canary_that_never_answers_fails_all_the_same_once_workers_surely_ask_it(tmp_path: Path):
    minute = 61_000_000_000
    fell = [canary(f"{i}", path="previous_version", at=AT + i * 1_000_000_000) for i in range(3)]
    late = [canary(f"l{i}", path="previous_version", at=AT + minute + i) for i in range(2)]
    refusals = [Refused(AT, "loans", "MODEL_OUTPUT_INVALID", "", 4, who, "canary") for who in (NEW.hex, "0b" * 32)]
    found = read(tmp_path, [predicted(pid("x")), *fell, *late, *refusals])
    assert (found.candidate.failed, found.candidate.requests) == (2 + 4, 2 + 4)


def test_a_shadow_is_paired_with_what_the_champion_said_to_the_same_request(tmp_path: Path):
    found = read(
        tmp_path,
        [
            predicted(pid("a"), score=0.8), predicted(pid("b"), score=0.4), predicted(pid("c"), score=0.4),
            predicted(pid("d"), score=0.4, path="constant"),
            shadow("a", 0.9), shadow("b", 0.7), shadow("c", None, error="ZeroDivisionError"), shadow("d", 0.9),
            label(pid("a"), 1), label(pid("b"), 1),
        ],
        StageKind.SHADOW,
    )  # fmt: skip
    assert (found.candidate.requests, found.candidate.failed) == (4, 1)
    assert found.disagreement is not None
    assert (found.disagreement.n, found.disagreement.total) == (2, 1.0)
    assert found.score is not None
    assert found.score.paired is not None
    assert (found.score.paired.n, found.score.paired.total) == (2, pytest.approx(0.4))
    assert found.quality is not None
    assert found.quality.paired is not None
    assert (found.quality.paired.n, found.quality.paired.total) == (2, -1.0), "the shadow is right about b"
    pair = found.fairness["job = a"].paired
    assert pair is not None
    assert (pair.n, pair.total) == (2, 1.0)
    assert found.latency is not None
    assert found.latency[1].quantile(0.5) == pytest.approx(2.0, rel=0.011)


LOSSES = {
    Metric.ACCURACY: 1.0, Metric.ROC_AUC: 0.7**2, Metric.LOG_LOSS: -np.log(0.3), Metric.EXPECTED_COST: 8.0,
}  # fmt: skip


@pytest.mark.parametrize("metric", LOSSES)
def test_a_row_costs_what_the_objective_says(tmp_path: Path, metric: Metric):
    objective = Objective(metric=metric, costs=Costs(false_positive=8.0, false_negative=1.0))
    found = read(
        tmp_path,
        [canary("c", 0.7), predicted(pid("a")), label(pid("c"), 0)],
        agreed=replace(AGREED, objective=objective),
    )
    assert found.quality is not None
    assert found.quality.candidate.total == pytest.approx(LOSSES[metric])


@pytest.mark.parametrize(("metric", "loss"), [(Metric.MAE, 3.0), (Metric.RMSE, 9.0), (Metric.PINBALL, 0.9 * 3.0)])
def test_losses_in_units_are_told_as_shares_of_the_champions(tmp_path: Path, metric: Metric, loss: float):
    agreed = replace(
        AGREED, model=ModelSource(source="m", task=Task.REGRESSION), outputs=Outputs(),
        objective=Objective(metric=metric, quantile=0.1),
    )  # fmt: skip
    value = {"scores": np.array([13.0], "<f8").tobytes()}
    champions = [predicted(pid(f"a{i}"), scores=np.array([10.0 + i], "<f8").tobytes()) for i in range(3)]
    labels = [label(pid("c"), 10.0), *(label(pid(f"a{i}"), 12.0) for i in range(3))]
    found = read(tmp_path, [*champions, canary("c", **value), *labels], agreed=agreed)
    assert found.quality is not None
    assert found.quality.candidate.total == pytest.approx(loss)
    assert found.quality_unit == pytest.approx(found.quality.champion.mean)
    assert found.score_unit == pytest.approx(1.0), "the standard deviation of 10, 11, 12"


def test_a_stage_of_which_nothing_came_is_empty_and_not_an_error(tmp_path: Path):
    for kind in StageKind:
        found = read(tmp_path / kind, [], kind)
        assert (found.champion.requests, found.candidate.requests) == (0, 0)
