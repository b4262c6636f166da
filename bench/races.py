"""Acts that compete: `python bench/races.py [--rounds 100] [--acts 100] [--processes 4]`.

In each round that many acts start at once, from threads of several processes: releases and rollbacks that saw the same
champion, one ticket redeemed by many, waivers. Of those that compete exactly one may win, each loser is told why, and every
audit event must name what the events before it left serving. A reader watches the published snapshot all the while: it is
always whole and never goes back. Prints one JSON document; exit code 1 when anything does not hold.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

from _scratch import scratch_folder

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from builders.domain import ANN, BOB, contract, evidence, version
from modelmark.domain.audit import Act
from modelmark.domain.digest import Digest
from modelmark.domain.errors import Missing, ModelmarkError
from modelmark.domain.release import WaiverRequest
from modelmark.domain.routes import Snapshot
from modelmark.domain.workspace import Workspace
from modelmark.governance.audit import Audit, verify_chain
from modelmark.governance.people import People
from modelmark.governance.releases import Effects, Releases
from modelmark.governance.signoff import SignOff
from modelmark.seal import keys
from modelmark.seal.snapshot import read_snapshot, write_snapshot
from modelmark.storage.account_store import SqlAccountStore
from modelmark.storage.database import Database, sqlite_url
from modelmark.storage.ledger import SqlLedger

MODEL, VERSIONS = "loans", 6
#: What a loser may be told.
LOSSES = {"CHAMPION_CHANGED", "NONCE_USED", "PREDECESSOR_CHANGED", "NOT_RELEASABLE", "CHAMPION_ALREADY", "BAD_MOVE",
          "NOTHING_TO_ROLL_BACK",
          "ROLLED_BACK_SINCE"}  # fmt: skip


def now() -> datetime:
    return datetime.now(UTC)


class Desk:
    """Releases over a real database and a real snapshot file, with owners instead of accounts."""

    def __init__(self, root: Path) -> None:
        self.place = Workspace(root)
        self.database = Database(sqlite_url(self.place.database))
        self.ledger = SqlLedger(self.database)
        self.signer = signer = keys.signer(self.place.keys)
        self.verifier = signer.verifier()
        audit = Audit(self.ledger, now, lambda: signer)
        people = People(SqlAccountStore(self.database), audit, now)
        self.releases = Releases(
            self.ledger, audit, now,
            contract_of=lambda _: contract(), required=lambda _: ["holdout"],
            effects=Effects(issue_mark=lambda *_: b"", keep_mark=lambda *_: None, publish=self._publish),
            sign_off=SignOff(
                people=people, clock=now, environment="production", signer=lambda: signer, verifier=lambda: self.verifier
            ),
        )  # fmt: skip
        self.versions = [version(f"v{n}", number=n, registered_by="ci") for n in range(1, VERSIONS + 1)]
        self.failed = version("failed", number=VERSIONS + 1, registered_by="ci")

    def _publish(self, snapshot: Snapshot) -> None:
        write_snapshot(self.place.snapshot, snapshot, self.signer)

    def set_up(self) -> None:
        for one in (*self.versions, self.failed):
            self.releases.register(one, actor="ci")
            measured = 0.1 if one is self.failed else 0.9
            self.releases.record(one, [evidence(one.id, measured=measured)], actor="ci")
        self.sign(self.versions[0])
        self.releases.release(self.versions[0], actor="ci")

    def sign(self, *which: Any) -> None:
        for one in which:
            for person in (ANN, BOB):
                self.releases.approve(one, role=person.role, name=person.name, comment="", actor="ci")

    def act(self, kind: str, number: int, seen: str, ticket: str) -> str:
        """What came of one act: its kind won, or the code it was refused with."""
        try:
            if kind == "release":
                self.releases.release(self.versions[number], actor="ci", expected=seen)
            elif kind == "canary":
                self.releases.release(self.versions[number], share=0.1, actor="ci", expected=seen)
            elif kind == "rollback":
                self.releases.rollback(MODEL, actor="ci", expected=seen)
            elif kind == "approve":
                self.releases.redeem(self.versions[number], ticket, comment="", actor="ci", by=None)
            else:
                excuse = WaiverRequest(gate="holdout", reason="a race", expires_at=now() + timedelta(days=1))
                self.releases.waive(self.failed, excuse, role=BOB.role, name=BOB.name, actor="ci", expected=seen)
        except ModelmarkError as error:
            return error.code
        return "won"


def plan(desk: Desk, acts: int) -> tuple[str, list[tuple[str, int, str, str]]]:
    """A round: what serves, and acts that all saw it. Whatever might be released is signed first."""
    seen = desk.releases.routes.seen(MODEL)
    on_route = set(seen.split("+"))
    free = [n for n, one in enumerate(desk.versions) if one.label not in on_route]
    desk.sign(*(desk.versions[n] for n in free))
    ticket = desk.releases.ticket(desk.versions[free[0]], role=BOB.role, name=BOB.name, by=None)
    kinds = ["release", "rollback", "approve", "release" if "+" in seen else "canary", "waive"]
    jobs = []
    for k in range(acts):
        kind = "rollback" if kinds[k % 5] == "waive" and k % 3 else kinds[k % 5]
        jobs.append((kind, free[0] if kind == "approve" else free[k % len(free)], seen, ticket))
    return seen, jobs


def work(root: Path, inbox: Any, outbox: Any, start: Barrier, threads: int) -> None:
    """One process of many: takes its share of a round, starts all of it at once, tells what came of it."""
    desk = Desk(root)
    with ThreadPoolExecutor(threads) as pool:
        while (jobs := inbox.get()) is not None:
            start.wait()
            outbox.put([(job[0], said) for job, said in zip(jobs, pool.map(lambda j: desk.act(*j), jobs), strict=True)])


def watch(desk: Desk, stop: threading.Event, faults: list[str]) -> None:
    """The published snapshot is whole at every look and never older than it was."""
    last = 0
    while not stop.is_set():
        try:
            found = read_snapshot(desk.place.snapshot, desk.verifier).sequence
        except Missing:
            continue
        except ModelmarkError as error:
            faults.append(f"the snapshot could not be believed: {error.message}")
            return
        if found < last:
            faults.append(f"the snapshot went back from {last} to {found}")
        last = max(last, found)
        time.sleep(0.001)


def replayed(desk: Desk) -> list[str]:
    """Every act names what the events before it left serving; the last of them is what serves."""
    labels = {one.id: one.label for one in desk.ledger.versions()}
    serving, faults = "nothing", []
    events = desk.ledger.events()
    verify_chain(events)
    for event in events:
        if event.details.get("seen", serving) != serving:
            faults.append(f"event {event.sequence} ({event.act}) saw {event.details['seen']}, and {serving} served")
        subject = labels.get(Digest(event.subject), "?") if event.subject.startswith("sha256:") else ""
        if event.act == Act.RELEASED:
            serving = subject
        elif event.act == Act.RELEASED_AS_CANARY:
            serving = f"{serving}+{subject}"
        elif event.act == Act.ROLLED_BACK:
            serving = labels[Digest(event.details["to"])]
    if serving != desk.releases.routes.seen(MODEL):
        faults.append(f"the events end with {serving}, the routes with {desk.releases.routes.seen(MODEL)}")
    numbers = [event.details["snapshot"] for event in events if "snapshot" in event.details]
    if numbers != list(range(1, len(numbers) + 1)):
        faults.append("the snapshots were not issued one after the other")
    kept = desk.ledger.snapshot()
    if kept is None or read_snapshot(desk.place.snapshot, desk.verifier).sequence != kept.sequence:
        faults.append("the published snapshot is not the last one")
    return faults


def judged(results: list[tuple[str, str]]) -> list[str]:
    """Of releases, canaries and rollbacks one won, of one ticket's approvals at most one; losers were told why."""
    won = Counter(kind for kind, said in results if said == "won")
    faults = [f"a {kind} ended with {said}" for kind, said in results if said not in {"won", *LOSSES}]
    if won["release"] + won["canary"] + won["rollback"] != 1:
        faults.append(f"of acts that compete, these won: {dict(won)}")
    if won["approve"] > 1:
        faults.append(f"one ticket was redeemed {won['approve']} times")
    return faults


