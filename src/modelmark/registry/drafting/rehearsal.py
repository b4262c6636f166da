"""The conversion tried on a few rows, so that whoever drafts a contract hears at once what would stand in its way."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from modelmark.contract.table import agreed_table, as_numbers
from modelmark.domain.contract import Contract, HowItRuns
from modelmark.domain.errors import ModelmarkError, NotEnoughData, Rejected, TimedOut
from modelmark.domain.metrics import Task
from modelmark.registry import sandbox
from modelmark.registry.convert import Conversion, convert
from modelmark.stats.intervals import metric_interval
from modelmark.stats.metrics import Array, judged

if TYPE_CHECKING:
    import pandas as pd

ROWS: Final = 2000
_SECONDS: Final = 60.0
_CONFIDENCE: Final = 0.95
#: What an edit of the draft can mend: columns to delete, classes to order, types to change.
_OF_THE_DRAFT: Final = frozenset({"COLUMNS_DIFFER", "CLASSES_DIFFER", "MODEL_FAILED"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """The original's loss on a holdout of so many rows, of which so many were asked. share: how unsure it is, as a
    share of it: the nearer end of its 95% interval, brought to all rows."""

    estimate: float
    share: float
    asked: int
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """rows: answered and compared; flipped: decisions that came out otherwise. run: how the model is proposed to run; instead: why
    not converted. loss: of a regression, where it could be measured. obstacle: why there was nothing to compare."""

    rows: int = 0
    flipped: int = 0
    run: HowItRuns = HowItRuns.CONVERTED
    instead: str = ""
    loss: Loss | None = None
    obstacle: ModelmarkError | None = None


def rehearse(source: Path, contract: Contract, holdout: Path) -> Rehearsal:
    """Convert as `register` will, with `ROWS` rows at most, spread over the holdout; where no conversion works, or one answers
    otherwise, let the original answer as itself.

    What an edit of the contract could mend, and what took longer than a minute, is the obstacle; every other refusal is
    raised, because no edit helps.
    """
    rows = agreed_table(holdout, contract, [*(item.name for item in contract.inputs), contract.data.target])
    few = rows.iloc[:: max(1, len(rows) // ROWS)].head(ROWS).reset_index(drop=True)
    try:
        found, instead = _chosen(source, contract, few)
    except TimedOut as error:
        return Rehearsal(obstacle=error)
    except Rejected as error:
        if error.code not in _OF_THE_DRAFT:
            raise
        return Rehearsal(obstacle=error)
    loss = _loss(contract, few, found.original, len(rows)) if contract.model.task is Task.REGRESSION else None
    run = HowItRuns.ISOLATED if instead else HowItRuns.CONVERTED
    return Rehearsal(rows=found.parity.rows, flipped=found.parity.flipped, run=run, instead=instead, loss=loss)


def _chosen(source: Path, contract: Contract, few: pd.DataFrame) -> tuple[Conversion, str]:
    """The conversion, or the original as itself and why. Raises what conversion does where the original cannot answer either."""

    def tried(run: HowItRuns) -> Conversion:
        asked = replace(contract, model=replace(contract.model, run=run))
        return convert(source, asked, few, limits=sandbox.Limits(seconds=_SECONDS), progress=lambda _: None)

    try:
        found = tried(HowItRuns.CONVERTED)
    except (Rejected, TimedOut) as refused:
        if isinstance(refused, Rejected) and refused.code != "CONVERSION_FAILED":
            raise
        try:
            return tried(HowItRuns.ISOLATED), refused.message
        except (Rejected, TimedOut):
            raise refused from None
    if not found.parity.flipped or source.suffix.lower() == ".onnx":
        return found, ""
    itself = tried(HowItRuns.ISOLATED)
    why = f"its conversion answers {found.parity.flipped:,} of {found.parity.rows:,} rows otherwise"
    return (itself, why) if itself.parity.flipped < found.parity.flipped else (found, "")


def _loss(contract: Contract, few: pd.DataFrame, answers: Array, rows: int) -> Loss | None:
    """None where too few rows have a truth, or where the loss is 0."""
    import numpy as np

    truth = as_numbers(few[contract.data.target])
    known = np.isfinite(truth) & np.isfinite(answers).all(axis=1)
    if not known.any():
        return None
    try:
        found = metric_interval(contract.objective.metric, judged(contract, truth[known], answers[known]), _CONFIDENCE)
    except NotEnoughData:
        return None
    # The upper end reckons with losses that nobody saw, which live labels would have as well.
    reach = min(found.high - found.estimate, found.estimate - found.low) * (len(few) / rows) ** 0.5
    return (
        Loss(estimate=found.estimate, share=reach / found.estimate, asked=len(few), rows=rows)
        if found.estimate
        else None
    )
