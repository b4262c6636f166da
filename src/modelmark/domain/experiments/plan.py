"""What is agreed before an experiment begins, and cannot change afterwards: a change is another experiment."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from modelmark.domain.people import Role
from modelmark.domain.strict import part


class Measure(StrEnum):
    """What is compared. Each is a ratio of two sums over an entity's requests, or over its labels."""

    ACCURACY = "accuracy"
    """Share of labelled answers that were right. Several classes or two."""
    LOSS = "loss"
    """The contract's own loss on labelled answers, as a rollout's quality has it."""
    OUTCOME = "outcome"
    """Mean label of a labelled answer, where labels are numbers: money, minutes, 1 for what was wanted."""
    OUTCOME_PER_ENTITY = "outcome_per_entity"
    """Sum of the labels of an entity; 0 for one that has none when they should have come."""
    LATENCY_MS = "latency_ms"
    """Mean time in the server, milliseconds a request."""
    CLASS_SHARE = "class_share"
    """Share of answers that decide for `class_name`."""
    FALLBACK = "fallback"
    """Share of requests that another than the model answered: a fallback, or a person's queue."""
    SCORE = "score"
    """Mean score, or value of a regression."""


class Direction(StrEnum):
    """Which way is better."""

    HIGHER = "higher"
    LOWER = "lower"


class Unit(StrEnum):
    """What meets one arm and is counted once: whoever asks, or a request where requests have nobody in common."""

    ENTITY = "entity"
    REQUEST = "request"


#: What needs no `direction`. Of the others one has to be said.
USUAL: Final[Mapping[Measure, Direction]] = {
    Measure.ACCURACY: Direction.HIGHER,
    Measure.LOSS: Direction.LOWER,
    Measure.LATENCY_MS: Direction.LOWER,
    Measure.FALLBACK: Direction.LOWER,
}
#: Each unit's value of these lies between 0 and 1.
SHARES: Final = frozenset({Measure.ACCURACY, Measure.CLASS_SHARE, Measure.FALLBACK})
#: What waits for labels.
LABELLED: Final = frozenset({Measure.ACCURACY, Measure.LOSS, Measure.OUTCOME, Measure.OUTCOME_PER_ENTITY})


@part
class ExperimentArm:
    """A version and its share of the traffic."""

    name: str
    """As records, charts and verdicts call it."""
    version: str
    """`v3`, or a digest's first digits. The first arm is the control: the champion."""
    share: float
    """Its part of the traffic."""


@part
class Objective:
    """What the experiment is about."""

    measure: Measure
    """What is compared."""
    minimum_effect: float
    """The least difference that is worth having, in the measure's own unit."""
    direction: Direction | None = None
    """Which way is better [default: as is usual of the measure]."""
    class_name: str | None = None
    """Of `class_share`: which class."""

    @property
    def margin(self) -> float:
        return self.minimum_effect


@part
class Guardrail:
    """What must not get worse by more than a margin."""

    measure: Measure
    """What is compared."""
    margin: float
    """So much worse is tolerated, in the measure's own unit."""
    direction: Direction | None = None
    """Which way is better [default: as is usual of the measure]."""
    class_name: str | None = None
    """Of `class_share`: which class."""


def sign_of(metric: Objective | Guardrail) -> float:
    """1 where higher is better, -1 where lower is."""
    return 1.0 if (metric.direction or USUAL.get(metric.measure)) is Direction.HIGHER else -1.0


def called(metric: Objective | Guardrail) -> str:
    """`latency_ms`, `class_share yes`."""
    return f"{metric.measure.value} {metric.class_name}" if metric.class_name is not None else metric.measure.value


@part
class StopRule:
    """When it ends, whatever was found by then."""

    max_days: float = 28.0
    """After so many days."""
    max_units: int | None = None
    """When so many units have met an arm, all arms together."""
    when_decided: bool = True
    """As soon as every arm is decided."""
    futility: bool = True
    """An arm that surely gains less than `minimum_effect` is decided, too."""


@part
class ExperimentPlan:
    """One experiment, as its file says."""

    name: str
    """Of this experiment and no other: a-z, 0-9 and -, 40 characters at most."""
    model: str
    """Whose versions meet."""
    hypothesis: str
    """What is believed, and why: one sentence for whoever reads the result."""
    arms: tuple[ExperimentArm, ...]
    """Two to eight; the first is the control, which is the champion."""
    objective: Objective
    """What decides."""
    guardrails: tuple[Guardrail, ...] = ()
    """What must not get worse. One that surely does ends the experiment."""
    holdback: float = 0.0
    """Share of the traffic that stays with the champion and takes no part."""
    unit: Unit = Unit.ENTITY
    """What meets one arm and is counted once."""
    stop: StopRule = StopRule()  # frozen
    """When it ends."""
    strata: str | None = None
    """An input with categories: units are compared within them, as they first came."""
    covariate: str | None = None
    """A numeric input, as a unit first came: what it explains of the objective is taken away (CUPED)."""
    before_days: float | None = None
    """In place of `covariate`: the same measure of the same entity in so many days before the experiment."""
    a_a: bool = False
    """Every arm is the champion: nothing may be found, and what is found is a fault of the apparatus."""
    false_decision_rate: float = 0.05
    """Chance that one is decided falsely: over all arms, measures and looks together."""
    sample_ratio_alpha: float = 0.01
    """Chance that a right sample ratio is ever doubted."""
    owner: Role = Role.PRODUCT
    """Who is told what was found."""

    @property
    def control(self) -> ExperimentArm:
        return self.arms[0]

    @property
    def treatments(self) -> tuple[ExperimentArm, ...]:
        return self.arms[1:]