def race(root: Path, rounds: int, acts: int, processes: int, say: Callable[[str], None]) -> dict[str, Any]:
    desk, spawn, faults = Desk(root), multiprocessing.get_context("spawn"), list[str]()
    desk.set_up()
    stop, told = threading.Event(), Counter[str]()
    reader = threading.Thread(target=watch, args=(desk, stop, faults))
    reader.start()
    start, outbox = spawn.Barrier(processes), spawn.Queue()
    inboxes = [spawn.Queue() for _ in range(processes)]
    share = -(-acts // processes)
    children = [spawn.Process(target=work, args=(root, box, outbox, start, share), daemon=True) for box in inboxes]
    for child in children:
        child.start()
    began = time.monotonic()
    for number in range(rounds):
        _, jobs = plan(desk, acts)
        for i, box in enumerate(inboxes):
            box.put(jobs[i::processes])
        results = [item for _ in children for item in outbox.get(timeout=300)]
        told.update(f"{kind}: {said}" for kind, said in results)
        faults += [f"round {number + 1}: {fault}" for fault in judged(results)]
        if (number + 1) % 10 == 0:
            say(f"{number + 1} rounds, {time.monotonic() - began:.0f} s, {len(faults)} faults")
    for box in inboxes:
        box.put(None)
    for child in children:
        child.join(60)
    stop.set()
    reader.join()
    faults += replayed(desk)
    return {"rounds": rounds, "acts": rounds * acts, "processes": processes, "seconds": round(time.monotonic() - began, 1),
            "events": len(desk.ledger.events()), "told": dict(sorted(told.items())), "faults": faults}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--acts", type=int, default=100)
    parser.add_argument("--processes", type=int, default=4)
    given = parser.parse_args()
    with scratch_folder() as folder:
        found = race(Path(folder), given.rounds, given.acts, given.processes, lambda text: print(text, file=sys.stderr))
    print(json.dumps(found, indent=1))
    return 1 if found["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())
