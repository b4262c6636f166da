"""From a stage's evidence to ship, roll back or need more; and how often that is wrong."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from bench.laws.rollouts import World, fixed_test, nothing_asked_but, rollout, share_of, sums

from modelmark.domain.rollouts.settings import Margins, Rollout, StageKind
from modelmark.domain.rollouts.verdict import Decision, MetricVerdict
from modelmark.rollouts.evidence import Failures, Latency, Pair, StageEvidence
from modelmark.rollouts.verdict import budget, failing, judge
from modelmark.stats.sequences import Sums

RNG = np.random.default_rng(7)
MILLIS = RNG.lognormal(1.0, 0.4, 40_000)
SCORES = RNG.beta(2, 5, 40_000)


def latency(times: float = 1.0, n: int = 40_000) -> Latency:
    return Latency(n=n, quantile=lambda share: float(np.quantile(times * MILLIS[:n], share, method="inverted_cdf")))


def pair(mean: float, worse: float = 0.0, n: int = 40_000) -> Pair:
    """Shares of so many requests, exactly."""
    arms = [Sums(n=n, total=share * n, squares=share * n) for share in (mean, mean + worse)]
    return Pair(champion=arms[0], candidate=arms[1])


def evidence(**changes: object) -> StageEvidence:
    usual = StageEvidence(
        seconds=3600.0,
        champion=Failures(requests=40_000, failed=40),
        candidate=Failures(requests=40_000, failed=40),
        latency=(latency(), latency()),
        score=Pair(champion=sums(SCORES), candidate=sums(SCORES[::-1])),
        quality=pair(0.1),
        matured=40_000,
        fairness={"sex = F": pair(0.3), "sex = M": pair(0.4)},
    )
    return replace(usual, **changes)  # type: ignore[arg-type]


MARGINS = Margins(quality=0.01)


def verdict_of(seen: StageEvidence, margins: Margins = MARGINS, kind: StageKind = StageKind.CANARY):
    return judge(rollout(margins), kind, seen)


def metric(
    seen: StageEvidence, name: str, margins: Margins = MARGINS, kind: StageKind = StageKind.CANARY
) -> MetricVerdict:
    return next(m for m in verdict_of(seen, margins, kind).metrics if m.metric == name)


def test_one_that_is_as_good_ships_once_enough_has_come():
    found = verdict_of(evidence())
    assert found.decision is Decision.SHIP, found.sentence
    assert [m.metric for m in found.metrics] == ["errors", "latency", "score", "quality", "fairness"]


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        pytest.param("errors", {"candidate": Failures(requests=40_000, failed=800)}, id="it fails oftener"),
        pytest.param("latency", {"latency": (latency(), latency(4.0))}, id="it is four times as slow"),
        pytest.param("score", {"score": Pair(champion=sums(SCORES), candidate=sums(SCORES + 0.2))}, id="scores moved up"),
        pytest.param("score", {"score": Pair(champion=sums(SCORES), candidate=sums(SCORES - 0.2))}, id="scores moved down"),
        pytest.param("quality", {"quality": pair(0.1, 0.05)}, id="it is oftener wrong"),
        pytest.param("fairness", {"fairness": {"sex = F": pair(0.3, -0.1), "sex = M": pair(0.4)}}, id="one group gets less"),
    ],
)  # fmt: skip
def test_one_that_is_surely_worse_in_anything_is_rolled_back_and_it_is_said_in_what(name: str, changes: dict):
    found = verdict_of(evidence(**changes))
    assert found.decision is Decision.ROLL_BACK
    assert [m.metric for m in found.metrics if m.decision is Decision.ROLL_BACK] == [name]


def test_a_group_that_gets_more_is_no_reason_to_roll_back():
    assert metric(evidence(fairness={"sex = F": pair(0.3, 0.1)}), "fairness").decision is Decision.SHIP


def test_thin_traffic_holds_and_says_what_would_decide_and_when():
    few = evidence(
        candidate=Failures(requests=300), champion=Failures(requests=900), latency=(latency(n=900), latency(n=300)),
        score=Pair(champion=sums(SCORES[:900]), candidate=sums(SCORES[900:1200])), quality=pair(0.1, n=200), fairness={},
    )  # fmt: skip
    found = verdict_of(few)
    assert found.decision is Decision.WAIT
    assert found.more is not None
    assert found.more > 1000
    assert found.eta == timedelta(seconds=found.more * 3600 / 300)
    assert found.sentence.startswith(f"About {found.more:,} more requests, about ")


def test_the_requests_that_it_asks_for_are_about_what_decides():
    few = metric(evidence(quality=pair(0.1, n=1000)), "quality")
    assert few.decision is Decision.WAIT
    assert few.more is not None
    needed = next(n for n in range(1000, 60_000, 250) if metric(evidence(quality=pair(0.1, n=n)), "quality").more == 0)
    assert 0.5 < (few.n + few.more) / needed < 2


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param({"quality": Pair(reason="No column holds the label.")}, "No column holds the label", id="a reason"),
        pytest.param({"quality": None}, "could not be measured", id="nothing was read"),
        pytest.param({"quality_unit": None}, "not known", id="no unit"),
        pytest.param({"quality": replace(pair(0.1), candidate=Sums(n=500, total=float("nan"), squares=1.0))}, "not finite",
                     id="NaN"),
        pytest.param({"latency": None}, "could not be measured", id="no times"),
        pytest.param({"score_unit": 0.0}, "could not be compared", id="scores that do not vary"),
    ],
)  # fmt: skip
def test_what_could_not_be_measured_never_ships(changes: dict, said: str):
    found = verdict_of(evidence(**changes))
    assert found.decision is Decision.CANNOT_TELL
    assert said in found.sentence


def test_no_label_yet_is_waited_for_however_good_the_rest_is():
    found = verdict_of(evidence(quality=Pair(), matured=812))
    assert found.decision is Decision.WAIT
    assert found.more is None
    assert "812 answers are old enough" in found.sentence


def test_a_contract_that_asks_nothing_ships_nothing():
    assert verdict_of(evidence(fairness={}), nothing_asked_but()).decision is Decision.CANNOT_TELL


def test_a_shadow_is_compared_request_by_request():
    both = {
        "score": Pair(paired=Sums(n=500, total=0.5, squares=0.3)),
        "quality": Pair(paired=Sums(n=500, total=0, squares=5)),
    }
    seen = evidence(disagreement=Sums(n=500, total=20.0, squares=20.0), **both)
    kind = StageKind.SHADOW
    assert metric(seen, "disagreement", kind=kind).decision is Decision.SHIP
    assert metric(seen, "score", kind=kind).decision is Decision.SHIP, "as pairs 500 are enough"
    far = replace(seen, disagreement=Sums(n=500, total=300.0, squares=300.0))
    assert metric(far, "disagreement", kind=kind).decision is Decision.ROLL_BACK
    unread = replace(seen, disagreement=None)
    assert metric(unread, "disagreement", kind=kind).decision is Decision.CANNOT_TELL


def test_the_budget_is_one_for_all_stages_and_metrics():
    assert budget(Rollout(), 5).back == pytest.approx(0.05 / 20)
    assert budget(Rollout(), 5).ship == 0.05


def test_a_canary_that_always_fails_is_told_from_few_requests():
    champion = Failures(requests=200, failed=0)
    needed = next(n for n in range(1, 60) if all_fail(champion, n) is Decision.ROLL_BACK)
    assert needed <= 12
    assert all_fail(champion, 1) is Decision.WAIT


def all_fail(champion: Failures, n: int) -> Decision:
    return failing(champion, Failures(requests=n, failed=n), 0.005, alpha=0.001).decision


def test_canaries_as_good_as_the_champion_are_seldom_rolled_back_however_often_they_are_looked_at():
    """The law of bench/laws/rollouts.py, short: nothing at all is tolerated, and five in a hundred may be mistaken."""
    strict = nothing_asked_but(errors=0.0, score=0.0, quality=0.0)
    wrong = share_of(World(looks=8, requests=8000), strict, Decision.ROLL_BACK, 200)
    assert wrong <= 0.05 + 3 * (0.05 * 0.95 / 200) ** 0.5


def test_a_loss_of_two_points_is_rolled_back_and_one_as_tolerated_does_not_ship():
    margins = nothing_asked_but(quality=0.005)
    world = World(looks=10, requests=60_000, worse_quality=0.02)
    assert share_of(world, margins, Decision.ROLL_BACK, 40) >= 0.9
    assert fixed_test(0.02, 0.005) < 60_000
    borderline = World(looks=10, requests=20_000, worse_quality=0.0201)
    assert (
        share_of(borderline, nothing_asked_but(quality=0.02), Decision.SHIP, 100)
        <= 0.05 + 3 * (0.05 * 0.95 / 100) ** 0.5
    )
