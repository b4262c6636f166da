"""A version: exact bytes that answer in exactly one way."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from modelmark.domain.digest import Digest
from modelmark.domain.later import later

#: The files of a version's folder. The first four decide its answers and make its id.
ARTIFACT: Final = "model.onnx"
CONTRACT: Final = "contract.json"
SIGNATURE: Final = "signature.json"
LOCK: Final = "lock.txt"
REFERENCE: Final = "reference.json"  # what training data looked like: monitors compare with it
PARITY: Final = "parity.json"  # what the original model answered on some holdout rows
DESCRIPTION: Final = "version.json"
MARK: Final = "mark.dsse.json"
SIGNED_FILES: Final = (ARTIFACT, CONTRACT, SIGNATURE, LOCK, REFERENCE)

Dtype = Literal["float32", "float64", "int64", "bool", "string"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """One input of the ONNX graph: which columns fill it, in order. Shape (rows, len(columns))."""

    graph_input: str
    columns: tuple[str, ...]
    dtype: Dtype


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """How named columns become tensors and tensors become an answer (the version's preprocessing).

    score_output: name of the graph output with probabilities (rows, classes) or values (rows, 1).
    """

    feeds: tuple[Feed, ...]
    score_output: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Components:
    """Digests of everything that decides a version's answers."""

    artifact: Digest
    contract: Digest
    preprocessing: Digest
    lock: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Parity:
    """How the converted model compares with the original on every holdout row."""

    rows: int
    flipped: int
    max_difference: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ParitySample:
    """What a seeded sample of holdout rows was answered at registration, in the sandbox.

    rows: their places in the holdout, ascending. original, converted: scores of shape (rows, classes) or (rows, 1); for
    an ONNX source both are the graph's.
    """

    rows: tuple[int, ...]
    original: tuple[tuple[float, ...], ...]
    converted: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """Where a version comes from."""

    source: str
    source_digest: Digest
    train_digest: Digest
    holdout_digest: Digest
    git_commit: str | None
    run_id: str | None = None  # in MLflow
    validation_digest: Digest | None = later(None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """id: the digest of `components`. number: counts up per model, for people."""

    id: Digest
    model: str
    number: int
    components: Components
    lineage: Lineage
    parity: Parity
    reference: Digest
    created_at: datetime
    registered_by: str
    parity_sample: Digest | None = later(None)  # of parity.json

    @property
    def label(self) -> str:
        return f"v{self.number}"
