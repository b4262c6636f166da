"""Which rows of a case are explained, against which of its training rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from modelmark.contract.table import check_table, violating_rows
from modelmark.domain.catalogue.gate_settings import ExplanationGate
from modelmark.domain.classes import positive_of
from modelmark.domain.errors import NotEnoughData
from modelmark.domain.metrics import Task
from modelmark.explaining.attribution import Subject
from modelmark.explaining.encoder import RowEncoder
from modelmark.gates.case import Case, score


def subject_of(case: Case, settings: ExplanationGate) -> Subject:
    """Seeded samples of the holdout and of train. Raises NotEnoughData where fewer than ten rows got an answer."""
    answered = np.flatnonzero(np.isfinite(case.scores).all(axis=1))
    if len(answered) < 10 or len(case.train) < 10:
        raise NotEnoughData(f"{len(answered)} holdout rows got an answer; ten are the least")
    rng = np.random.default_rng(0)
    some = np.sort(rng.choice(answered, min(settings.rows, len(answered)), replace=False))
    frame = case.holdout.iloc[some].reset_index(drop=True)
    usable = _answerable(case)
    back = np.sort(rng.choice(usable, min(settings.background, len(usable)), replace=False))
    known = case.train.iloc[back].reset_index(drop=True)
    encoder, output = RowEncoder(case.contract, case.train, case.holdout), output_of(case)
    regression = case.contract.model.task is Task.REGRESSION
    return Subject(
        encoder=encoder,
        ask=encoder.asker(lambda rows: score(case.predictor, rows, case.contract, set()), output),
        output=output,
        rows=encoder.encode(frame),
        frame=frame,
        background=encoder.encode(known),
        background_frame=known,
        scores=case.scores[some, output],
        spread=float(np.std(case.scores[answered, output])) or 1.0 if regression else 1.0,
    )


def _answerable(case: Case) -> NDArray[np.int64]:
    bad = set(violating_rows(check_table(case.train, case.contract)))
    return np.array([i for i in range(len(case.train)) if i not in bad], dtype=np.int64)


def output_of(case: Case) -> int:
    """The positive class; of several classes the one decided most often; the value."""
    if case.contract.model.task is Task.REGRESSION:
        return 0
    if case.contract.model.task is Task.BINARY:
        return positive_of(case.contract)
    said = np.argmax(np.nan_to_num(case.scores), axis=1)
    return int(np.bincount(said).argmax())
