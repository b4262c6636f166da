"""Are canaries judged as they should be, looked at again and again? False decisions, and how many requests a loss takes.

Run: python bench/laws/rollouts.py [--times 2000]. The tests hold a short form of the same laws.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import Pool
from multiprocessing.pool import Pool as Processes
from statistics import NormalDist, median
from time import perf_counter

import numpy as np

from modelmark.domain.rollouts.settings import Margins, Rollout, Stage, StageKind
from modelmark.domain.rollouts.verdict import Decision
from modelmark.rollouts.evidence import Failures, Latency, Pair, StageEvidence
from modelmark.rollouts.verdict import judge
from modelmark.stats.sequences import Sums

SHARE = 0.25
#: One error in ten where labels have come, one failure in a hundred, answers in some 5 ms.
WRONG, FAILED, MILLIS = 0.10, 0.01, 5.0


@dataclass(frozen=True, kw_only=True)
class World:
    """How much worse the canary really is, and how it is looked at. looks: after equal numbers of requests."""

    looks: int = 40
    requests: int = 20_000
    worse_quality: float = 0.0
    worse_errors: float = 0.0
    shift: float = 0.0


def rollout(margins: Margins) -> Rollout:
    """One stage, so that all of the budget is in it."""
    return Rollout(stages=(Stage(kind=StageKind.CANARY, share=SHARE),), margins=margins)


def sums(values: np.ndarray) -> Sums:
    return Sums(n=len(values), total=float(values.sum()), squares=float((values**2).sum()))


def looks(world: World, seed: int, *, latency: bool) -> Iterator[StageEvidence]:
    """What has come of one canary's life by each look. Every label has come at once."""
    rng = np.random.default_rng(seed)
    canary = rng.random(world.requests) < SHARE
    failed = rng.random(world.requests) < FAILED + world.worse_errors * canary
    wrong = (rng.random(world.requests) < WRONG + world.worse_quality * canary) * 1.0
    score = rng.beta(2, 5, world.requests) + world.shift * canary
    millis = MILLIS * rng.lognormal(0, 0.5, world.requests)
    for n in np.linspace(world.requests / world.looks, world.requests, world.looks).astype(int):
        mine, theirs = canary[:n], ~canary[:n]
        yield StageEvidence(
            seconds=float(n),
            champion=Failures(requests=int(theirs.sum()), failed=int(failed[:n][theirs].sum())),
            candidate=Failures(requests=int(mine.sum()), failed=int(failed[:n][mine].sum())),
            latency=(_latency(millis[:n][theirs]), _latency(millis[:n][mine])) if latency else None,
            score=Pair(champion=sums(score[:n][theirs]), candidate=sums(score[:n][mine])),
            quality=Pair(champion=sums(wrong[:n][theirs]), candidate=sums(wrong[:n][mine])),
        )


def _latency(values: np.ndarray) -> Latency:
    return Latency(n=len(values), quantile=lambda share: float(np.quantile(values, share, method="inverted_cdf")))


def first(world: World, margins: Margins, wanted: Decision, seed: int) -> int | None:
    """The requests, of both arms, after which a look first says so; None where none of them does."""
    asked = rollout(margins)
    for seen in looks(world, seed, latency=margins.latency_ratio is not None):
        found = judge(asked, StageKind.CANARY, seen).decision
        if found is wanted:
            return seen.champion.requests + seen.candidate.requests
        if found in (Decision.SHIP, Decision.ROLL_BACK):
            return None
    return None


def share_of(world: World, margins: Margins, wanted: Decision, times: int, pool: Processes | None = None) -> float:
    """Of so many canaries the share of which a look ever says so."""
    ask = partial(first, world, margins, wanted)
    found = list(map(ask, range(times))) if pool is None else pool.map(ask, range(times), chunksize=8)
    return sum(n is not None for n in found) / times


def fixed_test(loss: float, margin: float, *, size: float = 0.05, power: float = 0.5) -> int:
    """Requests, of both arms, that a test of a size set beforehand takes to find a loss beyond a margin with that power."""
    z = NormalDist().inv_cdf(1 - size) + NormalDist().inv_cdf(power)
    variance = WRONG * (1 - WRONG) / (1 - SHARE) + (WRONG + loss) * (1 - WRONG - loss) / SHARE
    return int(np.ceil(variance * (z / (loss - margin)) ** 2))


def nothing_asked_but(**asked: float | None) -> Margins:
    usual = dict.fromkeys(("errors", "latency_ratio", "disagreement", "score", "quality", "fairness"))
    return replace(Margins(), **{**usual, **asked})  # type: ignore[arg-type]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=2000, help="canaries of each law")
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    strict = Margins(errors=0.0, latency_ratio=1.0, latency_floor_ms=0.0, score=0.0, quality=0.0, fairness=None)
    with Pool(given.processes) as pool:
        for what, world, margins, wanted in (
            ("A/A, nothing tolerated: rolled back", World(), strict, Decision.ROLL_BACK),
            ("exactly as much worse as tolerated: rolled back", World(worse_quality=0.02),
             nothing_asked_but(quality=0.02), Decision.ROLL_BACK),
            ("a touch worse than tolerated: ships", World(worse_quality=0.0201),
             nothing_asked_but(quality=0.02), Decision.SHIP),
            ("failures as much worse as tolerated: ships", World(worse_errors=0.0101),
             nothing_asked_but(errors=0.01), Decision.SHIP),
        ):  # fmt: skip
            begun = perf_counter()
            found = share_of(world, margins, wanted, given.times, pool)
            spent = perf_counter() - begun
            print(
                f"{what}: {found:.2%} of {given.times:,} at {world.looks} looks each; at most 5% asked ({spent:.0f} s)"
            )
        world = World(worse_quality=0.02, requests=200_000, looks=200)
        for margin in (0.0, 0.005):
            ask = partial(first, world, nothing_asked_but(quality=margin), Decision.ROLL_BACK)
            took = pool.map(ask, range(given.times), chunksize=8)
            back = [n for n in took if n is not None]
            middle = median(back) if back else float("nan")
            print(
                f"a loss of 2 points where {margin:.1%} is tolerated: {len(back) / given.times:.1%} rolled back, after "
                f"{middle:,.0f} requests (median); a test of a size set beforehand takes "
                f"{fixed_test(0.02, margin):,} for half of them and {fixed_test(0.02, margin, power=0.8):,} for 80%"
            )


if __name__ == "__main__":
    main()
