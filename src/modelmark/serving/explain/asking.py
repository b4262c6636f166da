"""One row of one version, explained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from modelmark.contract.rows import Rows
from modelmark.contract.table import as_numbers, as_texts
from modelmark.domain.errors import Rejected
from modelmark.domain.predictions.explanations import Method
from modelmark.domain.version import REFERENCE
from modelmark.explaining.local import Explained, LocalExplanation
from modelmark.serving.models import LoadedModel
from modelmark.stats.profile import Reference

#: Rows of one run of the model.
RUN_ROWS: Final = 2048


def explained(
    version: LoadedModel, folder: Path, row: Rows, scores: Sequence[float], method: Method
) -> LocalExplanation:
    """folder: of the version. row: one, as it was received. Raises as `Explained` does."""
    codec = version.codec
    numbers = np.frombuffer(row.numbers, "<f8").tolist()
    named: dict[str, Any] = {
        **{
            column.name: None if value != value else value for column, value in zip(codec.numeric, numbers, strict=True)
        },
        **{column.name: text for column, text in zip(codec.textual, row.texts, strict=True)},
    }
    reference = Reference.from_bytes((folder / REFERENCE).read_bytes())
    ask = Explained(
        contract=version.contract, folder=folder, reference=reference, scores=lambda frame: _scores(version, frame)
    )
    return ask(named, scores, method)


def _scores(version: LoadedModel, frame: Any) -> NDArray[np.float64]:
    """What the version answers to a table of rows that its contract lets through. Raises Rejected for another."""
    codec = version.codec
    numbers = np.empty((len(frame), len(codec.numeric)), "<f8")
    for place, column in enumerate(codec.numeric):
        numbers[:, place] = as_numbers(frame[column.name])
    words: list[str | None] = [None] * (len(frame) * len(codec.textual))
    for place, text in enumerate(codec.textual):
        words[place :: len(codec.textual)] = as_texts(frame[text.name], text.categories or ()).tolist()
    checked = codec.check([Rows(len(frame), numbers.tobytes(), words)])
    if checked.refused:
        error = checked.refused[0]
        raise Rejected(
            f"a row that was made up to explain this one is not allowed: {error.message}", code="CANNOT_EXPLAIN",
            field=error.field, limit=error.limit,
        )  # fmt: skip
    width = len(codec.textual)
    found = [
        version.execution.run(checked.numbers[at : at + RUN_ROWS], checked.texts[at * width : (at + RUN_ROWS) * width])
        for at in range(0, len(frame), RUN_ROWS)
    ]
    return np.concatenate(found)
