"""How often does the whole suite refuse a model with nothing wrong in it? `python bench/false_alarms.py [--problems N]`.

--kind names what is unusual about the problems (many inputs on few rows, errors that grow, follow from one another or have
heavy tails, a rare class); --quick asks the quick gates alone, as `check --fast` does.

Seeded problems of tests/clean_problems.py, every gate at its default limits: first, in two processes, all but load and
replay; then, one after another because they measure time, load and replay on the real server. Printed: every refusal
with the sentence that decided it, what could not be told, per gate, and the shares with Clopper-Pearson intervals.
What bounds work is smaller than its default, and said: fewer explained rows, a quick glass box, no attacks, shorter
traffic (at four times the default rate), and capacity, memory and overload in every tenth problem alone.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
os.environ.setdefault(
    "OMP_NUM_THREADS", "1"
)  # two processes on small tables: more threads only get in each other's way

import clean_problems
from modelmark.domain.contract import Contract
from modelmark.domain.evidence import Verdict
from modelmark.gates.runner import build, run_gate
from modelmark.stats.rates import clopper_pearson

TIMED = ("replay", "load")
SLOW = ("explanation", "supply_chain")
STRESSED = 10  # what a server does beyond its rate is no matter of the model's chance


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """refused, untold: (gate, sentence) of deciding checks that failed or could not tell."""

    words: str
    asked: tuple[str, ...]
    refused: tuple[tuple[str, str], ...]
    untold: tuple[tuple[str, str], ...]
    seconds: dict[str, float]


def small(contract: Contract, stressed: bool) -> Contract:
    """The same limits, less work. stressed: whether load looks for the capacity, memory and overload as well."""
    gates = contract.gates
    assert gates.explanation is not None
    assert gates.robustness is not None
    assert gates.load is not None
    assert gates.replay is not None
    return replace(
        contract,
        serving=replace(contract.serving, rate_per_s=200.0),
        gates=replace(
            gates,
            load=replace(
                gates.load, seconds=1.0, capacity=stressed, overload=(2.0,) if stressed else (), overload_seconds=0.5
            ),
            replay=replace(gates.replay, requests=200, seconds=1.0),
            explanation=replace(gates.explanation, rows=20, background=50, max_evaluations=20_000, glass_box_rows=300),
            robustness=replace(gates.robustness, attacks=()),
        ),
    )


def judge(seed: int, sparse: int = 1, timed: bool = False, kind: str = "usual", quick: bool = False) -> Outcome:
    """timed: by load and replay; else by all others. quick: by the quick gates alone."""
    warnings.simplefilter("ignore")
    given = clean_problems.problem(seed, kind=kind)
    given = replace(given, contract=small(given.contract, stressed=seed % STRESSED == 0))
    with tempfile.TemporaryDirectory() as name:
        case = clean_problems.case(Path(name), given)
        gates = [gate for gate in build(given.contract, fast=quick) if (gate.name in TIMED) == timed]
        found = [run_gate(gate, case) for gate in gates if gate.name not in SLOW or seed % sparse == 0]
    deciding = [(item.gate, check) for item in found for check in item.checks if check.decides]
    return Outcome(
        words=given.words,
        asked=tuple(item.gate for item in found),
        refused=tuple((gate, check.sentence) for gate, check in deciding if check.verdict is Verdict.FAIL),
        untold=tuple((gate, check.sentence) for gate, check in deciding if check.verdict is Verdict.CANNOT_TELL)
        + tuple((item.gate, "no check decides") for item in found if not any(c.decides for c in item.checks)),
        seconds={item.gate: item.seconds for item in found},
    )


def joined(one: Outcome, other: Outcome) -> Outcome:
    """What two parts of the suite said of one problem."""
    return Outcome(
        words=one.words,
        asked=one.asked + other.asked,
        refused=one.refused + other.refused,
        untold=one.untold + other.untold,
        seconds=one.seconds | other.seconds,
    )


def tell_one(one: Outcome) -> None:
    for word, said in (("REFUSED", one.refused), ("CANNOT TELL", one.untold)):
        for gate, sentence in said:
            print(f"{word} by {gate}: {sentence}\n    {one.words}", flush=True)


def tell(outcomes: list[Outcome]) -> None:
    print(f"\n{'gate':<14} asked refused cannot tell  seconds each")
    for gate in dict.fromkeys(gate for one in outcomes for gate in one.asked):
        asked = [one for one in outcomes if gate in one.asked]
        refused, untold = (
            sum(any(name == gate for name, _ in getattr(one, what)) for one in asked) for what in ("refused", "untold")
        )
        print(
            f"{gate:<14} {len(asked):5d} {refused:7d} {untold:11d} {sum(o.seconds[gate] for o in asked) / len(asked):14.2f}"
        )
    for what in ("refused", "untold"):
        hits = sum(bool(getattr(one, what)) for one in outcomes)
        low, high = clopper_pearson(hits, len(outcomes))
        name = {"refused": "good models refused", "untold": "good models blocked by a cannot tell"}[what]
        print(f"{name}: {hits} of {len(outcomes)}: {hits / len(outcomes):.1%} [{low:.1%}, {high:.1%}]")


def every(made: Iterable[Outcome], problems: int, what: str) -> list[Outcome]:
    """All of them, each told as it comes."""
    started, outcomes = time.monotonic(), []
    for outcome in made:
        outcomes.append(outcome)
        tell_one(outcome)
        print(f"{what} {len(outcomes)}/{problems} {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    return outcomes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=200)
    parser.add_argument("--first", type=int, default=0, help="seed of the first problem")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--sparse", type=int, default=1, help="ask the slow gates of every so many problems")
    parser.add_argument(
        "--only",
        choices=["untimed", "timed"],
        help="one part: load and replay take most of the time and a quiet machine",
    )
    parser.add_argument("--kind", choices=clean_problems.KINDS, default="usual")
    parser.add_argument("--quick", action="store_true", help="the quick gates alone, none of which takes time")
    given = parser.parse_args()
    how = {"kind": given.kind, "quick": given.quick}
    print(
        "Small settings of what bounds work: 20 explained rows, glass boxes of 300 rows, no attacks, traffic of 1 s; capacity,"
    )
    print(f"memory and overload are looked at in every {STRESSED}. problem.")
    print(
        f"{', '.join(SLOW)} are asked of every {given.sparse}. problem. Part: {given.only or 'all'}. Kind: {given.kind}.\n",
        flush=True,
    )
    started, seeds, outcomes = time.monotonic(), range(given.first, given.first + given.problems), []
    if given.only != "timed":
        with ProcessPoolExecutor(given.processes) as pool:
            outcomes = every(pool.map(partial(judge, sparse=given.sparse, **how), seeds), given.problems, "judged")
    if given.only != "untimed" and not given.quick:
        served = every((judge(seed, timed=True, **how) for seed in seeds), given.problems, "served")
        outcomes = [joined(one, other) for one, other in zip(outcomes, served, strict=True)] if outcomes else served
    tell(outcomes)
    kinds = Counter(" ".join(one.words.split(", ")[:1]).split(": ")[1] for one in outcomes)
    print(f"problems: {dict(kinds)}; {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
