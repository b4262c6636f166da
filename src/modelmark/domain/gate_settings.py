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
    max_flattery: float = 0.01
    """How much a random split over a column that looks like time may surely flatter, in units of the metric."""
    max_label_gap: float = 0.05
    """How far apart a quick model's scores inside train and on the holdout may be before their labels disagree."""
    worn_after: int = 20
    """After this many other versions judged on the same holdout, its figures are said to be worn."""


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
class LeakageGate:
    """Does the model learn from what it cannot know, or from the rows it is judged on?"""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    max_near_duplicate_rate: float = 0.01
    """Largest share of holdout rows with a near twin in train, beyond the share that train itself has."""
    nearness: float = 0.01
    """Near twins have equal texts, and numbers at most this many standard deviations apart."""
    max_shared_entity_rate: float = 0.0
    """Largest share of holdout rows whose entity also stands in train."""
    suspicious: float = 0.995
    """One input that alone predicts this well is the target in disguise (ROC AUC, balanced accuracy or R²)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlicesGate:
    """Is the model much worse on a part of the rows than on the whole?"""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    max_gap: float = 0.2
    """How much larger a slice's Brier score may surely be than the whole's (for classes; 0 to 1)."""
    max_rank_gap: float = 0.35
    """How much higher a slice's errors may surely rank than the whole's (for values; 0.5 is the most there is)."""
    confidence: float = 0.95
    """Confidence, all slices together."""
    min_rows: int = 10
    """Fewer rows than this: cannot tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationGate:
    """Do things happen as often as the model says?"""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    max_error: float = 0.08
    """Largest calibration error (root mean square, a probability) that is tolerated; more must be sure to fail."""
    max_group_error: float = 0.12
    """The same within each group of a sensitive column, all groups together."""
    confidence: float = 0.95
    """Confidence of every interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectiveGate:
    """Is what the release is worth kept, and nothing traded away for the metric?"""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    confidence: float = 0.95
    """Confidence of every interval."""
    harm_confidence: float = 0.99
    """How sure a loss against the champion must be, all guardrails together."""
    harm_margin: float = 0.0
    """How much worse than the champion a guardrail or the value may be, in units of the metric."""
    max_regret: float = 0.1
    """How much dearer than the cheapest threshold the contract's may surely be on validation, as a share of its cost."""


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
    leakage: LeakageGate | None = field(default_factory=LeakageGate)
    """What the model cannot know."""
    slices: SlicesGate | None = field(default_factory=SlicesGate)
    """Weak parts of the whole."""
    calibration: CalibrationGate | None = field(default_factory=CalibrationGate)
    """Probabilities that mean what they say."""
    objective: ObjectiveGate | None = field(default_factory=ObjectiveGate)
    """Value and guardrails."""
    plugins: Mapping[str, Mapping[str, Scalar]] = field(default_factory=dict)
    """Settings of gates that other packages bring, by name."""
