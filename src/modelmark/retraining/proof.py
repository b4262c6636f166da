"""Is the new model better? Every gate passed, and on rows later than both learned from it surely beats the champion."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from modelmark.domain.evidence import Check, Evidence, Verdict

HOLDOUT: Final = "holdout"
AGAINST: Final = "against_the_champion"


class Outcome(StrEnum):
    """What becomes of a challenger. All but the first are kept as evidence, and not released."""

    BETTER = "better"
    NOT_BETTER = "not surely better"
    REFUSED = "refused"
    CANNOT_TELL = "cannot tell"
    SAME = "the same"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """gain: estimate and interval of the paired gain over the champion, where it was measured."""

    outcome: Outcome
    sentence: str
    gain: tuple[float, float, float] | None = None
    rows: int = 0


def judge(evidence: Iterable[Evidence], verdicts: Mapping[str, Verdict]) -> Proof:
    """evidence: of the challenger, made on the later rows. verdicts: of every gate that its contract asks."""
    check = next((item.check(AGAINST) for item in evidence if item.gate == HOLDOUT), None)
    gain = _gain(check)
    rows = (check.n or 0) if check is not None else 0
    failed = sorted(gate for gate, verdict in verdicts.items() if verdict is Verdict.FAIL)
    if failed:
        said = f"{', '.join(failed)} refused it" + (f"; {check.sentence}" if check is not None else "")
        return Proof(outcome=Outcome.REFUSED, sentence=said, gain=gain, rows=rows)
    unsure = sorted(gate for gate, verdict in verdicts.items() if verdict is Verdict.CANNOT_TELL)
    if gain is None or check is None:
        return Proof(outcome=Outcome.CANNOT_TELL, sentence="it was not measured against the champion", rows=rows)
    if unsure:
        said = f"{', '.join(unsure)} could not measure; {check.sentence}"
        return Proof(outcome=Outcome.CANNOT_TELL, sentence=said, gain=gain, rows=rows)
    outcome = Outcome.BETTER if gain[1] > 0 else Outcome.NOT_BETTER
    return Proof(outcome=outcome, sentence=check.sentence, gain=gain, rows=rows)


def _gain(check: Check | None) -> tuple[float, float, float] | None:
    if check is None or check.estimate is None or check.low is None or check.high is None:
        return None
    return (check.estimate, check.low, check.high)
