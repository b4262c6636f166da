"""A version: exact bytes that answer in exactly one way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import Final, Literal

from modelmark.domain.digest import Digest
from modelmark.domain.later import later

#: The files of a version's folder. The first four decide its answers and make its id.
ARTIFACT: Final = "model.onnx"  # of the ONNX flavours; others name their own in the manifest
CONTRACT: Final = "contract.json"
SIGNATURE: Final = "signature.json"
LOCK: Final = "lock.txt"
REFERENCE: Final = "reference.json"  # what training data looked like: monitors compare with it
PARITY: Final = "parity.json"  # what the original model answered on some holdout rows
GOLDEN: Final = "golden.json"  # requests, and what was answered to them: a worker is ready once it answers the same
DESCRIPTION: Final = "version.json"
MARK: Final = "mark.dsse.json"
SIGNED_FILES: Final = (ARTIFACT, CONTRACT, SIGNATURE, LOCK, REFERENCE)
#: What stands beside the model's own files.
_BESIDE: Final = frozenset({CONTRACT, SIGNATURE, LOCK, REFERENCE, PARITY, GOLDEN, DESCRIPTION, MARK})

#: The kind of model of versions registered before there were several: a graph converted by us, fed by its signature.
ONNX: Final = "onnx"
ONNX_FILE: Final = "onnx_file"  # a graph somebody exported, served as it is
ORIGINAL: Final = "original"  # the trained object itself, in a process of its own
PYTHON: Final = "python"  # likewise, with its author's own code
UPSTREAM: Final = "upstream"  # on somebody else's server
#: Of that flavour: where it is, and what it said of itself and answered at registration.
PLACE: Final = "upstream.yaml"
ANSWERED: Final = "answered.json"
#: Of an original: the object as somebody saved it, and what it is asked with.
SAVED: Final = "model.saved"
ASKED: Final = "asked.json"  # of both
#: Of the latter: the folder with everything that its author gave.
BESIDE: Final = "model"

Dtype = Literal["float32", "float64", "int64", "bool", "string"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """One input of the ONNX graph: which columns fill it, in order. Shape (rows, len(columns)).

    lower: texts are lower-cased, as Python's `str.lower` does, before they reach the graph.
    """

    graph_input: str
    columns: tuple[str, ...]
    dtype: Dtype
    lower: bool = later(default=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """How named columns become tensors and tensors become an answer (the version's preprocessing).

    score_output: name of the graph output with probabilities (rows, classes) or values (rows, 1).
    """

    feeds: tuple[Feed, ...]
    score_output: str


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One file of a version. path: relative to its folder, with `/`; size: in bytes, None where nobody kept it.

    Raises ValueError for a path that leads out of the folder.
    """

    path: str
    digest: Digest
    size: int | None = None

    def __post_init__(self) -> None:
        pure = PurePosixPath(self.path)
        if (
            self.path != str(pure)
            or pure.is_absolute()
            or ".." in pure.parts
            or self.path in (".", "")
            or "\\" in self.path
        ):
            raise ValueError(f"{self.path!r} is no path inside a version's folder")


def model_files(manifest: Sequence[File]) -> tuple[File, ...]:
    """Those files of a manifest that are the model itself, its main file first."""
    return tuple(file for file in manifest if file.path not in _BESIDE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Components:
    """Digests of everything that decides a version's answers.

    artifact: the model's main file. flavour: the kind of model, which says how it is loaded and run. files: of the list
    of the model's files (`digest_value`), where they are other than `model.onnx` alone.
    """

    artifact: Digest
    contract: Digest
    preprocessing: Digest
    lock: Digest
    flavour: str = later(default=ONNX)
    files: Digest | None = later(default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parity:
    """How the converted model compares with the original on every holdout row."""

    rows: int
    flipped: int
    max_difference: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A made-up row and what the original answered. family: what it tries. row: as JSON, as a request would bring it.

    original: scores, None where the original refuses the row. label: as in `ParitySample.labels`.
    """

    family: str
    row: str
    original: tuple[float, ...] | None
    label: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ParitySample:
    """What a seeded sample of holdout rows was answered at registration, in the sandbox.

    rows: their places in the holdout, ascending. original, converted: scores of shape (rows, classes) or (rows, 1); for
    an ONNX source both are the graph's. labels: what the original's own `predict` said of each row, as positions in
    `outputs.classes`; -1 for what is none of them. cutoff: the score at which the original itself decides for the positive
    class, where it keeps one. probes: rows made up to part the two.
    """

    rows: tuple[int, ...]
    original: tuple[tuple[float, ...], ...]
    converted: tuple[tuple[float, ...], ...]
    labels: tuple[int, ...] = later(default=())
    cutoff: float | None = later(default=None)
    probes: tuple[Probe, ...] = later(default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenRequest:
    """A made-up row, as JSON, and what the serving path answered at registration. label: the position in `outputs.classes` of
    what it decided for; -1 for a value."""

    row: str
    scores: tuple[float, ...]
    label: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenRequests:
    """What a machine must answer the same before it serves a version; asked in one run."""

    requests: tuple[GoldenRequest, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """Where a version comes from."""

    source: str
    source_digest: Digest
    train_digest: Digest
    holdout_digest: Digest
    git_commit: str | None
    run_id: str | None = None  # in MLflow
    validation_digest: Digest | None = later(default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """id: the digest of `components`. number: counts up per model, for people.

    files: the manifest as it was registered, the model's main file first; empty for versions from before there was one.
    """

    id: Digest
    model: str
    number: int
    components: Components
    lineage: Lineage
    parity: Parity
    reference: Digest
    created_at: datetime
    registered_by: str
    parity_sample: Digest | None = later(default=None)  # of parity.json
    files: tuple[File, ...] = later(default=())

    @property
    def label(self) -> str:
        return f"v{self.number}"

    @property
    def as_itself(self) -> bool:
        """Whether no conversion stands between the trained object and its answers."""
        return self.components.flavour in (ORIGINAL, PYTHON, UPSTREAM)

    @property
    def argument(self) -> str:
        """As commands take it, wherever they are given: `v3 --model churn`."""
        return f"{self.label} --model {self.model}"

    @property
    def manifest(self) -> tuple[File, ...]:
        """Every file that the mark covers, the model's main file first."""
        parts = self.components
        return self.files or (
            File(path=ARTIFACT, digest=parts.artifact),
            File(path=CONTRACT, digest=parts.contract),
            File(path=SIGNATURE, digest=parts.preprocessing),
            File(path=LOCK, digest=parts.lock),
            File(path=REFERENCE, digest=self.reference),
        )

    @property
    def deciding(self) -> tuple[File, ...]:
        """Those of the manifest that decide answers: all but what monitors and workers compare with."""
        return tuple(file for file in self.manifest if file.path not in (REFERENCE, GOLDEN))
