"""Why one row got its answer: what each column added, in a form that people and programs can read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from modelmark.domain.catalogue.gate_settings import ExplanationGate
from modelmark.domain.classes import class_text
from modelmark.domain.contract import Contract
from modelmark.domain.errors import Rejected, Unmeasured
from modelmark.domain.metrics import Task
from modelmark.domain.predictions.explanations import Method
from modelmark.explaining.attribution import Subject, owners, way_of
from modelmark.explaining.background import background
from modelmark.explaining.encoder import RowEncoder, Scores
from modelmark.explaining.graph_parts import Linear, glass_box, part_of
from modelmark.explaining.lime_weights import weights
from modelmark.stats.profile import SCORE, Reference

if TYPE_CHECKING:
    import pandas as pd

#: Answers that one explanation may ask of the model, and rows of its background.
EVALUATIONS: Final = 40_000
BACKGROUND: Final = 50
#: How many columns are named as reasons.
REASONS: Final = 4
#: How far what is added up may lie from the answer, in probability, or in spreads of a number.
TOLERANCE: Final = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What a column adds. error: its standard error, 0 where it is exact."""

    column: str
    value: float | str | None
    adds: float
    error: float

    @property
    def size(self) -> float:
        return abs(self.adds)


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalExplanation:
    """What is added up.

    of: the class whose probability is explained; None for a number. scale: of `base` and the parts: score, log-odds, votes.
    base and all parts add up to `total`, which gives the answer's `score`; both None for LIME, whose slopes add up to
    nothing. how: in words. exact: not sampled. parts: in contract order. reasons: the columns that pushed the answer most, the
    first the most, as COLUMN:raises or COLUMN:lowers.
    """

    method: Method
    of: str | None
    scale: str
    base: float | None
    total: float | None
    score: float
    how: str
    exact: bool
    parts: tuple[Part, ...]
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """One row of a version, ready to be explained. folder: of the version. scores: asks it, for a table of rows."""

    contract: Contract
    folder: Path
    reference: Reference
    scores: Scores

    def __call__(self, row: Mapping[str, Any], answered: Sequence[float], method: Method) -> LocalExplanation:
        """row: as it was sent. answered: the scores it got. The same row gets the same explanation.

        Raises Rejected for a method that this model or this row does not allow, Unmeasured where what is added up is not the
        answer.
        """
        subject = self._subject(row, answered)
        if method is Method.LIME:
            return self._lime(subject, row)
        self._require_same(subject)
        if method is Method.GLASS_BOX:
            return self._glass_box(subject, row)
        settings = ExplanationGate(background=BACKGROUND, max_evaluations=EVALUATIONS)
        way = way_of(self.folder, subject, settings, rows=1)
        found = way.explain(subject, 0)
        total = float(found.phi[0].sum() + found.base[0])
        self._require_additive(subject, float(way.link(np.array([total]))[0]))
        return self._explanation(
            Method.SHAP, subject, row, found.phi[0], found.error[0], scale=way.scale, base=float(found.base[0]), total=total,
            how=f"Shapley values by {way.words}, against {BACKGROUND} rows made up from what each column was in training",
            exact=way.exact,
        )  # fmt: skip

    def _subject(self, row: Mapping[str, Any], answered: Sequence[float]) -> Subject:
        import pandas as pd

        known = background(self.contract, self.reference, BACKGROUND)
        frame = pd.DataFrame([{item.name: row.get(item.name) for item in self.contract.inputs}], dtype=object)
        encoder = RowEncoder(self.contract, known, frame)
        output = self._output(answered)
        return Subject(
            encoder=encoder, ask=encoder.asker(self.scores, output), output=output, rows=encoder.encode(frame),
            frame=_typed(frame, encoder), background=encoder.encode(known), background_frame=_typed(known, encoder),
            scores=np.array([answered[output]]), spread=self._spread(),
        )  # fmt: skip

    def _output(self, answered: Sequence[float]) -> int:
        """The positive class; of several classes the likeliest; the value."""
        task = self.contract.model.task
        if task is Task.REGRESSION:
            return 0
        outputs = self.contract.outputs
        if task is Task.BINARY:
            return len(outputs.classes) - 1 if outputs.positive is None else outputs.classes.index(outputs.positive)
        return int(np.argmax(answered))

    def _spread(self) -> float:
        """Of a number: half of what lies between the first and the last edge of the answers seen in training."""
        edges = self.reference.columns[SCORE].edges
        if self.contract.model.task is not Task.REGRESSION or len(edges) < 2:
            return 1.0
        return float(edges[-1] - edges[0]) / 2 or 1.0

    def _require_same(self, subject: Subject) -> None:
        """What is explained must be what was answered."""
        now = float(subject.ask(subject.rows)[0])
        if not abs(now - subject.scores[0]) / subject.spread <= TOLERANCE:
            raise Unmeasured(
                f"the version answers {now:.6g} to this row now, and {subject.scores[0]:.6g} was answered", code="ANSWERS_DIFFER",
                limit=f"{TOLERANCE:g} apart", hint="modelmark replay ID says what differs",
            )  # fmt: skip

    def _require_additive(self, subject: Subject, reached: float) -> None:
        off = abs(reached - subject.scores[0]) / subject.spread
        if not off <= TOLERANCE:
            raise Unmeasured(
                f"what the columns add comes to {reached:.6g}, and the answer was {subject.scores[0]:.6g}",
                code="NOT_ADDITIVE", limit=f"{TOLERANCE:g} apart", hint="ask for method lime",
            )  # fmt: skip

    def _lime(self, subject: Subject, row: Mapping[str, Any]) -> LocalExplanation:
        whole = subject.background[np.isfinite(subject.background).all(axis=1)]
        gap = next((n for n, v in zip(subject.encoder.names, subject.rows[0], strict=True) if not np.isfinite(v)), None)
        if gap is not None or len(whole) < 10:
            raise Rejected(
                "LIME explains no row with a null, and needs a background without", code="CANNOT_EXPLAIN",
                field=gap, limit="shap", hint="ask for method shap, which takes nulls as they are",
            )  # fmt: skip
        self._require_same(subject)
        encoder = subject.encoder
        slopes = weights(
            lambda rows: subject.ask(encoder.nearest(rows)), subject.rows, whole, encoder.names, encoder.values
        )[0]
        off = (subject.rows[0] - whole.mean(axis=0)) / np.maximum(whole.std(axis=0), 1e-12)  # LIME standardises
        off[sorted(encoder.values)] = 1.0  # LIME's weight of a text column is that of its own value
        return self._explanation(
            Method.LIME, subject, row, slopes * off, np.zeros(len(off)), scale="score", base=None, total=None,
            how="LIME's local slopes (400 seeded samples) times how far each value is from the middle of its column",
            exact=False,
        )  # fmt: skip

    def _glass_box(self, subject: Subject, row: Mapping[str, Any]) -> LocalExplanation:
        part = part_of(self.folder, subject.output) if _is_glass(self.folder) else None
        features = None if part is None else part.features(subject.frame)[0]
        owner = None if part is None or features is None else owners(part, subject, len(features))
        if part is None or features is None or owner is None or not isinstance(part.model, Linear):
            raise Rejected(
                "a person cannot read this model term by term", code="CANNOT_EXPLAIN", field="method",
                limit="shap, lime", hint="only a linear model behind plain preparation is a sum of terms",
            )  # fmt: skip
        terms = part.model.coefficients * features
        adds = np.zeros(len(subject.encoder.names))
        np.add.at(adds, owner[owner >= 0], terms[owner >= 0])
        base = float(part.model.intercept + terms[owner < 0].sum())
        total = base + float(adds.sum())
        links: tuple[tuple[str, Callable[[float], float]], ...] = (
            ("score", lambda x: x), ("log-odds", lambda x: float(1 / (1 + np.exp(-x)))),
        )  # fmt: skip
        scale, reached = min(
            ((name, link(total)) for name, link in links), key=lambda one: abs(one[1] - subject.scores[0])
        )
        self._require_additive(subject, reached)
        return self._explanation(
            Method.GLASS_BOX, subject, row, adds, np.zeros(len(adds)), scale=scale, base=base, total=total,
            how="the model's own terms: each coefficient times what preparation makes of the value", exact=True,
        )  # fmt: skip

    def _explanation(
        self, method: Method, subject: Subject, row: Mapping[str, Any], adds: NDArray[np.float64], error: NDArray[np.float64],
        **more: Any,
    ) -> LocalExplanation:  # fmt: skip
        names = subject.encoder.names
        parts = tuple(
            Part(column=name, value=row.get(name), adds=float(a), error=float(e))
            for name, a, e in zip(names, adds, error, strict=True)
        )
        ordered = sorted((part for part in parts if part.adds), key=lambda part: (-abs(part.adds), part.column))
        regression = self.contract.model.task is Task.REGRESSION
        return LocalExplanation(
            method=method, of=None if regression else class_text(self.contract.outputs.classes[subject.output]),
            score=float(subject.scores[0]), parts=parts,
            reasons=tuple(f"{p.column}:{'raises' if p.adds > 0 else 'lowers'}" for p in ordered[:REASONS]), **more,
        )  # fmt: skip


def _typed(frame: pd.DataFrame, encoder: RowEncoder) -> pd.DataFrame:
    """Numbers as float64, as a graph is fed with them."""
    numbers = [
        name for place, name in enumerate(encoder.names) if place not in encoder.values or place in encoder.coded
    ]
    return frame.astype(dict.fromkeys(numbers, "float64"))


def _is_glass(folder: Path) -> bool:
    try:
        return glass_box(folder)
    except FileNotFoundError:  # no graph
        return False
