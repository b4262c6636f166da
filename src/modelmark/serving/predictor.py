"""The serving path without its network, for gates and for trying a version by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from modelmark.domain.digest import Digest
from modelmark.seal.keys import Verifier
from modelmark.serving.models import LoadedModel, load_candidate, load_marked


class LocalPredictor:
    """Implements `domain.ports.Predictor` with the very codec, flavour and guard the endpoint uses."""

    def __init__(self, version: LoadedModel) -> None:
        self.version = version

    @classmethod
    def of_marked(cls, folder: Path, verifier: Verifier, id: Digest) -> Self:
        return cls(load_marked(folder, verifier, id))

    @classmethod
    def of_candidate(cls, folder: Path, id: Digest) -> Self:
        """Without a mark; its digest is checked all the same."""
        return cls(load_candidate(folder, id))

    def predict(self, rows: Sequence[Mapping[str, Any]]) -> list[list[float]]:
        """As `LoadedModel.predict`."""
        return self.version.predict(rows)
