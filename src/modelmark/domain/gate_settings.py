"""What the contract may say of each gate: its limits. A gate measures; these decide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from modelmark.domain.strict import STRICT, Scalar


@dataclass(frozen=True, slots=True, kw_only=True)
class DataContractGate:
    """Do the tables keep the contract, and are train and holdout strangers to each other?"""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    max_violation_rate: float = 0.0
    """Largest share of rows that may break the contract."""
    max_duplicate_rate: float = 0.0
    """Largest share of holdout rows that also stand in train."""
    max_shift: float = 0.2
    """Largest Jensen-Shannon distance between train and holdout of any input."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldoutGate:
    """Is the model good enough on rows it has never seen, and better than what costs less?"""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    confidence: float = 0.95
    """Confidence of every interval."""
    minimum: float | None = None
    """The objective's interval must lie wholly on the good side of this."""
    champion_margin: float = 0.01
    """How much worse than the champion is still tolerable, in units of the metric."""
    suspicious: float = 0.9999
    """A score this good means a leak until someone explains it; for metrics that end at 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeCasesGate:
    """Does every odd input get the outcome the contract promises?"""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    max_failures: int = 0
    """How many cases may fail."""
    tolerance: float = 1e-5
    """Largest difference between answers that should be the same; of the answer itself, where that is above 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParityGate:
    """Does the converted model decide as the original did?"""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    max_flipped_rate: float = 0.001
    """Largest share of holdout rows whose decision changed in conversion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadGate:
    """Does the real server keep its promises at the agreed rate?"""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    seconds: float = 5.0
    """How long to send requests."""
    max_error_rate: float = 0.0
    """Largest share of requests that may fail."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gates:
    """The checks a version must pass. A gate set to null is not asked."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    data_contract: DataContractGate | None = field(default_factory=DataContractGate)
    """Tables against the contract and each other."""
    holdout: HoldoutGate | None = field(default_factory=HoldoutGate)
    """Quality on unseen rows."""
    edge_cases: EdgeCasesGate | None = field(default_factory=EdgeCasesGate)
    """Odd inputs."""
    parity: ParityGate | None = field(default_factory=ParityGate)
    """The conversion to ONNX."""
    load: LoadGate | None = field(default_factory=LoadGate)
    """The server at the agreed rate."""
    plugins: Mapping[str, Mapping[str, Scalar]] = field(default_factory=dict)
    """Settings of gates that other packages bring, by name."""
