"""Memory and answers over half an hour: `python bench/soak.py [--minutes 30] [--swaps 50] [--json]`.

`modelmark up` with one worker answers callers at a steady rate while the release is swapped again and again between two
versions, by `modelmark rollback` and `modelmark release`. Shows the memory of worker, supervisor, steward and `up` in the
middle and in the last third, the answers that were not 200, what the journal lost or has twice, and how long a swap took to
answer. Exit code 1 when an answer was not 200, lost or doubled, when `modelmark verify` finds anything, or when a process grew
by more than a tenth from the middle third to the last of a run of five minutes or more.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

from _endpoint import ROLES, Caller, Endpoint, Prepared, free_ports, prepared, settled, whole_again
from _scratch import scratch_folder

from journey import Place

EVERY: Final = 2.0
#: A process may grow by so much from the middle third to the last: what its allocator does is not ours.
GROWTH: Final = 1.10
LONG: Final = 300.0


def megabytes(pids: list[int]) -> float:
    lines = [line for pid in pids for line in Path(f"/proc/{pid}/status").read_text().splitlines()]
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


class Swaps(threading.Thread):
    """Rolls back to v1 and releases v2 in turn, so many times in so many seconds. took: each act, in seconds."""

    def __init__(self, it: Prepared, count: int, seconds: float, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self.it, self.count, self.every, self.stopped = it, count, seconds / (count + 1), stop
        self.took: list[float] = []
        self.fault = ""

    def run(self) -> None:
        assert self.it.place is not None
        next_at = time.monotonic()
        for number in range(self.count):
            next_at += self.every
            if self.stopped.wait(max(0.0, next_at - time.monotonic())):
                return
            try:
                self.took.append(self._swap(self.it.place, back=number % 2 == 0))
            except AssertionError as error:
                self.fault = str(error)
                return

    def _swap(self, place: Place, *, back: bool) -> float:
        """Seconds until the act itself was answered. What was rolled back is released only when it is approved anew."""
        if not back:
            place.sign("v2")
        began = time.monotonic()
        place.run("rollback" if back else "release", *(() if back else ("v2",)), "--model", self.it.name)
        return time.monotonic() - began


def with_another_version(it: Prepared) -> None:
    """v2 is v1 with other words for people, released after it."""
    assert it.place is not None
    text = it.place.contract.read_text("utf-8")
    it.place.contract.write_text(text.replace("purpose: ", "purpose: Again, ", 1), "utf-8")
    it.place.next_champion(it.place.app())


def watched(endpoint: Endpoint, seconds: float) -> dict[str, list[float]]:
    """Role -> megabytes, every so many seconds."""
    found: dict[str, list[float]] = {role: [] for role in ROLES}
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        for role, pids in endpoint.family().items():
            found[role].append(megabytes(pids))
        print(
            f"\r{left:5.0f} s left",
            *(f"{r} {m[-1]:.0f} MB" for r, m in found.items()),
            end="",
            file=sys.stderr,
            flush=True,
        )
        time.sleep(min(EVERY, left))
    print(file=sys.stderr)
    return found


def run(root: Path, seconds: float, swaps: int, callers: int, pause: float) -> dict[str, Any]:
    it = prepared(root, whole=True)
    with_another_version(it)
    ports, stop = free_ports(2), threading.Event()
    endpoint = Endpoint(root, it.workspace.root, ports[0], ports[1], workers=1)
    asking = [Caller(ports[0], f"/models/{it.name}/predict", it.body, stop, pause) for _ in range(callers)]
    swapping, faults, memory = Swaps(it, swaps, seconds, stop), list[str](), dict[str, list[float]]()
    endpoint.start()
    try:
        if whole_again(endpoint, 0, time.monotonic()) is None:
            faults.append("it never was ready")
        else:
            for thread in (*asking, swapping):
                thread.start()
            memory = watched(endpoint, seconds)
    finally:
        stop.set()
        for thread in (*asking, swapping):
            if thread.is_alive():
                thread.join(90)
        endpoint.end()
    answered = [id for caller in asking for id in caller.ids]
    refused: Counter[str] = sum((caller.refused for caller in asking), Counter())
    kept, unsound = settled(it.workspace, it.witness, it.name)
    said = it.verify()
    thirds = {role: thirds_of(found) for role, found in memory.items()}
    grown = [role for role, (before, after) in thirds.items() if seconds >= LONG and after > GROWTH * before]
    return {
        "seconds": seconds,
        "answered": len(answered),
        "not_200": refused.total() + sum(caller.cut for caller in asking),
        "refused": dict(refused),
        "lost": sum(kept[id] == 0 for id in answered),
        "doubled": sum(count > 1 for count in kept.values()),
        "swaps": len(swapping.took),
        "swap_s": round(statistics.median(swapping.took), 2) if swapping.took else None,
        "memory_mb": {role: [round(value) for value in both] for role, both in thirds.items()},
        "faults": [
            *faults, *unsound, *([said] if said else []), *([swapping.fault] if swapping.fault else []),
            *(f"{role} grew" for role in grown),
        ],
    }  # fmt: skip


def thirds_of(found: list[float]) -> tuple[float, float]:
    """The median of the middle third and of the last."""
    third = max(len(found) // 3, 1)
    return statistics.median(found[third : 2 * third] or found), statistics.median(found[-third:])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--swaps", type=int, default=50)
    parser.add_argument("--callers", type=int, default=4)
    parser.add_argument("--pause", type=float, default=0.02, help="of a caller between answer and request, in seconds")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what we started ends with us
    with scratch_folder() as folder:
        found = run(Path(folder), 60 * given.minutes, given.swaps, given.callers, given.pause)
        if found["faults"]:
            sys.stderr.write((Path(folder) / "up.log").read_text()[-3000:])
    if given.json:
        print(json.dumps(found))
    else:
        print(f"{found['answered']:,} answers in {found['seconds']:.0f} s over {found['swaps']} swaps:", end=" ")
        print(
            f"{found['not_200']} not 200, {found['lost']} lost, {found['doubled']} doubled; a swap {found['swap_s']} s"
        )
        for role, (middle, last) in found["memory_mb"].items():
            print(f"  {role:<10} {middle} MB in the middle third, {last} MB in the last")
        print(f"  refused: {found['refused']}; faults: {found['faults']}")
    wrong = found["faults"] or found["not_200"] or found["lost"] or found["doubled"]
    return 1 if wrong or found["swaps"] < given.swaps else 0


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
