"""Sample ratios, effects and their bounds, against published values and against their own laws."""

from __future__ import annotations

from math import exp, inf, nan

import numpy as np
import pytest

from modelmark.stats.experiments.effects import Effect, NotComputable, bounds, effect
from modelmark.stats.experiments.moments import Moments, matched, merged, moments
from modelmark.stats.experiments.power import fixed_units, more_units
from modelmark.stats.experiments.sample_ratio import fixed_p, log_e_value, sequential_p


@pytest.mark.parametrize(
    ("counts", "shares", "concentration", "published"),
    [
        pytest.param([800, 200], [0.5, 0.5], 10_000, 8.126155715401769e-08, id="one look"),
        pytest.param([800, 200], [0.5, 0.5], 100, 2.253273013435552e-75, id="a wide prior"),
        pytest.param([1100, 900], [0.5, 0.5], 10_000, 0.20685901461423034, id="two looks"),
        pytest.param([1800, 1200], [0.5, 0.5], 10_000, 1.099173293697608e-06, id="three looks"),
        pytest.param([2600, 1400], [0.5, 0.5], 10_000, 5.115536116778213e-23, id="four looks"),
        pytest.param([600, 200, 200], [0.34, 0.33, 0.33], 10_000, 1.4343631225400445e-06, id="three arms"),
    ],
)
def test_sample_ratios_are_judged_as_the_test_of_its_authors_does(counts, shares, concentration, published):
    assert sequential_p(counts, shares, concentration=concentration) == pytest.approx(published, rel=1e-6)


def test_what_was_seen_of_a_sample_ratio_is_not_forgotten():
    assert sequential_p([500, 500], [0.5, 0.5]) == 1.0
    assert sequential_p([500, 500], [0.5, 0.5], before=0.001) == 0.001
    assert fixed_p([800, 200], [0.5, 0.5]) == pytest.approx(2.8157e-80, rel=1e-4)


def test_the_evidence_against_right_shares_is_a_fair_game():
    """An e-value's mean is at most 1 whatever the size: summed over every outcome of 30 units it is 1."""
    from scipy.stats import binom

    total = sum(binom.pmf(k, 30, 0.3) * exp(log_e_value([k, 30 - k], [0.3, 0.7])) for k in range(31))
    assert total == pytest.approx(1.0)


#: Units, sum of values and of squares; of the denominator likewise; the sum of products. Control, then treated, a stratum a row.
PUBLISHED = [
    ((21, 330.0696210595999, 5377.811252605509), (42, 708.1220000911836, 12249.255519049513)),
    ((65, 1391.96628040659, 30546.63404187155), (75, 1807.4703052657744, 45000.287664918586)),
    ((102, 2916.824124651419, 86396.06886690554), (101, 3104.5399914554023, 98365.40553530994)),
    ((151, 5172.587929941052, 182453.04528037464), (121, 4613.696610070716, 180520.64781229294)),
    ((160, 6539.348445231273, 274981.98909352464), (162, 7431.953259880505, 349244.6690736718)),
]
BELOW = [
    (
        (890.9766550739607, 38220.95223835553, 14263.937571840695),
        (1745.9858250014954, 73194.53424221886, 29826.620793423102),
    ),
    (
        (2769.8126179473184, 118719.96077578884, 59924.702385890436),
        (3184.8395612061063, 136710.92474497214, 78119.14871556411),
    ),
    (
        (4445.780384331884, 195387.7733842407, 129041.55268673625),
        (4235.277718489282, 179690.4720421368, 132444.36911739354),
    ),
    (
        (6510.170220892494, 283094.7243365024, 226127.20135744457),
        (5079.943060454901, 215529.32009367683, 196562.8269130501),
    ),
    (
        (6906.305872710853, 300900.3106781779, 286483.9732935189),
        (6899.004661928157, 296839.44355002965, 321057.8410309036),
    ),
]
BEFORE = [
    (
        (104.90748970535698, 544.8528083123211, 1709.8485612477339),
        (205.17072061676208, 1040.6742753852225, 3561.161673449451),
    ),
    (
        (315.83926510817054, 1578.8689285910423, 6938.770455871619),
        (377.29540367369503, 1981.0803020754106, 9428.146405105292),
    ),
    (
        (523.2717238353379, 2797.158898626946, 15535.162216800189),
        (501.0447878972627, 2596.899156698453, 15962.754636573465),
    ),
    (
        (758.3911049329452, 3955.922281372593, 26846.415701194885),
        (603.9456523430367, 3144.0820997706583, 23789.82730157116),
    ),
    (
        (823.2824168385916, 4389.893995072177, 34727.84795433773),
        (832.356528363269, 4439.253146704266, 39332.667494781235),
    ),
]


