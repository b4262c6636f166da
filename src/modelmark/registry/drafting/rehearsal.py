"""The conversion tried on a few rows, so that whoever drafts a contract hears at once what would stand in its way."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from modelmark.contract.table import agreed_table
from modelmark.domain.contract import Contract
from modelmark.domain.errors import ModelmarkError, Rejected, TimedOut
from modelmark.registry import sandbox
from modelmark.registry.convert import convert

ROWS: Final = 200
_SECONDS: Final = 60.0
#: What an edit of the draft can mend: columns to delete, classes to order, types to change.
_OF_THE_DRAFT: Final = frozenset({"COLUMNS_DIFFER", "CLASSES_DIFFER", "MODEL_FAILED"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """rows: converted and compared; flipped: decisions that came out otherwise. obstacle: why there was nothing to compare."""

    rows: int = 0
    flipped: int = 0
    obstacle: ModelmarkError | None = None


def rehearse(source: Path, contract: Contract, holdout: Path) -> Rehearsal:
    """Convert as `register` will, with `ROWS` rows spread over the holdout.

    What an edit of the contract could mend, and what took longer than a minute, is the obstacle; every other refusal is
    raised, because no edit helps.
    """
    rows = agreed_table(holdout, contract, [item.name for item in contract.inputs])
    few = rows.iloc[:: max(1, len(rows) // ROWS)].head(ROWS).reset_index(drop=True)
    try:
        found = convert(source, contract, few, limits=sandbox.Limits(seconds=_SECONDS), progress=lambda _: None)
    except TimedOut as error:
        return Rehearsal(obstacle=error)
    except Rejected as error:
        if error.code not in _OF_THE_DRAFT:
            raise
        return Rehearsal(obstacle=error)
    return Rehearsal(rows=found.parity.rows, flipped=found.parity.flipped)
