"""Does a year of quiet keep to the alarm budget, and how soon are losses found, beside ADWIN?

Run: python bench/laws/detector.py. The tests hold a short form. ADWIN stands beside where `river` is installed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib.util import find_spec

import numpy as np

from modelmark.stats.watching.detector import evidence

LABELS_A_DAY = 24 * 60


def first_alarm(losses: np.ndarray, tolerated: float, run: float) -> int | None:
    """The row of the first alarm of a detector whose mean time between false ones is `run` rows."""
    over = np.flatnonzero(evidence(losses, tolerated) >= np.log(run))
    return int(over[0]) if len(over) else None


def false_runs(seed: int, *, error: float, tolerated: float, run: float, times: float = 8.0) -> int:
    """Rows until the first alarm while nothing is worse than tolerated; at most `times` runs are waited for."""
    rows = int(times * run)
    losses = (np.random.default_rng(seed).uniform(size=rows) < error).astype(float)
    found = first_alarm(losses, tolerated, run)
    return rows if found is None else found


def delay(seed: int, *, before: float, after: float, tolerated: float, run: float, quiet: int = 2_000) -> int | None:
    """Labels from the change to the alarm; None where one came before it, or none in 20,000."""
    rng = np.random.default_rng(seed)
    losses = np.concatenate([rng.uniform(size=quiet) < before, rng.uniform(size=20_000) < after]).astype(float)
    found = first_alarm(losses, tolerated, run)
    return None if found is None or found < quiet else found - quiet


def adwin_delay(seed: int, *, before: float, after: float, quiet: int = 2_000) -> int | None:
    """The same of river's ADWIN at its default."""
    from river.drift import ADWIN  # type: ignore[import-not-found]

    rng, found = np.random.default_rng(seed), ADWIN()
    for row, loss in enumerate(np.concatenate([rng.uniform(size=quiet) < before, rng.uniform(size=20_000) < after])):
        found.update(float(loss))
        if found.drift_detected and row >= quiet:
            return row - quiet
    return None


def _median(found: list[int | None]) -> str:
    known = [each for each in found if each is not None]
    return f"{np.median(known):,.0f} labels (found in {len(known)} of {len(found)})" if known else "never"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=200)
    times, run = parser.parse_args().times, 30.0 * LABELS_A_DAY
    for error in (0.15, 0.14, 0.1):
        runs = [false_runs(seed, error=error, tolerated=0.15, run=run) for seed in range(times)]
        print(
            f"error {error:g}, tolerated 0.15: {np.mean(runs):,.0f} labels to a false alarm (or 8 runs), {run:,.0f} asked"
        )
    rivals: dict[str, Callable[..., int | None]] = {}
    if find_spec("river"):
        rivals["ADWIN"] = adwin_delay
    for after in (0.18, 0.2, 0.25, 0.4):
        ours = [delay(seed, before=0.1, after=after, tolerated=0.15, run=run) for seed in range(times)]
        print(f"error 0.10 to {after:g}: {_median(ours)}", end="")
        for name, rival in rivals.items():
            print(f"; {name} {_median([rival(seed, before=0.1, after=after) for seed in range(times)])}", end="")
        print()


if __name__ == "__main__":
    main()