def _published(arm: int, *, below: bool = False, before: bool = False) -> list[Moments]:
    found = []
    for values, under, early in zip(PUBLISHED, BELOW, BEFORE, strict=True):
        n, x, xx = values[arm]
        y, yy, xy = under[arm] if below else (n, n, x)
        c, cc, xc = early[arm] if before else (0.0, 0.0, 0.0)
        yc = c if not below else 0.0
        mean = np.array([x, y, c]) / n
        products = np.array([[xx, xy, xc], [xy, yy, yc], [xc, yc, cc]])
        found.append(Moments(n=n, mean=mean, covariance=(products - n * np.outer(mean, mean)) / (n - 1)))
    return found


@pytest.mark.parametrize(
    ("how", "estimate", "error", "within"),
    [
        pytest.param({}, 3.548094377986586, 0.3769153078989125, 0.005, id="strata"),
        pytest.param({"below": True}, 0.10008903417216042, 0.0050779658636993154, 0.005, id="a ratio in strata"),
        pytest.param({"before": True}, 3.7116918650826403, 0.07401168371016856, 0.05, id="CUPED in strata"),
    ],
)
def test_effects_are_those_that_a_well_known_engine_publishes(how, estimate, error, within):
    """GrowthBook's reference values. Its ratios are each stratum's own; ours are of the whole, and as near as a tenth
    of their standard error."""
    found = effect(_published(0, **how), _published(1, **how))
    assert isinstance(found, Effect)
    assert found.estimate == pytest.approx(estimate, abs=0.1 * error)
    assert found.variance**0.5 == pytest.approx(error, rel=within)


def test_a_difference_of_plain_means_is_the_textbooks():
    draw = np.random.default_rng(1)
    a, b = draw.normal(1, 2, 300), draw.normal(1.5, 1, 200)
    found = effect([moments(a)], [moments(b)])
    assert isinstance(found, Effect)
    assert (found.control, found.treated, found.estimate) == pytest.approx((a.mean(), b.mean(), b.mean() - a.mean()))
    assert found.variance == pytest.approx(a.var(ddof=1) / 300 + b.var(ddof=1) / 200)
    assert found.cut == 0.0


def test_parts_make_the_same_as_the_whole():
    draw = np.random.default_rng(2)
    x, y, c = draw.normal(5e6, 1, 90), draw.uniform(1, 3, 90), draw.normal(size=90)
    whole, parts = (
        moments(x, y, c),
        merged([moments(x[s], y[s], c[s]) for s in (slice(20), slice(20, 21), slice(21, None))]),
    )
    assert parts.n == whole.n
    assert parts.mean == pytest.approx(whole.mean)
    assert parts.covariance == pytest.approx(whole.covariance, rel=1e-7), "a large mean takes no digits away"


def test_small_strata_are_put_together_and_none_is_lost():
    draw = np.random.default_rng(3)
    one = {name: moments(draw.normal(size=n)) for name, n in {"a": 50, "b": 30, "c": 5, "d": 4}.items()}
    two = {name: moments(draw.normal(size=n)) for name, n in {"a": 60, "b": 25, "c": 9, "e": 3}.items()}
    found = matched([one, two])
    assert [[part.n for part in arm] for arm in found] == [[50, 39], [60, 37]]
    alone = matched([{"a": one["c"]}, {"b": two["c"]}])
    assert [[part.n for part in arm] for arm in alone] == [[5], [9]]


