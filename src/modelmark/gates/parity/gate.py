"""Does the converted model decide as the original did, and does the serving path answer as both did?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from modelmark.contract.table import rows_of
from modelmark.domain.catalogue.gate_settings import ParityGate
from modelmark.domain.contract import Contract, Policy
from modelmark.domain.errors import NotEnoughData, Unmeasured
from modelmark.domain.evidence import Bound, Check, Limit, Table
from modelmark.domain.metrics import Task
from modelmark.domain.version import ONNX_FILE, PARITY, ParitySample
from modelmark.gates.case import Case
from modelmark.gates.common.asking import Array, Row, ask, decisions
from modelmark.gates.gate import GateProgress, Measurement
from modelmark.gates.parity import made_up
from modelmark.gates.parity.shares import share_check
from modelmark.seal.digests import digest_bytes
from modelmark.seal.values import decode
from modelmark.stats.rates import clopper_pearson
from modelmark.stats.rounding import ROUNDING, distance

_SHOWN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """Sampled rows as registration and as serving answered them. places: in the holdout. All arrays have a row each."""

    places: NDArray[np.int64]
    rows: list[Row]
    original: Array
    converted: Array
    served: Array


@dataclass(frozen=True, slots=True)
class ParityCheck:
    """Counts flipped decisions. A largest difference alone hides a flip and cries wolf over a rounding."""

    settings: ParityGate
    name: ClassVar[str] = "parity"
    alone: ClassVar[bool] = False
    quick: ClassVar[bool] = True
    settled: ClassVar[bool] = True

    def measure(self, case: Case, progress: GateProgress) -> Measurement:
        parity = case.version.parity
        if parity.rows < 1:
            raise NotEnoughData("the version was registered without comparing a single row")
        rate, (low, high) = parity.flipped / parity.rows, clopper_pearson(parity.flipped, parity.rows)
        check = Check(
            name="flipped decisions",
            measured=low,  # one row next to a threshold is no conversion gone wrong, however few there are
            estimate=rate,
            low=low,
            high=high,
            n=parity.rows,
            confidence=0.95,
            limit=Limit(bound=Bound.AT_MOST, value=self.settings.max_flipped_rate),
            sentence=f"The converted model decides differently on {parity.flipped:,} of {parity.rows:,} holdout rows "
            f"({rate:.3%} [{low:.3%}, {high:.3%}]); up to {self.settings.max_flipped_rate:.3%} is allowed.",
        )
        sample = _sample(case)
        served = None if sample is None else _served(case, sample, progress)
        notes = [f"The largest difference of any score is {parity.max_difference:.2g}."]
        if served is None:
            notes.append("Registered before samples were kept, so serving was not compared: register again.")
        looked_at = {"artifact": case.version.components.artifact}
        if case.version.parity_sample is not None:
            looked_at["parity sample"] = case.version.parity_sample
        more, tables = self._made_up(case, sample, served, progress) if sample and served else ((), ())
        if sample is not None and not sample.labels and case.version.components.flavour != ONNX_FILE:
            notes.append("Registered before rows were made up to part the two: register again.")
        return Measurement(
            checks=(check, *(self._serving(served, case.contract) if served else ()), *more),
            notes=tuple(notes),
            tables=(*(_table(served) if served else ()), *tables),
            looked_at=looked_at,
        )

    def _made_up(
        self, case: Case, sample: ParitySample, served: Served, progress: GateProgress
    ) -> tuple[tuple[Check, ...], tuple[Table, ...]]:
        places = {place: at for at, place in enumerate(sample.rows)}
        label = made_up.label_check(
            sample, served.served, [places[place] for place in served.places.tolist()], self.settings, case.contract
        )
        found = made_up.asked(sample, case.predictor, case.contract, progress)
        checks = () if found is None else tuple(made_up.checks(found, self.settings, case.contract))
        tables = () if found is None else made_up.table(found, self.settings, case.contract)
        return (*([label] if label else ()), *checks), tables

    def _serving(self, found: Served, contract: Contract) -> Iterator[Check]:
        if not len(found.places):
            yield self._same(np.zeros(0, dtype=bool))
            return
        scale, unit = 1.0, ""
        if contract.model.task is Task.REGRESSION:
            scale, unit = float(np.std(found.original)) or 1.0, " standard deviations of the answers"
        else:
            flips = decisions(found.original, contract) != decisions(found.served, contract)
            words = "The serving path decides otherwise than the original model on"
            yield _rate("serving decides as the original", flips, self.settings.max_flipped_rate, words)
        moved = ~(np.max(np.abs(found.original - found.served), axis=1) <= self.settings.moved * scale)
        words = f"The served score differs by more than {self.settings.moved:g}{unit} from the original model's on"
        yield _rate("served scores are the original's", moved, self.settings.max_moved_rate, words)
        yield self._same(~(distance(found.converted, found.served) <= ROUNDING))

    def _same(self, other: np.ndarray) -> Check:
        """Beyond rounding, nothing excuses the same graph on the same row."""
        count, n = int(other.sum()), len(other)
        return Check(
            name="serving computes what was registered",
            measured=float(count) if n else None,
            n=n,
            limit=Limit(bound=Bound.AT_MOST, value=0),
            sentence=f"{count:,} of {n:,} sampled rows, sent as JSON, are answered otherwise than the same graph answered "
            "the table at registration."
            if n
            else "Could not measure: no sampled row keeps the contract without being changed by it.",
        )


def _rate(name: str, wrong: np.ndarray, limit: float, words: str) -> Check:
    count, n = int(wrong.sum()), len(wrong)
    return share_check(name, count, n, limit, f"{words} {count:,} of {n:,} sampled rows")


def _sample(case: Case) -> ParitySample | None:
    """Raises Unmeasured when the file is gone or is not the one that registration wrote."""
    if case.version.parity_sample is None:
        return None
    path = case.folder / PARITY
    data = path.read_bytes() if path.is_file() else b""
    if digest_bytes(data) != case.version.parity_sample:
        raise Unmeasured(f"{PARITY} is not what was written when {case.version.label} was registered", code="TAMPERED")
    return decode(ParitySample, data)


def _served(case: Case, sample: ParitySample, progress: GateProgress) -> Served:
    """Rows that the contract lets through as they are, asked as JSON would bring them."""
    changed = {row for violation in case.violations for row in violation.rows} | _imputed(case)
    kept = [i for i, place in enumerate(sample.rows) if place not in changed]
    places = np.array([sample.rows[i] for i in kept], dtype=np.int64)
    rows = json.loads(json.dumps(rows_of(case.holdout.iloc[places], case.contract)))
    width = len(sample.original[0]) if sample.original else 1
    return Served(
        places=places,
        rows=rows,
        original=np.array([sample.original[i] for i in kept], dtype=np.float64).reshape(-1, width),
        converted=np.array([sample.converted[i] for i in kept], dtype=np.float64).reshape(-1, width),
        served=ask(case.predictor, rows, case.contract, progress).scores,
    )


def _imputed(case: Case) -> set[int]:
    """Rows in which the contract puts a value in the place of null; the original model saw the null."""
    found: set[int] = set()
    for item in case.contract.inputs:
        if item.impute is not None and Policy.IMPUTE in (item.on_out_of_range, item.on_unseen):
            found |= set(np.flatnonzero(case.holdout[item.name].isna()).tolist())
    return found


def _table(found: Served) -> tuple[Table, ...]:
    """The sampled rows whose served answer is farthest from the original's."""
    far = ~(distance(found.converted, found.served) <= ROUNDING)
    if not far.any():
        return ()
    order = np.argsort(-np.nan_to_num(distance(found.original, found.served), nan=np.inf), kind="stable")
    rows = [i for i in order.tolist() if far[i]][:_SHOWN]
    return (
        Table(
            title="Sampled rows that are served otherwise",
            columns=("holdout row", "row", "original", "converted", "served"),
            rows=tuple(
                (int(found.places[i]), json.dumps(found.rows[i], ensure_ascii=False)[:300], *_last(found, i))
                for i in rows
            ),
        ),
    )


def _last(found: Served, i: int) -> tuple[float | None, ...]:
    scores = (found.original[i, -1], found.converted[i, -1], found.served[i, -1])
    return tuple(float(score) if np.isfinite(score) else None for score in scores)
