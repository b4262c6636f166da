"""Does the converted model decide as the original did? Judged on what registration measured on every holdout row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from modelmark.domain.errors import NotEnoughData
from modelmark.domain.evidence import Bound, Check, Limit
from modelmark.domain.gate_settings import ParityGate
from modelmark.gates.case import Case
from modelmark.gates.gate import Measurement, Progress


@dataclass(frozen=True, slots=True)
class ParityCheck:
    """Counts flipped decisions. A largest difference alone hides a flip and cries wolf over a rounding."""

    settings: ParityGate
    name: ClassVar[str] = "parity"
    alone: ClassVar[bool] = False
    quick: ClassVar[bool] = True

    def measure(self, case: Case, progress: Progress) -> Measurement:
        parity = case.version.parity
        if parity.rows < 1:
            raise NotEnoughData("the version was registered without comparing a single row")
        rate = parity.flipped / parity.rows
        check = Check(
            name="flipped decisions",
            measured=rate,
            estimate=rate,
            n=parity.rows,
            limit=Limit(bound=Bound.AT_MOST, value=self.settings.max_flipped_rate),
            sentence=f"The converted model decides differently on {parity.flipped:,} of {parity.rows:,} holdout rows "
            f"({rate:.3%}); up to {self.settings.max_flipped_rate:.3%} is allowed.",
        )
        return Measurement(
            checks=(check,),
            notes=(f"The largest difference of any score is {parity.max_difference:.2g}.",),
            looked_at={"artifact": case.version.components.artifact},
        )
