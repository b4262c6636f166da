"""A version of a model that stays where it is: what its server says and answers is kept, and held against it later."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from modelmark.domain.contract import Contract
from modelmark.domain.version import Signature
from modelmark.upstream import settings
from modelmark.upstream.asking import Golden, Upstream

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

#: Rows of one request, and golden ones among the first that are answered.
_ROWS: Final = 500
_GOLDEN: Final = 16


class FromUpstream:
    """Asks it on behalf of registration, in this process: its answers are JSON within bounds, and nothing of them is run."""

    def __init__(self, data: bytes, contract: Contract, signature: Signature) -> None:
        """Raises Malformed (BAD_UPSTREAM), NotYet (UPSTREAM_DOWN)."""
        self._signature, self._numeric = signature, [item.name for item in contract.numeric()]
        self._textual = [item.name for item in contract.textual()]
        self._there = Upstream(
            settings.read(data), signature, numeric=self._numeric, textual=self._textual,
            classes=len(contract.outputs.classes),
        )  # fmt: skip
        self._there.described = self._there.describe()

    def scores(self, frame: pd.DataFrame) -> np.ndarray:
        """Of a sound table. Raises NotYet (UPSTREAM_DOWN) and OutputInvalid (UPSTREAM_ANSWER)."""
        import numpy as np

        numbers, texts = self._arrays(frame)
        width = len(self._textual)
        parts = [
            self._there.scores(numbers[at : at + _ROWS], texts[at * width : (at + _ROWS) * width])
            for at in range(0, len(frame), _ROWS)
        ]
        return np.concatenate(parts)

    def golden(self, frame: pd.DataFrame, scores: np.ndarray) -> bytes:
        """What `serving.flavours.upstream` holds it to."""
        few = frame.iloc[:_GOLDEN]
        numbers, texts = self._arrays(few)
        kept = Golden(
            described=dict(self._there.described),
            numbers=[[None if value != value else value for value in row] for row in numbers.tolist()],
            texts=texts,
            scores=scores[:_GOLDEN].tolist(),
        )
        return msgspec.json.encode(kept, order="sorted")

    def _arrays(self, frame: pd.DataFrame) -> tuple[np.ndarray, list[str]]:
        import numpy as np
        import pandas as pd

        columns = [
            pd.to_numeric(frame[name], errors="coerce").to_numpy(np.float64, na_value=np.nan) for name in self._numeric
        ]
        numbers = np.column_stack([np.empty((len(frame), 0)), *columns])
        words = [frame[name].astype(object).where(frame[name].notna(), "").map(str) for name in self._textual]
        return numbers, [text for row in zip(*words, strict=True) for text in row]


def facts_of(data: bytes) -> tuple[settings.Settings, Mapping[str, Any]]:
    """What the file says, and the server of the model. Raises as `FromUpstream`."""
    found = settings.read(data)
    there = Upstream(found, Signature(feeds=(), score_output=""), numeric=[], textual=[], classes=0)
    return found, there.describe()
