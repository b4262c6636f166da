"""Which version answers for a model: the snapshots that workers follow, and the line of champions behind them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from modelmark.domain.digest import Digest
from modelmark.domain.errors import NotPermitted
from modelmark.domain.ports import Clock, Ledger
from modelmark.domain.release import Arm, Route, Snapshot
from modelmark.domain.version import Version


@dataclass(frozen=True, slots=True)
class Routes:
    """Reads and writes routes in a ledger; the caller holds the transaction."""

    ledger: Ledger
    clock: Clock

    def of(self, model: str) -> Route | None:
        snapshot = self.ledger.snapshot()
        return next((r for r in snapshot.routes if r.model == model), None) if snapshot else None

    def champion(self, model: str) -> Version | None:
        route = self.of(model)
        return self.ledger.version(route.arms[0].version) if route else None

    def line(self, model: str) -> list[Digest]:
        """The champions that stand behind each other, the present one last. What was rolled back stands there no more."""
        line: list[Digest] = []
        for event in self.ledger.events():
            if event.details.get("model") != model:
                continue
            if event.act == "released":
                line.append(Digest(event.subject))
            elif event.act == "rolled back" and event.details["to"] in line:
                while line[-1] != event.details["to"]:
                    line.pop()
        return line

    def next(self, route: Route) -> Snapshot:
        """The snapshot in which this model's route is `route`, kept."""
        last = self.ledger.snapshot()
        others = tuple(r for r in last.routes if r.model != route.model) if last else ()
        snapshot = Snapshot(
            sequence=last.sequence + 1 if last else 1,
            issued_at=self.clock(),
            routes=tuple(sorted((*others, route), key=lambda r: r.model)),
        )
        self.ledger.set_snapshot(snapshot)
        return snapshot


def alone(version: Version, previous: Digest | None) -> Route:
    """All traffic to one version. previous: what stands behind it."""
    arm = Arm(version=version.id, name="champion", weight=1.0)
    return Route(model=version.model, arms=(arm,), previous=previous)


def promoted(before: Route | None, version: Version) -> Route:
    previous = before.arms[0].version if before and before.arms[0].version != version.id else None
    return alone(version, previous or (before.previous if before else None))


def beside(before: Route | None, version: Version, share: float) -> Route:
    """A share of the traffic to a canary. Raises NotPermitted without a champion, or beside another canary."""
    if before is None:
        raise NotPermitted(
            f"{version.model} has no champion beside which a canary could run",
            code="NO_CHAMPION",
            hint="release it with the whole traffic first",
        )
    champion = before.arms[0]
    if len(before.arms) > 1 and before.arms[1].version != version.id:
        raise NotPermitted(f"{version.model} has a canary already", code="CANARY_RUNS", hint="roll it back first")
    canary = Arm(version=version.id, name="canary", weight=share)
    return replace(before, arms=(replace(champion, weight=1 - share), canary))
