"""Who answers for a model: arms with roles, routes over them, and the snapshot that the data plane follows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Self

from modelmark.domain.digest import Digest
from modelmark.domain.endpoint.keys import EndpointKey
from modelmark.domain.later import later


class ArmRole(StrEnum):
    """What a version is on a route for."""

    CHAMPION = "champion"
    """Answers whatever no other arm takes; a route has exactly one."""
    CANARY = "canary"
    """Takes a growing share of the traffic while people watch it."""
    EXPERIMENT = "experiment"
    """Takes an agreed share of the traffic for as long as an experiment runs."""
    SHADOW = "shadow"
    """Is asked a copy of what others answer, and answers nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """A version on a route. name: as records, answers and charts call it. weight: its share of the traffic.

    stored_role: the role, where the name does not say it; `role` is what to read.
    """

    version: Digest
    name: str
    weight: float
    stored_role: ArmRole | None = later(default=None)

    @property
    def role(self) -> ArmRole:
        """Raises ValueError when neither field names a role."""
        return self.stored_role or ArmRole(self.name)

    @classmethod
    def of(cls, role: ArmRole, version: Digest, weight: float, *, name: str = "") -> Self:
        """An arm of that role, called by its role unless it has a name of its own."""
        return cls(version=version, name=name or role, weight=weight, stored_role=role if name else None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Who answers for one model. previous: what `previous_version` falls back to. salt: what a key's place is drawn by, so that
    who met an arm of one experiment is not who meets that of the next; empty: the model's name. Raises ValueError unless
    exactly one arm is the champion."""

    model: str
    arms: tuple[Arm, ...]
    previous: Digest | None
    salt: str = later(default="")

    def __post_init__(self) -> None:
        if sum(arm.role is ArmRole.CHAMPION for arm in self.arms) != 1:
            raise ValueError(f"the route of {self.model} needs exactly one champion")

    @property
    def champion(self) -> Arm:
        return next(arm for arm in self.arms if arm.role is ArmRole.CHAMPION)

    @property
    def canary(self) -> Arm | None:
        return next((arm for arm in self.arms if arm.role is ArmRole.CANARY), None)

    @property
    def experiment(self) -> tuple[Arm, ...]:
        """The arms of the experiment that runs, the control's among them; none where none does."""
        return tuple(arm for arm in self.arms if arm.role is ArmRole.EXPERIMENT)

    @property
    def shadows(self) -> tuple[Arm, ...]:
        return tuple(arm for arm in self.arms if arm.role is ArmRole.SHADOW)

    @property
    def answering(self) -> tuple[Arm, ...]:
        """The arms that take traffic, the champion first."""
        return (self.champion, *(a for a in self.arms if a.role not in (ArmRole.CHAMPION, ArmRole.SHADOW)))

    def of(self, version: Digest) -> Arm | None:
        """The arm of a version; None when it is not on this route."""
        return next((arm for arm in self.arms if arm.version == version), None)

    def without_canary(self) -> Route:
        """The canary's share goes back to the champion."""
        kept = tuple(arm for arm in self.arms if arm.role is not ArmRole.CANARY)
        freed = self.canary.weight if self.canary else 0.0
        return replace(
            self,
            arms=tuple(
                replace(arm, weight=_whole(arm.weight + freed)) if arm.role is ArmRole.CHAMPION else arm for arm in kept
            ),
        )


def _whole(weight: float) -> float:
    """0.9 + 0.1 and their like are 1 again."""
    return round(weight, 12)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What the data plane follows. sequence only grows: an older one is never followed. keys: those that open the endpoint;
    what is revoked is not among them."""

    sequence: int
    issued_at: datetime
    routes: tuple[Route, ...]
    keys: tuple[EndpointKey, ...] = later(default=())

    def route(self, model: str) -> Route | None:
        return next((route for route in self.routes if route.model == model), None)
