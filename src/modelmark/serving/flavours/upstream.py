"""A model on somebody else's server: guarded, journalled and watched here, computed there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from modelmark.domain.version import ANSWERED, Signature
from modelmark.serving.flavours import Runs, main_file
from modelmark.upstream import settings
from modelmark.upstream.asking import Golden, Pinned, Upstream


class UpstreamModel:
    """Implements `flavours.Flavour`."""

    runs = Runs.REMOTE

    def __init__(
        self, files: Mapping[str, bytes], signature: Signature, *, numeric: Sequence[str], textual: Sequence[str]
    ) -> None:
        """Raises OutputInvalid (UPSTREAM_CHANGED, UPSTREAM_ANSWER) and Rejected (UPSTREAM_REFUSES)."""
        golden = msgspec.json.decode(files[ANSWERED], type=Golden)
        classes = len(golden.scores[0]) if len(golden.scores[0]) > 1 else 0
        there = Upstream(settings.read(main_file(files)), signature, numeric=numeric, textual=textual, classes=classes)
        self._pinned = Pinned(there, golden)

    @property
    def astray(self) -> str:
        """How it differs from the model that was registered; empty while it does not."""
        return self._pinned.changed

    @property
    def waiting(self) -> str:
        """Why it cannot be asked yet; empty once it was seen that it is the model that was registered."""
        return self._pinned.waiting

    def run(self, numbers: NDArray[np.float64], texts: Sequence[str]) -> NDArray[np.float64]:
        return self._pinned.scores(numbers, texts)
