"""Which version answers for a model: the snapshots that workers follow, and the line of champions behind them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from modelmark.domain.audit import Act
from modelmark.domain.digest import Digest
from modelmark.domain.endpoint.keys import EndpointKey
from modelmark.domain.errors import Conflict, NotPermitted
from modelmark.domain.ports import Clock, Ledger
from modelmark.domain.routes import Arm, ArmRole, Route, Snapshot
from modelmark.domain.version import Version

#: What serves before the first release.
NOTHING: Final = "nothing"


@dataclass(frozen=True, slots=True)
class Routes:
    """Reads and writes routes in a ledger; the caller holds the transaction."""

    ledger: Ledger
    clock: Clock

    def of(self, model: str) -> Route | None:
        snapshot = self.ledger.snapshot()
        return snapshot.route(model) if snapshot else None

    def champion(self, model: str) -> Version | None:
        route = self.of(model)
        return self.ledger.version(route.champion.version) if route else None

    def champions(self) -> dict[str, Version]:
        """Of every model that has one, by its name."""
        snapshot = self.ledger.snapshot()
        served = {route.model: route.champion.version for route in snapshot.routes} if snapshot else {}
        known = {version.id: version for version in self.ledger.versions()}
        return {model: known[id] for model, id in served.items()}

    def seen(self, model: str) -> str:
        """What serves, in the words that an act names it with: `v4`, `v4+v5` beside a canary or an experiment's arm, `nothing`
        before the first."""
        route = self.of(model)
        if route is None:
            return NOTHING
        answering = dict.fromkeys(arm.version for arm in route.answering)
        return "+".join(self.ledger.version(id).label for id in answering)

    def require_seen(self, model: str, expected: str | None) -> str:
        """Compare and swap: what serves now. Raises Conflict (CHAMPION_CHANGED) when it is not what the actor saw.

        expected None: whoever asks looks only now. Call inside the transaction of the act.
        """
        now = self.seen(model)
        if expected is not None and expected != now:
            raise Conflict(
                f"{model} is served by {now} now, and was by {expected} when this was decided",
                code="CHAMPION_CHANGED",
                field="expected",
                limit=f"now: {now}",
                hint="look again (modelmark status, or the page of the model), then decide",
            )
        return now

    def line(self, model: str) -> list[Digest]:
        """The champions that stand behind each other, the present one last. What was rolled back stands there no more."""
        line: list[Digest] = []
        for event in self.ledger.events():
            if event.details.get("model") != model:
                continue
            if event.act == Act.RELEASED:
                line.append(Digest(event.subject))
            elif event.act == Act.ROLLED_BACK and event.details["to"] in line:
                while line[-1] != event.details["to"]:
                    line.pop()
        return line

    def next(self, route: Route) -> Snapshot:
        """The snapshot in which this model's route is `route`, kept."""
        last = self.ledger.snapshot()
        others = tuple(r for r in last.routes if r.model != route.model) if last else ()
        return self._kept(tuple(sorted((*others, route), key=lambda r: r.model)), last.keys if last else ())

    @property
    def keys(self) -> tuple[EndpointKey, ...]:
        """Those that open the endpoint now, the expired among them."""
        last = self.ledger.snapshot()
        return last.keys if last else ()

    def next_with_keys(self, keys: tuple[EndpointKey, ...]) -> Snapshot:
        """The snapshot in which these keys, and no others, open the endpoint; kept."""
        last = self.ledger.snapshot()
        return self._kept(last.routes if last else (), keys)

    def _kept(self, routes: tuple[Route, ...], keys: tuple[EndpointKey, ...]) -> Snapshot:
        last = self.ledger.snapshot()
        number = last.sequence + 1 if last else 1
        snapshot = Snapshot(sequence=number, issued_at=self.clock(), routes=routes, keys=keys)
        self.ledger.set_snapshot(snapshot)
        return snapshot


def require_no_experiment(before: Route | None) -> None:
    """Raises NotPermitted (EXPERIMENT_RUNS): while one runs, nothing else may change who answers."""
    if before is not None and before.experiment:
        name = before.experiment[0].name.partition(".")[0]
        raise NotPermitted(
            f"the experiment {name} runs on {before.model}; another version would spoil what it measures",
            code="EXPERIMENT_RUNS",
            hint=f"modelmark experiment stop {name}",
        )


def experiment_route(before: Route, arms: tuple[Arm, ...], salt: str) -> Route:
    """These arms beside the champion, who keeps what they leave: the holdback. Raises NotPermitted beside a canary, a shadow, or
    another experiment."""
    require_no_experiment(before)
    if before.canary is not None or before.shadows:
        raise NotPermitted(
            f"a version of {before.model} is in a rollout", code="ROLLOUT_RUNS", hint="modelmark rollout status"
        )
    left = round(max(1 - sum(arm.weight for arm in arms), 0.0), 12)
    return replace(before, arms=(replace(before.champion, weight=left), *arms), salt=salt)


def without_experiment(route: Route) -> Route:
    """The champion answers everything again."""
    kept = tuple(arm for arm in route.arms if arm.role not in (ArmRole.EXPERIMENT, ArmRole.CHAMPION))
    return replace(route, arms=(replace(route.champion, weight=1.0), *kept), salt="")


def champion_route(version: Version, previous: Digest | None) -> Route:
    """All traffic to one version. previous: what stands behind it."""
    return Route(model=version.model, arms=(Arm.of(ArmRole.CHAMPION, version.id, 1.0),), previous=previous)


def promoted(before: Route | None, version: Version) -> Route:
    require_no_experiment(before)
    previous = before.champion.version if before and before.champion.version != version.id else None
    return champion_route(version, previous or (before.previous if before else None))


def shadow_route(before: Route | None, version: Version) -> Route:
    """The same traffic, and one more shadow. Raises NotPermitted without a champion."""
    if before is None:
        raise NotPermitted(
            f"{version.model} has no champion of whose traffic a shadow could be asked a copy",
            code="NO_CHAMPION",
            hint="release it with the whole traffic first",
        )
    require_no_experiment(before)
    return replace(before, arms=(*before.arms, Arm.of(ArmRole.SHADOW, version.id, 0.0, name=f"shadow-{version.label}")))


def without(route: Route, version: Digest) -> Route:
    """Without that shadow."""
    return replace(route, arms=tuple(arm for arm in route.arms if arm.version != version))


def canary_route(before: Route | None, version: Version, share: float) -> Route:
    """A share of the traffic to a canary. Raises NotPermitted without a champion, or beside another canary."""
    if before is None:
        raise NotPermitted(
            f"{version.model} has no champion beside which a canary could run",
            code="NO_CHAMPION",
            hint="release it with the whole traffic first",
        )
    require_no_experiment(before)
    if before.canary is not None and before.canary.version != version.id:
        raise NotPermitted(f"{version.model} has a canary already", code="CANARY_RUNS", hint="roll it back first")
    champion = replace(before.champion, weight=1 - share)
    shadows = (arm for arm in before.shadows if arm.version != version.id)
    return replace(before, arms=(champion, Arm.of(ArmRole.CANARY, version.id, share), *shadows))
