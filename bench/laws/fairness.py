"""Do the intervals of all pairs of groups hold together as often as they say? Each rate for itself; 5% misses are asked.

Run: python bench/laws/fairness.py. A trial is missed where the interval of any pair's difference or ratio misses the truth.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from modelmark.stats.fairness import RATES, Decided, contrasts


@dataclass(frozen=True, slots=True)
class People:
    """Groups with known chances: of the favourable truth, and of a yes where it holds and where it does not."""

    name: str
    sizes: tuple[int, ...]
    base: tuple[float, ...]
    recall: float
    alarms: float

    def draw(self, rng: np.random.Generator) -> Decided:
        group = np.repeat(np.arange(len(self.sizes)), self.sizes)
        real = rng.random(len(group)) < np.array(self.base)[group]
        said = rng.random(len(group)) < np.where(real, self.recall, self.alarms)
        return Decided(group=group, said=said, real=real, score=said.astype(np.float64))

    def truth(self, rate: str) -> NDArray[np.float64]:
        base = np.array(self.base)
        said = base * self.recall + (1 - base) * self.alarms
        rates: dict[str, NDArray[np.float64]] = {
            "selection_rate": said,
            "true_positive_rate": np.full(len(base), self.recall),
            "false_positive_rate": np.full(len(base), self.alarms),
            "precision": base * self.recall / said,
            "calibration": said - base,
            "base_rate": base,
        }
        return rates[rate]


SMALLEST: Final = People("three groups of 30 rows", (30, 30, 30), (0.3, 0.5, 0.4), 0.7, 0.1)
PEOPLE: Final = (
    SMALLEST,
    People("five groups of 30 rows", (30,) * 5, (0.3,) * 5, 0.6, 0.1),
    People("30, 300 and 500 rows, a rare class", (30, 300, 500), (0.1,) * 3, 0.6, 0.02),
    People("30 and 500 rows", (30, 500), (0.3, 0.3), 0.6, 0.1),
    People("1,000, 600 and 400 rows", (1000, 600, 400), (0.3, 0.5, 0.4), 0.7, 0.1),
)


def missed(people: People, rng: np.random.Generator) -> set[str]:
    """The rates of which an interval misses the truth in one trial; a rate that a group has nobody for cannot miss."""
    found = set()
    for c in contrasts(people.draw(rng), len(people.sizes)):
        a, b = people.truth(c.rate)[[c.first, c.second]]
        held = not np.isfinite(c.difference) or c.difference_low <= a - b <= c.difference_high
        if not held or (np.isfinite(c.ratio) and not c.ratio_low <= a / b <= c.ratio_high):
            found.add(c.rate)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=2000, help="simulations of each law")
    times = parser.parse_args().times
    for people in PEOPLE:
        rng = np.random.default_rng(0)
        trials = [missed(people, rng) for _ in range(times)]
        shares = ", ".join(f"{rate} {np.mean([rate in trial for trial in trials]):.3f}" for rate in RATES)
        print(f"{people.name}: misses of {times:,}: {shares} (asked 0.05)", flush=True)


if __name__ == "__main__":
    main()
