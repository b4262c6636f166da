"""Golden requests: a version is ready on a machine once it answers there what it answered when it was registered.

Other processors, libraries and threads compute a little otherwise; a graph that meets something it was never tried with may
compute something else altogether, and no digest of its bytes can tell. Labels must be equal, scores within `ROUNDING`, which is
what the parity gate grants the same graph on the same row.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np

from modelmark.domain.classes import Decider
from modelmark.domain.contract import Contract
from modelmark.domain.errors import OutputInvalid
from modelmark.domain.ports import Predictor
from modelmark.domain.version import GOLDEN, GoldenRequest, GoldenRequests
from modelmark.stats.rounding import ROUNDING, distance

#: Requests of one version, and rows that are tried for them.
MOST: Final = 16
_TRIED: Final = 64
#: A label this near to another could change with the rounding of two scores.
_FAR: Final = 2 * ROUNDING


def recorded(predictor: Predictor, contract: Contract, rows: Iterable[str]) -> GoldenRequests | None:
    """The first rows (as JSON) that are answered, and whose label no rounding could change; None where there is none."""
    decide, kept = Decider(contract), list[str]()
    most = min(MOST, contract.serving.max_rows)
    for row in (row for row, _ in zip(rows, range(_TRIED), strict=False)):
        scores = _answered(predictor, row)
        if scores is not None and _is_sure(scores, decide):
            kept.append(row)
        if len(kept) == most:
            break
    if not kept:
        return None
    answers = predictor.predict([json.loads(row) for row in kept])
    return GoldenRequests(
        requests=tuple(
            GoldenRequest(row=row, scores=tuple(scores), label=_label(scores, decide))
            for row, scores in zip(kept, answers, strict=True)
        )
    )


def _answered(predictor: Predictor, row: str) -> Sequence[float] | None:
    """None for a row that is refused, and for one on which the model fails: the gate edge_cases judges those."""
    try:
        (scores,) = predictor.predict([json.loads(row)])
    except Exception:  # noqa: BLE001  # whatever a model's runtime raises
        return None
    return scores


def require_same(predictor: Predictor, contract: Contract, golden: GoldenRequests) -> None:
    """Raises OutputInvalid (GOLDEN_DIFFERS) at the first request that is answered otherwise than it was."""
    decide, then = Decider(contract), golden.requests
    answers = predictor.predict([json.loads(request.row) for request in then])
    apart = distance(np.array([request.scores for request in then]), np.array(answers))
    for at, (request, scores, far) in enumerate(zip(then, answers, apart.tolist(), strict=True)):
        if not far <= ROUNDING or _label(scores, decide) != request.label:
            raise OutputInvalid(
                f"golden request {at} is answered otherwise here than at registration, by {far:.2g}",
                code="GOLDEN_DIFFERS",
                field=GOLDEN,
                row=at,
                limit=f"equal labels, scores within {ROUNDING:g}",
                hint="compare this machine's processor and libraries with those of lock.txt",
            )


def _label(scores: Sequence[float], decide: Decider) -> int:
    return next(iter(decide(scores)), -1)


def _is_sure(scores: Sequence[float], decide: Decider) -> bool:
    moved = ([*scores[:at], score + by, *scores[at + 1 :]] for at, score in enumerate(scores) for by in (-_FAR, _FAR))
    return all(_label(other, decide) == _label(scores, decide) for other in moved)
