"""Processes killed under load: `python bench/kills.py [--kills 1000] [--json]`.

`modelmark up` with two workers answers callers while, again and again, one of its processes (a worker, the endpoint's
supervisor, the steward, `up` itself) is killed, stopped or ended. `up`, and a stopped process of nobody, are started again by
us, as a service manager would. Counts answered predictions that the journal lost or has twice, and the seconds until the
endpoint is whole again. Exit code 1 when anything was lost or doubled, never came back, or does not verify.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from _endpoint import PATIENCE, ROLES, Caller, Endpoint, free_ports, prepared, settled, whole_again
from _scratch import scratch_folder

from modelmark.domain.errors import ModelmarkError

SIGNALS: Final = {"KILL": signal.SIGKILL, "STOP": signal.SIGSTOP, "TERM": signal.SIGTERM}


@dataclass
class Figures:
    """seconds: role and signal -> until whole again, each time."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


def hit(endpoint: Endpoint, role: str, name: str, chance: random.Random) -> float | None:
    """Seconds until whole again; None when that did not come about. `up` is started again by us when it has gone; when it
    is stopped it goes on after a second, for nobody else watches over it."""
    victim = chance.choice(endpoint.family()[role])
    os.kill(victim, SIGNALS[name])
    began = time.monotonic()
    if role == "up":
        assert endpoint.process is not None
        if name == "STOP":
            time.sleep(1.0)
            os.kill(victim, signal.SIGCONT)
            victim = 0
        else:
            endpoint.process.wait(90)
            endpoint.start()
            began = time.monotonic()
    return whole_again(endpoint, victim, began)


def run(root: Path, kills: int, callers: int, only: Sequence[str], whole: bool, seed: int) -> dict[str, Any]:
    it = prepared(root, whole)
    ports = free_ports(2)
    endpoint, figures = Endpoint(root, it.workspace.root, ports[0], ports[1]), Figures()
    chance, stop = random.Random(seed), threading.Event()
    asking = [Caller(ports[0], f"/models/{it.name}/predict", it.body, stop) for _ in range(callers)]
    plan = [(role, sent) for sent in SIGNALS for role in only]
    endpoint.start()
    try:
        if whole_again(endpoint, 0, time.monotonic()) is None:
            figures.faults.append("it never was ready")
            kills = 0
        for caller in asking:
            caller.start()
        for number in range(kills):
            role, sent = plan[number % len(plan)] if number < len(plan) else chance.choice(plan)
            time.sleep(chance.uniform(0.05, 0.4))
            took = hit(endpoint, role, sent, chance)
            if took is None:
                figures.faults.append(f"{role} after {sent}, kill {number}: not whole again within {PATIENCE:.0f} s")
                break
            figures.seconds.setdefault(f"{role} {sent}", []).append(took)
            print(f"{number + 1}: {role} {sent} {took:.2f} s", file=sys.stderr, flush=True)
    finally:
        stop.set()
        for caller in asking:
            if caller.is_alive():
                caller.join(20)
        endpoint.end()
    answered = [id for caller in asking for id in caller.ids]
    try:
        kept, faults = settled(it.workspace, it.witness, it.name)
    except ModelmarkError as error:  # what was measured until now is shown all the same
        kept, faults = Counter(answered), [f"what is left cannot be read: {error}"]
    faults += [said] if (said := it.verify()) else []
    return {
        "kills": sum(map(len, figures.seconds.values())),
        "answered": len(answered),
        "lost": sum(kept[id] == 0 for id in answered),
        "doubled": sum(count > 1 for count in kept.values()),
        "cut": sum(caller.cut for caller in asking),
        "refused": dict(sum((caller.refused for caller in asking), Counter())),
        "seconds": {
            what: {"n": len(took), "median": round(sorted(took)[len(took) // 2], 2), "worst": round(max(took), 2)}
            for what, took in figures.seconds.items()
        },
        "faults": figures.faults + faults,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--callers", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--alone", action="store_true", help="a version without gates, approvals and `modelmark verify`"
    )
    parser.add_argument("--only", nargs="+", choices=ROLES, default=ROLES, help="whom to hit")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what we started ends with us
    with scratch_folder() as folder:
        found = run(Path(folder), given.kills, given.callers, given.only, not given.alone, given.seed)
        if found["faults"]:
            sys.stderr.write((Path(folder) / "up.log").read_text()[-3000:])
    if given.json:
        print(json.dumps(found))
    else:
        print(
            f"{found['kills']} kills: {found['lost']} of {found['answered']:,} answers lost, {found['doubled']} doubled"
        )
        for what, took in found["seconds"].items():
            print(
                f"  {what:<16} whole again after {took['median']:.2f} s, at worst {took['worst']:.2f} s ({took['n']} times)"
            )
        print(f"  cut: {found['cut']}; refused: {found['refused']}; faults: {found['faults']}")
    return 1 if found["faults"] or found["lost"] or found["doubled"] else 0


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
