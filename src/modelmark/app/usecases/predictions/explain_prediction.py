"""Why a prediction of the past was what it was: the same version, asked about the same row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Event
from typing import Any

import msgspec

from modelmark.app.recorded import Recorded, received
from modelmark.domain.errors import ModelmarkError, Rejected
from modelmark.domain.ports import ArtifactStore
from modelmark.domain.predictions.explanations import Method
from modelmark.domain.predictions.prediction import ServedBy
from modelmark.domain.workspace import Workspace
from modelmark.explaining.local import LocalExplanation
from modelmark.seal.keys import Verifier
from modelmark.serving.answers import Answer
from modelmark.serving.explain.pool import Explanations
from modelmark.serving.models import LoadedModel


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedPrediction:
    """id: of the prediction; label: of the version that gave it."""

    id: str
    row: int
    model: str
    label: str
    explanation: LocalExplanation


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainPrediction:
    """pool: the process that explains; it is not this one, whose memory an explainer's libraries would double."""

    workspace: Workspace
    artifacts: ArtifactStore
    verifier: Callable[[], Verifier]
    pool: Explanations

    def __call__(self, id: str, row: int = 0, method: Method = Method.SHAP) -> ExplainedPrediction:
        """Raises as `Recorded` and `explaining.local` do, Rejected for a row that it has not."""
        past = Recorded(workspace=self.workspace, artifacts=self.artifacts, verifier=self.verifier)
        recorded = past.rows(id)
        if not 0 <= row < len(recorded):
            raise Rejected(
                f"{id} has no row {row}", code="OUT_OF_RANGE", field="row", limit=f"0 to {len(recorded) - 1}"
            )
        version = past.version(recorded)
        rows = received(version, recorded[row : row + 1]).received
        answer = Answer(
            id, version, str(recorded[row]["arm"]), ServedBy.MODEL, [], [], _scores(version, recorded[row]), b"", rows
        )
        told: list[bytes | ModelmarkError] = []
        heard = Event()

        def done(found: bytes | ModelmarkError) -> None:
            told.append(found)
            heard.set()

        self.pool.submit(answer, 0, method, done)
        heard.wait()
        if isinstance(told[0], ModelmarkError):
            raise told[0]
        explanation = msgspec.json.decode(told[0], type=LocalExplanation)
        return ExplainedPrediction(
            id=id, row=row, model=version.model, label=version.label, explanation=explanation
        )  # fmt: skip


def _scores(version: LoadedModel, row: Mapping[str, Any]) -> list[float]:
    """As they were answered; of two classes the table keeps one."""
    if version.decide.regression:
        return [float(row["value"])]
    if not version.decide.binary:
        return list(row["probabilities"])
    found = [1 - float(row["score"])] * 2
    found[version.decide.positive] = float(row["score"])
    return found
