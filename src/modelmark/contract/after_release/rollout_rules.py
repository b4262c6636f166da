"""A rollout's settings in their ranges, and stages that lead somewhere."""

from __future__ import annotations

from collections.abc import Iterator

from modelmark.contract.ranges import broken_ranges
from modelmark.contract.rule_violation import RuleViolation
from modelmark.domain.contract import Contract
from modelmark.domain.rollouts.settings import (
    MARGIN_RANGES,
    MOST_STAGES,
    ROLLOUT_RANGES,
    STAGE_RANGES,
    Rollout,
    StageKind,
)

_HOUR = 60.0


def rollout_violations(contract: Contract) -> Iterator[RuleViolation]:
    """Nothing for a contract without a rollout."""
    rollout = contract.rollout
    if rollout is None:
        return
    yield from broken_ranges(rollout, ROLLOUT_RANGES, ("rollout",))
    yield from broken_ranges(rollout.margins, MARGIN_RANGES, ("rollout", "margins"))
    if not 1 <= len(rollout.stages) <= MOST_STAGES:
        yield RuleViolation(("rollout", "stages"), f"{len(rollout.stages)} stages", f"1 to {MOST_STAGES} of them")
    for i, stage in enumerate(rollout.stages):
        yield from broken_ranges(stage, STAGE_RANGES, ("rollout", "stages", i))
        if stage.least_minutes > stage.deadline_hours * _HOUR:
            allowed = f"at most the {stage.deadline_hours:g} hours until its deadline"
            yield RuleViolation(("rollout", "stages", i, "least_minutes"), f"{stage.least_minutes:g}", allowed)
    yield from _shares(rollout)
    yield from _labels(contract, rollout)


def _shares(rollout: Rollout) -> Iterator[RuleViolation]:
    """Shadows take none, and stand first; each canary takes more than the one before."""
    before = 0.0
    for i, stage in enumerate(rollout.stages):
        path = ("rollout", "stages", i)
        if stage.kind is StageKind.SHADOW:
            if stage.share is not None:
                yield RuleViolation((*path, "share"), f"{stage.share:g}", "nothing; a shadow answers nobody")
            if before:
                yield RuleViolation((*path, "kind"), "a shadow after a canary", "shadows first, then canaries")
        elif stage.share is None or not before < stage.share < 1:
            found = "nothing" if stage.share is None else f"{stage.share:g}"
            yield RuleViolation((*path, "share"), found, f"above {before:g} and below 1")
        else:
            before = stage.share


def _labels(contract: Contract, rollout: Rollout) -> Iterator[RuleViolation]:
    """The last stage must be able to see the labels that it waits for."""
    delay = contract.labels.expected_delay_hours
    if rollout.margins.quality is None or delay is None or not rollout.stages:
        return
    last = rollout.stages[-1]
    if delay >= last.deadline_hours:
        path = ("rollout", "stages", len(rollout.stages) - 1, "deadline_hours")
        allowed = f"more than the {delay:g} hours that labels take, or rollout.margins.quality: null"
        yield RuleViolation(path, f"{last.deadline_hours:g}", allowed)
