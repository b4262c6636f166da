"""What an experiment's numbers say: the sample ratio first, then better, no worse, harm, or how many units more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from builders.domain import NOON, digest
from modelmark.app.usecases.experiments.turn_experiments import TurnExperiments, over
from modelmark.domain.experiments.experiment import Experiment
from modelmark.domain.experiments.plan import (
    Direction,
    ExperimentArm,
    ExperimentPlan,
    Guardrail,
    Measure,
    Objective,
    StopRule,
)
from modelmark.domain.experiments.reading import KEPT, ExperimentReading, Finding
from modelmark.journal.tables.experiments import ExperimentSums, MeasureSums
from modelmark.rollouts.experiments.judging import FAILED, budget, judge
from modelmark.stats.experiments.moments import moments
from modelmark.testing.monitoring_store import MemoryMonitoringStore

PLAN = ExperimentPlan(
    name="trees", model="loans", hypothesis="More is more.",
    arms=(ExperimentArm(name="control", version="v1", share=0.5), ExperimentArm(name="b", version="v2", share=0.5)),
    objective=Objective(measure=Measure.OUTCOME, minimum_effect=0.1, direction=Direction.HIGHER),
)  # fmt: skip
DRAW = np.random.default_rng(7)
NOISE = DRAW.normal(size=40_000)


def sums(shifts: Mapping[str, float], n: int = 4_000, *, spread: float = 1.0) -> MeasureSums:
    """Exactly those means."""
    noise = NOISE[:n] - NOISE[:n].mean()
    return MeasureSums(
        strata={arm: {"": moments(shift + spread * noise)} for arm, shift in shifts.items()},
        largest={arm: float((spread * noise).max() ** 2) for arm in shifts},
    )


def share(counts: Mapping[str, tuple[int, int]]) -> MeasureSums:
    """(units with it, units) of each arm."""
    return MeasureSums(
        strata={arm: {"": moments([1.0] * some + [0.0] * (n - some))} for arm, (some, n) in counts.items()},
        largest=dict.fromkeys(counts, 1.0), some={arm: some for arm, (some, _) in counts.items()},
        full={arm: some for arm, (some, _) in counts.items()},
    )  # fmt: skip


def read(
    outcome: MeasureSums, plan: ExperimentPlan = PLAN, *, units: Mapping[str, int] | None = None,
    failed: Mapping[str, int] | None = None, doubted: float = 1.0, more: Mapping[str, MeasureSums] | None = None, **told: Any,
) -> ExperimentReading:  # fmt: skip
    counted = units or {arm.name: 4_000 for arm in plan.arms}
    requests = {arm: 2 * n for arm, n in counted.items()}
    seen = ExperimentSums(
        units=counted, requests=requests, failed=failed or {}, measures={"outcome": outcome, **(more or {})}, **told
    )
    arms = {arm.name: arm.name for arm in plan.arms}
    return judge(plan, seen, arms=arms, began=NOON, now=NOON + timedelta(days=2), doubted=doubted)


@pytest.mark.parametrize(
    ("shift", "n", "finding", "said"),
    [
        pytest.param(0.3, 4_000, Finding.BETTER, "b is better than control: outcome +0.3, surely +0.2", id="better"),
        pytest.param(0.06, 40_000, Finding.BETTER, "less than the least effect worth having", id="a little better"),
        pytest.param(0.0, 40_000, Finding.NO_WORSE, "b is no worse than control and not better by 0.1", id="no worse"),
        pytest.param(-0.3, 4_000, Finding.HARM, "b does harm: outcome", id="worse"),
        pytest.param(0.1, 200, Finding.NEED_MORE, "more units would tell", id="too early"),
        pytest.param(0.1, 40, Finding.NEED_MORE, "it takes 50 units of each arm, and one has 40", id="hardly anybody"),
    ],
)
def test_the_objective_decides(shift, n, finding, said):
    found = read(sums({"control": 0.0, "b": shift}, n))
    assert found.finding is finding
    assert said in found.sentence


def test_lower_is_better_where_that_is_agreed():
    lower = replace(PLAN, objective=replace(PLAN.objective, direction=Direction.LOWER))
    assert read(sums({"control": 0.0, "b": -0.3}), lower).finding is Finding.BETTER
    assert read(sums({"control": 0.0, "b": 0.3}), lower).finding is Finding.HARM


def test_how_many_more_units_it_takes_is_told_with_how_long_that_is_and_holds():
    early = read(sums({"control": 0.0, "b": 0.15}, 400), units={"control": 400, "b": 400})
    assert early.finding is Finding.NEED_MORE
    assert early.more is not None
    assert early.eta == timedelta(days=2 * early.more / 800)
    n = 400 + early.more // 2
    assert read(sums({"control": 0.0, "b": 0.15}, int(n * 1.05))).finding is Finding.BETTER
    assert read(sums({"control": 0.0, "b": 0.15}, int(n * 0.9))).finding is Finding.NEED_MORE


def test_nothing_is_shown_where_the_arms_are_not_alike_and_that_is_not_forgotten():
    better = sums({"control": 0.0, "b": 0.5})
    found = read(better, units={"control": 5_000, "b": 4_000})
    assert (found.finding, found.measures) == (Finding.MISMATCH, ())
    assert "control 55.6% (50.0% agreed), b 44.4%" in found.sentence
    assert "outcome" not in found.sentence
    again = read(better, doubted=found.sample_ratio)
    assert again.finding is Finding.MISMATCH
    assert again.sample_ratio == found.sample_ratio


def test_shares_are_held_against_what_was_agreed_without_the_holdback():
    plan = replace(PLAN, arms=(replace(PLAN.arms[0], share=0.6), replace(PLAN.arms[1], share=0.2)), holdback=0.2)
    assert read(sums({"control": 0.0, "b": 0.3}), plan, units={"control": 6_000, "b": 2_000}).finding is Finding.BETTER
    assert read(sums({"control": 0.0, "b": 0.3}), plan).finding is Finding.MISMATCH


GUARDED = replace(
    PLAN,
    guardrails=(Guardrail(measure=Measure.FALLBACK, margin=0.01), Guardrail(measure=Measure.LATENCY_MS, margin=5.0)),
)
FINE = {"fallback": share({"control": (0, 4_000), "b": (1, 4_000)}), "latency_ms": sums({"control": 20.0, "b": 21.0})}


def test_a_gain_counts_once_every_guardrail_is_surely_within_its_margin():
    better = sums({"control": 0.0, "b": 0.3})
    assert read(better, GUARDED, more=FINE).finding is Finding.BETTER
    slow = read(better, GUARDED, more={**FINE, "latency_ms": sums({"control": 20.0, "b": 26.0})})
    assert slow.finding is Finding.HARM
    assert "b does harm: latency_ms 26 against 20" in slow.sentence
    doubt = read(better, GUARDED, more={**FINE, "latency_ms": sums({"control": 20.0, "b": 24.0}, spread=90.0)})
    assert doubt.finding is Finding.NEED_MORE


@pytest.mark.parametrize(
    ("control", "b", "finding"),
    [
        pytest.param((0, 4_000), (0, 4_000), Finding.WITHIN, id="none of either"),
        pytest.param((0, 100), (0, 100), Finding.NEED_MORE, id="none yet of a hundred"),
        pytest.param((0, 4_000), (9, 4_000), Finding.WITHIN, id="nine of thousands"),
        pytest.param((0, 60), (9, 60), Finding.NEED_MORE, id="nine of sixty"),
        pytest.param((2, 4_000), (400, 4_000), Finding.HARM, id="hundreds"),
    ],
)
def test_what_hardly_happens_is_bounded_exactly_and_not_taken_for_certain(control, b, finding):
    found = read(
        sums({"control": 0.0, "b": 0.0}), GUARDED, more={**FINE, "fallback": share({"control": control, "b": b})}
    )
    assert next(m for m in found.measures if m.measure == "fallback").finding is finding


def test_requests_that_fail_end_an_experiment_that_has_no_guardrail():
    found = read(sums({"control": 0.0, "b": 0.0}), failed={"control": 8, "b": 600})
    assert found.finding is Finding.HARM
    assert [m.measure for m in found.measures if m.finding is Finding.HARM] == [FAILED]


def test_each_of_several_arms_has_its_part_of_the_error_and_harm_of_one_is_harm():
    third = ExperimentArm(name="c", version="v3", share=0.25)
    plan = replace(
        PLAN, arms=(*(replace(arm, share=share) for arm, share in zip(PLAN.arms, (0.5, 0.25), strict=True)), third)
    )
    assert budget(plan).objective == budget(PLAN).objective / 2 == 0.00625
    units = {"control": 4_000, "b": 2_000, "c": 2_000}
    assert read(sums({"control": 0.0, "b": 0.3, "c": 0.3}), plan, units=units).finding is Finding.BETTER
    assert read(sums({"control": 0.0, "b": 0.3, "c": 0.1}, 1_000), plan, units=units).finding is Finding.NEED_MORE
    assert read(sums({"control": 0.0, "b": 0.3, "c": -0.3}), plan, units=units).finding is Finding.HARM


def test_what_cannot_be_computed_says_why_and_is_no_verdict():
    flat = MeasureSums(strata={arm: {"": moments(np.ones(4_000))} for arm in ("control", "b")})
    found = read(flat)
    assert found.finding is Finding.NOT_COMPUTABLE
    assert "nothing varies" in found.sentence
    spike = sums({"control": 0.0, "b": 0.3})
    assert "single unit" in read(replace(spike, largest={"control": 1e9, "b": 1.0})).sentence


def test_an_a_a_experiment_that_finds_something_doubts_the_apparatus():
    found = read(sums({"control": 0.0, "b": 0.3}), replace(PLAN, a_a=True))
    assert found.sentence.startswith("Both arms are one version, so the apparatus is at fault")


def test_contamination_and_requests_of_nobody_are_told():
    found = read(sums({"control": 0.0, "b": 0.3}), contaminated=80, nameless=7)
    assert "80 units (1.0%) met several arms and count for none." in found.sentence
    assert "7 requests name no entity and count nowhere." in found.sentence


ONE = Experiment(
    plan=PLAN,
    digest="d",
    versions={"control": digest("one"), "b": digest("two")},
    registered=NOON,
    registered_by="ann",
    event=7,
)


@pytest.mark.parametrize(
    ("stop", "shift", "n", "reason"),
    [
        pytest.param(StopRule(), 0.3, 4_000, "every arm is decided", id="decided"),
        pytest.param(StopRule(when_decided=False), 0.3, 4_000, "", id="decided, and it goes on"),
        pytest.param(StopRule(when_decided=False), -0.3, 4_000, "an arm does harm", id="harm"),
        pytest.param(StopRule(), 0.1, 200, "", id="open"),
        pytest.param(StopRule(max_days=2.0), 0.1, 200, "it ran for the 2 days that were agreed", id="time"),
        pytest.param(StopRule(max_units=8_000), 0.1, 200, "8,000 units came, of 8,000 that were agreed", id="units"),
        pytest.param(StopRule(futility=False), 0.0, 40_000, "", id="futile, which is no end here"),
    ],
)
def test_it_ends_as_was_agreed(stop, shift, n, reason):
    plan = replace(PLAN, stop=stop)
    assert over(replace(ONE, plan=plan), read(sums({"control": 0.0, "b": shift}, n), plan)) == reason


def test_the_steward_keeps_each_look_ends_what_is_over_and_tells_of_arms_that_are_not_alike():
    store, stopped, told = MemoryMonitoringStore(), [], []
    reading = [read(sums({"control": 0.0, "b": 0.1}, 200))]

    def stop(
        name: str, *, reason: str, event: int | None, reading: ExperimentReading | None, itself: bool
    ) -> Experiment:
        stopped.append((name, reason, event, itself))
        return ONE

    turn = TurnExperiments(
        running=lambda: (ONE,), read=lambda _: reading[-1], stop=stop, monitoring_store=store,
        announce=lambda *said: told.append(said),
    )  # fmt: skip
    assert turn() == []
    reading.append(replace(read(sums({"control": 0.0, "b": 0.3})), at=NOON + timedelta(days=3)))
    turn()
    assert stopped == [("trees", "every arm is decided", 7, True)]
    kept = store.checkpoint(f"{KEPT}trees")
    assert [point["measured"] for point in kept["points"]] == [pytest.approx(0.1), pytest.approx(0.3)]
    reading.append(read(sums({"control": 0.0, "b": 0.3}), units={"control": 5_000, "b": 4_000}))
    turn()
    assert len(stopped) == 1, "people say whether it goes on"
    assert told[0][2] == "The experiment trees cannot be read: sample ratio mismatch"
    assert store.checkpoint(f"{KEPT}trees")["doubted"] < 0.01


def test_many_looks_are_thinned_and_the_first_and_the_last_are_kept():
    store = MemoryMonitoringStore()
    turn = TurnExperiments(running=tuple, read=None, stop=None, monitoring_store=store, announce=lambda *_: None)  # type: ignore[arg-type]
    early = read(sums({"control": 0.0, "b": 0.1}, 200))
    for minute in range(1_000):
        turn.keep(ONE, replace(early, at=NOON + timedelta(minutes=minute)))
    points = store.checkpoint(f"{KEPT}trees")["points"]
    assert len(points) <= 400
    assert points[0]["at"] == NOON.isoformat()
    assert points[-1]["at"] == (NOON + timedelta(minutes=999)).isoformat()
