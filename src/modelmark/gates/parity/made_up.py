"""The served answers of rows that were made up to part model and conversion, and the labels of the author's own `predict`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modelmark.domain.catalogue.gate_settings import ParityGate
from modelmark.domain.classes import positive_index
from modelmark.domain.contract import Contract
from modelmark.domain.evidence import Bound, Check, Limit, Table
from modelmark.domain.metrics import Task
from modelmark.domain.ports import Predictor
from modelmark.domain.version import ParitySample, Probe
from modelmark.gates.common.asking import Array, ask, decisions
from modelmark.gates.gate import GateProgress
from modelmark.gates.parity.shares import share_check
from modelmark.stats.decisions import decided

_SHOWN = 20
_HALF = 0.5  # where a classifier without a cut-off of its own decides


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeUp:
    """Made-up rows as the original and the endpoint's own code answer them. All have an element each.

    original, served: scores, NaN where that side refuses the row. spread: of the original's answers on the holdout.
    """

    probes: Sequence[Probe]
    original: Array
    served: Array
    spread: float

    @property
    def both(self) -> NDArray[np.bool_]:
        return np.asarray(np.isfinite(self.original).all(axis=1) & np.isfinite(self.served).all(axis=1))

    def parted(self, settings: ParityGate, contract: Contract) -> NDArray[np.bool_]:
        """Rows that both answer, and decide otherwise; for regression, that moved."""
        if contract.model.task is Task.REGRESSION:
            return np.asarray(self.both & (np.abs(self.original - self.served)[:, 0] > settings.moved * self.spread))
        return np.asarray(self.both & (decisions(self.original, contract) != decisions(self.served, contract)))


def asked(sample: ParitySample, predictor: Predictor, contract: Contract, progress: GateProgress) -> MadeUp | None:
    """None where registration made none up: an ONNX file is its own original."""
    if not sample.probes:
        return None
    width = len(sample.original[0])
    original = np.array([one.original or (np.nan,) * width for one in sample.probes], dtype=np.float64)
    served = ask(predictor, [json.loads(one.row) for one in sample.probes], contract, progress).scores
    known = np.array(sample.original, dtype=np.float64)
    return MadeUp(probes=sample.probes, original=original, served=served, spread=float(np.std(known)) or 1.0)


def checks(found: MadeUp, settings: ParityGate, contract: Contract) -> Iterator[Check]:
    """One for each family of rows, and one for rows that the original refuses."""
    parted, families = found.parted(settings, contract), np.array([one.family for one in found.probes])
    for family in dict.fromkeys(families.tolist()):
        of_it = (families == family) & found.both
        if of_it.any():
            yield _family(str(family), found, parted & of_it, of_it, settings)
    refused = ~np.isfinite(found.original).all(axis=1)
    if refused.any():
        answered = refused & np.isfinite(found.served).all(axis=1)
        names = ", ".join(dict.fromkeys(families[answered].tolist()))
        way = f" ({names}): let the contract refuse them too (`on_unseen: reject`, `nullable: false`)" if names else ""
        yield Check(
            name="rows that the original refuses",
            measured=float(answered.sum()),
            n=int(refused.sum()),
            limit=Limit(bound=Bound.AT_MOST, value=0),
            sentence=f"Of {int(refused.sum()):,} made-up rows that the original model refuses with an error, "
            f"{int(answered.sum()):,} would be answered{way}.",
        )


def _family(
    name: str, found: MadeUp, parted: NDArray[np.bool_], of_it: NDArray[np.bool_], settings: ParityGate
) -> Check:
    count, n = int(parted.sum()), int(of_it.sum())
    farthest = float(np.abs(found.original[of_it] - found.served[of_it]).max())
    said = f"Of {n:,} made-up rows ({name}), {count:,} are decided otherwise than by the original model"
    more = f" The largest difference of a score is {farthest:.2g}."
    return share_check(f"made-up rows: {name}", count, n, settings.max_flipped_rate, said, more)


def label_check(
    sample: ParitySample, served: Array, places: Sequence[int], settings: ParityGate, contract: Contract
) -> Check | None:
    """Is the label that is served the one that the author's `predict` gives? served: of the sampled rows at `places`."""
    if contract.model.task is Task.REGRESSION or not sample.labels:
        return None
    said = np.array([sample.labels[at] for at in places], dtype=np.int64)
    known = (said >= 0) & np.isfinite(served).all(axis=1)
    if not known.any():
        return None
    said, scores = said[known], served[known]
    other, n = decisions(scores, contract) != said, len(said)
    purpose, why = _explained(other, said, scores, sample, contract)
    count = int((other & ~purpose).sum())
    asks = f"On {count:,} of {n:,} sampled holdout rows the served label is not what the model's own `predict` says"
    return share_check("the served label is the author's", count, n, settings.max_flipped_rate, asks, why)


def _explained(
    other: NDArray[np.bool_], said: NDArray[np.int64], scores: Array, sample: ParitySample, contract: Contract
) -> tuple[NDArray[np.bool_], str]:
    """Which rows differ because the contract means it, and what else explains a difference."""
    nobody = np.zeros(len(said), dtype=bool)
    positive = positive_index(contract.outputs.classes, contract.outputs.positive)
    if contract.model.task is not Task.BINARY or positive is None:
        return nobody, ""
    agreed = contract.outputs.threshold
    if sample.cutoff is not None and agreed != sample.cutoff:
        return nobody, f" The model's own cut-off is {sample.cutoff!r}, `outputs.threshold` is {agreed!r}."
    if sample.cutoff is None and agreed != _HALF:
        purpose = other & (decided(scores, positive=positive, threshold=_HALF) == said)
        count = int(purpose.sum())
        return purpose, f" Another {count:,} differ on purpose: the contract decides at {agreed:g}." if count else ""
    tied = int((other & (scores[:, positive] == agreed)).sum())
    why = f" On {tied:,} the score is {agreed:g} exactly, where the contract decides for the positive class and `predict` does not."
    return nobody, why if tied else ""


def table(found: MadeUp, settings: ParityGate, contract: Contract) -> tuple[Table, ...]:
    """The first made-up rows that part the two, of every family some."""
    parted = np.flatnonzero(found.parted(settings, contract)).tolist()
    if not parted:
        return ()
    first: dict[str, list[int]] = {}
    for at in parted:
        first.setdefault(found.probes[at].family, []).append(at)
    each = max(1, _SHOWN // len(first))
    shown = [at for places in first.values() for at in places[:each]]
    return (
        Table(
            title="Made-up rows that are decided otherwise",
            columns=("family", "row", "original", "served"),
            rows=tuple(
                (
                    found.probes[at].family,
                    found.probes[at].row[:300],
                    float(found.original[at, -1]),
                    float(found.served[at, -1]),
                )
                for at in shown
            ),
        ),
    )
