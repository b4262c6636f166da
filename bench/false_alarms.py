"""How often does the whole suite refuse a model with nothing wrong in it? `python bench/false_alarms.py [--problems N]`.

Seeded problems of tests/clean_problems.py, every gate at its default limits, in two processes. Printed: every refusal
with the sentence that decided it, what could not be told, per gate, and the shares with Clopper-Pearson intervals.
Left out, and said so: load and replay, which measure a server and its machine, not the model. Settings that bound work
and decide nothing are small here: fewer explained rows, a quick glass box, no attacks. The two slowest gates, whose
verdict hangs on arithmetic and files rather than on chance, are asked of every --sparse-th problem.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
import warnings
from collections import Counter
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

LEFT_OUT = ("load", "replay")
SLOW = ("explanation", "supply_chain")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """refused, untold: (gate, sentence) of deciding checks that failed or could not tell."""

    words: str
    asked: tuple[str, ...]
    refused: tuple[tuple[str, str], ...]
    untold: tuple[tuple[str, str], ...]
    seconds: dict[str, float]


def small(contract: Contract) -> Contract:
    """The same limits, less work on what decides nothing."""
    gates = contract.gates
    assert gates.explanation is not None
    assert gates.robustness is not None
    return replace(
        contract,
        gates=replace(
            gates,
            load=None,
            replay=None,
            explanation=replace(gates.explanation, rows=20, background=50, max_evaluations=20_000, glass_box_rows=300),
            robustness=replace(gates.robustness, attacks=()),
        ),
    )


def judge(seed: int, sparse: int) -> Outcome:
    warnings.simplefilter("ignore")
    given = clean_problems.problem(seed)
    given = replace(given, contract=small(given.contract))
    with tempfile.TemporaryDirectory() as name:
        case = clean_problems.case(Path(name), given)
        gates = [gate for gate in build(given.contract) if gate.name not in SLOW or seed % sparse == 0]
        found = [run_gate(gate, case) for gate in gates]
    deciding = [(item.gate, check) for item in found for check in item.checks if check.decides]
    return Outcome(
        words=given.words,
        asked=tuple(item.gate for item in found),
        refused=tuple((gate, check.sentence) for gate, check in deciding if check.verdict is Verdict.FAIL),
        untold=tuple((gate, check.sentence) for gate, check in deciding if check.verdict is Verdict.CANNOT_TELL)
        + tuple((item.gate, "no check decides") for item in found if not any(c.decides for c in item.checks)),
        seconds={item.gate: item.seconds for item in found},
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=200)
    parser.add_argument("--first", type=int, default=0, help="seed of the first problem")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--sparse", type=int, default=10, help="ask the slow gates of every so many problems")
    given = parser.parse_args()
    print(f"Left out, because they measure a server and its machine: {', '.join(LEFT_OUT)}.")
    print("Small settings of what decides nothing: 20 explained rows, glass boxes of 300 rows, no attacks.")
    print(f"Asked of every {given.sparse}th problem: {', '.join(SLOW)}.\n", flush=True)
    started, seeds = time.monotonic(), range(given.first, given.first + given.problems)
    with ProcessPoolExecutor(given.processes) as pool:
        outcomes = []
        for outcome in pool.map(partial(judge, sparse=given.sparse), seeds):
            outcomes.append(outcome)
            tell_one(outcome)
            print(f"{len(outcomes)}/{given.problems} {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    tell(outcomes)
    kinds = Counter(" ".join(one.words.split(", ")[:1]).split(": ")[1] for one in outcomes)
    print(f"problems: {dict(kinds)}; {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
