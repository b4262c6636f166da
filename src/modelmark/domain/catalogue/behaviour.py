"""What people expect of a model whatever its accuracy: statements about how an edit of a row moves its score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum

from modelmark.domain.catalogue.condition import Condition
from modelmark.domain.strict import Scalar, part


class BehaviourKind(StrEnum):
    """Kinds of metamorphic tests (Ribeiro et al. 2020, CheckList: invariance and directional expectation)."""

    MONOTONE = "monotone"
    INVARIANT = "invariant"
    DIRECTIONAL = "directional"
    UNIT_CHANGE = "unit_change"
    NULL_SWAP = "null_swap"


class Effect(StrEnum):
    """Which way a score must go."""

    INCREASE = "increase"
    DECREASE = "decrease"

    @property
    def sign(self) -> int:
        return 1 if self is Effect.INCREASE else -1


@part
class Behaviour:
    """One behavioural test: a row is edited, and the score must answer as stated.

    monotone: raising `column` by `steps` never moves the score against `direction`. invariant: other `values` of
    `column` move the score by at most `tolerance`. directional: `change` and `add` move the score in `direction` by more
    than `tolerance`. unit_change: `column` sent in another unit (value × factor + offset) is refused or flagged, or, with
    `twin`, gives the same answer when sent there instead. null_swap: null in `column` answers as the first of `values`
    does, or, without values, as the row itself does.
    """

    name: str
    """What is expected, in a few words; each name once."""
    kind: BehaviourKind
    """How the row is edited and what must follow."""
    column: str = ""
    """The input that is edited. Not for `directional`, which names its inputs in `change` and `add`."""
    direction: Effect | None = None
    """Which way the score must go; for `monotone` and `directional`."""
    steps: tuple[float, ...] = ()
    """Amounts added to the row's own value, each in a row of its own, for `monotone`; empty: a tenth, a half and the
    whole of the interquartile range in training."""
    values: tuple[Scalar, ...] = ()
    """For `invariant`: what is tried; empty: every known category, or five quantiles of training. For `null_swap`: the
    value that null must equal."""
    change: Mapping[str, Scalar] = field(default_factory=dict)
    """Inputs set to a value, for `directional`."""
    add: Mapping[str, float] = field(default_factory=dict)
    """Amounts added to inputs, for `directional`."""
    twin: str | None = None
    """The input that holds the same quantity in the other unit, for `unit_change`; both must be nullable."""
    factor: float = 1.0
    """Other unit = value × factor + offset."""
    offset: float = 0.0
    """Other unit = value × factor + offset."""
    score_of: bool | int | str | None = None
    """The class whose probability is meant; needed for several classes with `monotone` and `directional`."""
    where: tuple[Condition, ...] = ()
    """Only rows that meet all of these are tested."""
    tolerance: float = 0.0
    """How far the score may move the wrong way, in units of the score."""
    max_failure_rate: float = 0.0
    """Largest share of rows that may behave otherwise; a failure must be sure, at the interval's lower end."""
    accepted: bool = False
    """A person has read this and means it. Only accepted tests are run."""