@pytest.mark.parametrize(
    ("control", "treated", "largest", "why"),
    [
        pytest.param([moments(np.arange(49.0))], [moments(np.arange(99.0))], None, "it takes 50 units", id="too few"),
        pytest.param([moments(np.ones(99))], [moments(np.ones(99))], None, "nothing varies", id="no variance"),
        pytest.param([moments(np.arange(99.0), 0.0)], [moments(np.arange(99.0))], None, "divide by", id="no denominator"),
        pytest.param(
            [Moments(n=99, mean=np.array([1.0, 1.0, 0.0]), covariance=np.full((3, 3), nan))], [moments(np.arange(99.0))], None,
            "missing or not finite", id="missing variance",
        ),
        pytest.param(
            [moments(np.arange(99.0))], [moments([*np.arange(98.0), inf])], None, "missing or not finite", id="an infinite value"
        ),
        pytest.param(
            [moments(np.arange(99.0))], [moments([*np.zeros(98), 1000.0])], (2401.0, 979_696.0), "a single unit holds",
            id="one spike",
        ),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_what_cannot_be_computed_says_why(control, treated, largest, why):
    found = effect(control, treated, largest)
    assert isinstance(found, NotComputable)
    assert why in found.why


@pytest.mark.parametrize("correlation", [0.5, 0.9])
def test_a_covariate_cuts_the_variance_by_its_squared_correlation(correlation):
    draw = np.random.default_rng(4)

    def arm(shift: float) -> Moments:
        c = draw.normal(size=20_000)
        return moments(shift + correlation * c + (1 - correlation**2) ** 0.5 * draw.normal(size=20_000), 1.0, c)

    found = effect([arm(0.0)], [arm(0.1)])
    assert isinstance(found, Effect)
    assert found.cut == pytest.approx(correlation**2, abs=0.02)
    assert found.estimate == pytest.approx(0.1, abs=4 * found.variance**0.5)


def test_requests_of_one_entity_are_no_independent_observations():
    """Heavy users decide a ratio: its error by request is far too small, by entity it covers."""
    draw = np.random.default_rng(5)
    by_entity = by_request = 0
    for _ in range(400):
        arms, rows = [], []
        for _ in range(2):
            y = draw.geometric(0.1, 300)
            x = draw.binomial(y, draw.beta(2, 2, 300))
            arms.append([moments(x, y)])
            rows.append((x.sum() / y.sum(), y.sum()))
        found = effect(*arms)
        assert isinstance(found, Effect)
        by_entity += abs(found.estimate) <= 1.96 * found.variance**0.5
        naive = sum(p * (1 - p) / n for p, n in rows) ** 0.5
        by_request += abs(found.estimate) <= 1.96 * naive
    assert 0.92 <= by_entity / 400 <= 0.98
    assert by_request / 400 < 0.75


def test_bounds_are_wider_than_a_single_looks_and_units_bring_them_down():
    found = Effect(control=0.0, treated=0.1, estimate=0.1, variance=0.001, n=4_000)
    low, high = bounds(found, alpha=0.025, aim=0.1)
    assert low < 0.1 - 1.96 * 0.001**0.5
    more = more_units(0.001, 4_000, target=0.05, alpha=0.025, aim=0.1)
    assert more is not None
    grown = Effect(control=0.0, treated=0.1, estimate=0.1, variance=0.001 * 4_000 / (4_000 + more), n=4_000 + more)
    assert high - 0.1 > 0.05
    assert bounds(grown, alpha=0.025, aim=0.1)[0] == pytest.approx(0.05, abs=1e-4)
    assert more_units(0.001, 4_000, target=0.0, alpha=0.025, aim=0.1) is None
    assert more_units(1e9, 100, target=1e-3, alpha=0.025, aim=0.1) is None, "nobody plans so far"
    assert fixed_units(4.0, 0.1) == 3140, "two arms of variance 1: Cohen's tables say 1,570 each"


def test_an_a_a_experiment_read_at_every_look_is_seldom_wrong():
    """The short form of bench/laws/experiments.py."""
    from bench.laws.experiments import World, ever_wrong, fixed_wrong, ratio_doubted

    world = World(units=1_500, looks=25)
    assert sum(ever_wrong(world, seed) for seed in range(200)) <= 0.05 * 200
    assert sum(fixed_wrong(world, seed) for seed in range(60)) > 0.1 * 60, "what a test made for one look would say"
    assert sum(ratio_doubted((0.5, 0.3, 0.2), 0.05, 3_000, seed) for seed in range(150)) <= 0.05 * 150
