"""What the tables hold of an experiment's arms: units, contamination, and every measure of a handful of records, by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from builders.domain import NOON, contract, digest
from builders.journal import AT, journal, label, pid, predicted
from modelmark.domain.contract import Data, Labels, Objective
from modelmark.domain.experiments import plan as agreed
from modelmark.domain.experiments.experiment import Experiment
from modelmark.domain.experiments.plan import Direction, ExperimentArm, ExperimentPlan, Guardrail, Measure, Unit
from modelmark.domain.experiments.reading import Finding
from modelmark.domain.metrics import Metric
from modelmark.domain.workspace import Workspace
from modelmark.journal.tables.compact import compact
from modelmark.journal.tables.experiments import ExperimentSums, experiment_sums
from modelmark.journal.wal.records import Record, Refused
from modelmark.rollouts.experiments.judging import judge
from modelmark.rollouts.experiments.questions import question
from modelmark.stats.experiments.moments import C, X, Y

HOUR = 3_600_000_000_000
AGREED = contract(
    objective=Objective(metric=Metric.ACCURACY), labels=Labels(expected_delay_hours=1.0),
    data=Data(train="t", holdout="h", target="y", entity_key="job"),
)  # fmt: skip
PLAN = ExperimentPlan(
    name="trees", model="loans", hypothesis="More is more.",
    arms=(ExperimentArm(name="control", version="v1", share=0.5), ExperimentArm(name="b", version="v2", share=0.5)),
    objective=agreed.Objective(measure=Measure.ACCURACY, minimum_effect=0.1),
)  # fmt: skip


GUARD = (Guardrail(measure=Measure.FALLBACK, margin=0.1),)
ONE = Experiment(
    plan=PLAN,
    digest="d",
    versions={"control": digest("one"), "b": digest("two")},
    registered=NOON,
    registered_by="ann",
    event=1,
)


def read(
    root: Path, *records: Record, hours: float = 3.0, ended: float | None = None, **changes: Any
) -> ExperimentSums:
    """So many hours after it began, at noon."""
    workspace = journal(root, *records)
    compact(workspace)
    now = NOON + timedelta(hours=hours)
    one = replace(ONE, plan=replace(PLAN, **changes))
    until = now if ended is None else NOON + timedelta(hours=ended)
    return experiment_sums(workspace, question(one, AGREED, until, now=now))


def asked(name: str, entity: str = "", arm: str = "control", *, at: float = 0.5, **changes: Any) -> Any:
    return predicted(pid(name), entity=entity, arm=f"trees.{arm}", at=AT + int(at * HOUR), **changes)


def measure(**changes: Any) -> dict[str, Any]:
    return {"objective": agreed.Objective(minimum_effect=0.1, **changes)}


def test_an_entity_is_a_unit_and_one_that_met_two_arms_is_none(tmp_path: Path):
    found = read(
        tmp_path,
        asked("1", "ann"), asked("2", "ann"), asked("3", "bob"), asked("4", "cy", "b"),
        asked("5", "eve"), asked("6", "eve", "b"),
        asked("7", "", jobs=("zoe",)), asked("8", "", jobs=(None,)), asked("9", "dan", micros=0), asked("10", "flo", at=-1.0),
        predicted(pid("11"), entity="gus"), asked("12", "late", at=4.0),
        Refused(AT + HOUR, "loans", "MODEL_OUTPUT_INVALID", "", 2, "", "trees.b"),
        Refused(AT + HOUR, "loans", "OUT_OF_RANGE", "age", 9, "", "trees.b"),
    )  # fmt: skip
    assert found.units == {"trees.control": 3, "trees.b": 1}, "ann, bob, zoe, whom the entity key names; cy"
    assert (found.contaminated, found.nameless) == (1, 1)
    assert found.requests == {"trees.control": 6, "trees.b": 4}
    assert found.failed == {"trees.control": 0, "trees.b": 2}


def test_requests_are_units_where_nobody_asks_twice(tmp_path: Path):
    found = read(tmp_path, asked("1", "ann"), asked("2", "ann"), asked("3", "", "b", jobs=(None,)), unit=Unit.REQUEST)
    assert (found.units, found.nameless) == ({"trees.control": 2, "trees.b": 1}, 0)


#: Ann has two answers of one row and one of two, Bob one. Scores of 0.7 decide for 1.
RECORDS = (
    asked("1", "ann", micros=1000), asked("2", "ann", micros=3000, path="constant"),
    asked("3", "ann", score=0.2, ages=(40.0, 41.0), jobs=("a", "b"), micros=2000), asked("4", "bob", micros=8000),
    asked("young", "bob", at=2.5),
    label(pid("1"), 1), label(pid("2"), 0), label(pid("3"), 0), label(pid("3"), 1, row=1), label(pid("4"), 1),
    label(pid("young"), 0),
)  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "ann", "bob"),
    [
        pytest.param({"measure": Measure.ACCURACY}, (2, 4), (1, 1), id="accuracy"),
        pytest.param({"measure": Measure.LOSS}, (2, 4), (0, 1), id="loss"),
        pytest.param({"measure": Measure.OUTCOME, "direction": Direction.HIGHER}, (2, 4), (1, 1), id="outcome"),
        pytest.param(
            {"measure": Measure.OUTCOME_PER_ENTITY, "direction": Direction.HIGHER}, (2, 1), (1, 1), id="of an entity"
        ),
        pytest.param({"measure": Measure.LATENCY_MS}, (6, 3), (8.15, 2), id="latency"),
        pytest.param({"measure": Measure.FALLBACK}, (1, 3), (0, 2), id="fallback"),
        pytest.param(
            {"measure": Measure.CLASS_SHARE, "direction": Direction.LOWER, "class_name": "1"},
            (2, 4),
            (2, 2),
            id="class",
        ),
        pytest.param({"measure": Measure.SCORE, "direction": Direction.HIGHER}, (1.8, 4), (1.4, 2), id="score"),
    ],
)
def test_every_measure_is_a_ratio_of_an_entitys_sums(tmp_path: Path, changes, ann, bob):
    found = read(tmp_path, *RECORDS, **measure(**changes))
    (sums,) = found.measures.values()
    one = sums.strata["trees.control"][""]
    assert one.n == 2
    assert (one.mean[X] * 2, one.mean[Y] * 2) == pytest.approx((ann[0] + bob[0], ann[1] + bob[1]))
    assert one.covariance[X, X] == pytest.approx((ann[0] - bob[0]) ** 2 / 2)
    assert one.covariance[X, Y] == pytest.approx((ann[0] - bob[0]) * (ann[1] - bob[1]) / 2)
    ratio = (ann[0] + bob[0]) / (ann[1] + bob[1])
    assert sums.largest["trees.control"] == pytest.approx(max((x - ratio * y) ** 2 for x, y in (ann, bob)))


def test_whoever_has_no_label_when_it_should_have_come_counts_as_nothing_earned(tmp_path: Path):
    found = read(
        tmp_path, asked("1", "ann"), asked("2", "bob"), asked("3", "cy", at=2.5), label(pid("1"), 1),
        **measure(measure=Measure.OUTCOME_PER_ENTITY, direction=Direction.HIGHER),
    )  # fmt: skip
    one = found.measures["outcome_per_entity"].strata["trees.control"][""]
    assert (one.n, one.mean[X]) == (2, 0.5), "cy's may still come"


def test_strata_and_covariates_are_as_a_unit_first_came_or_as_it_was_before(tmp_path: Path):
    records = (
        asked("1", "ann", ages=(30.0,), jobs=("x",)), asked("2", "ann", ages=(99.0,), jobs=("y",), at=1.0),
        asked("3", "bob", ages=(50.0,), jobs=(None,)), label(pid("1"), 1), label(pid("3"), 0),
        predicted(pid("old"), entity="ann", at=AT - HOUR), predicted(pid("older"), entity="ann", at=AT - 50 * HOUR),
        label(pid("old"), 0, at=AT - HOUR), label(pid("older"), 1, at=AT - HOUR),
    )  # fmt: skip
    found = read(tmp_path / "a", *records, strata="job", covariate="age").measures["accuracy"].strata["trees.control"]
    assert {stratum: (one.n, one.mean[C]) for stratum, one in found.items()} == {"x": (1, 30.0), "(none)": (1, 50.0)}
    before = read(tmp_path / "b", *records, before_days=1.0).measures["accuracy"].strata["trees.control"][""]
    assert before.mean[C] == 0.0, "ann was wrong the day before; bob is as everybody was"
    long = read(tmp_path / "c", *records, before_days=10.0).measures["accuracy"].strata["trees.control"][""]
    assert long.mean[C] == 0.5


def test_labels_that_come_after_the_end_count_and_answers_do_not(tmp_path: Path):
    found = read(
        tmp_path, asked("1", "ann"), asked("2", "bob", at=1.5), label(pid("1"), 1, at=AT + 2 * HOUR), ended=1.0
    )
    assert found.units["trees.control"] == 1
    assert found.measures["accuracy"].strata["trees.control"][""].n == 1


def test_an_empty_journal_says_that_nobody_came(tmp_path: Path):
    found = read(tmp_path, guardrails=GUARD)
    assert found.units == {"trees.control": 0, "trees.b": 0}
    assert set(found.measures) == {"accuracy", "fallback"}
    nowhere = experiment_sums(Workspace(tmp_path / "none"), question(ONE, AGREED, NOON, now=NOON))
    for seen in (found, nowhere):
        arms = {"control": "trees.control", "b": "trees.b"}
        plan = PLAN if seen is nowhere else replace(PLAN, guardrails=GUARD)
        assert judge(plan, seen, arms=arms, began=NOON, now=NOON).finding is Finding.NEED_MORE
