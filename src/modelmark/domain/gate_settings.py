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
    max_moved_rate: float = 0.01
    """Largest share of sampled rows whose served score is not the original model's; surely more than this fails."""
    moved: float = 0.01
    """A score that differs by more than this counts as moved; for regression, in standard deviations of the answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadGate:
    """Does the real server keep its promises at the agreed rate?"""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    seconds: float = 5.0
    """How long to send requests."""
    max_error_rate: float = 0.0
    """Largest share of requests that may fail."""
    capacity: bool = True
    """Whether to look for the rate at which the server stops keeping its promises; at most 12 s."""
    overload: tuple[float, ...] = (2.0, 5.0, 10.0)
    """Multiples of what the server can do that are sent to it, one after another; empty: none."""
    overload_seconds: float = 2.0
    """How long each of them lasts."""
    min_goodput: float | None = None
    """Least share of the capacity that must still be answered in time under overload; null: only shown."""
    max_growth_kib: float = 1.0
    """Most memory, in KiB a request, that the server's processes may keep; surely more than this fails."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BehaviourGate:
    """Do edits of a row move its score as people expect?"""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    rows: int = 1000
    """How many holdout rows are edited per test, drawn with a seed."""
    confidence: float = 0.95
    """Confidence of all failure rates together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TestsGate:
    """Does your own test suite pass?"""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    __test__: ClassVar[bool] = False  # not a test itself, whatever pytest makes of the name
    seconds: float = 300.0
    """Longest time the suite may take."""
    memory_mib: int = 4096
    """Most memory it may take, on top of the libraries."""
    modules: tuple[str, ...] = ()
    """Files beside the contract whose coverage counts; empty: every module there that the tests import."""
    min_coverage: float | None = None
    """Least share of the modules' statements that the tests must run; null: only shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayGate:
    """Does the real server answer real traffic, and what changes against the champion?"""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    requests: int = 2000
    """How many of the latest logged requests are sent again; without traffic, how many make up a simulated day."""
    seconds: float = 15.0
    """Into how much time they are compressed."""
    fault_rate: float = 0.01
    """Share of a simulated day's requests that carry each declared fault."""
    max_refused_rate: float = 0.01
    """Largest share of requests that the champion answers and the candidate refuses; surely more than this fails."""
    max_flipped_rate: float | None = None
    """Largest share of rows whose decision may differ from the champion's; null: only shown."""


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
    behaviour: BehaviourGate | None = field(default_factory=BehaviourGate)
    """Behavioural tests; asked when the contract has accepted some."""
    tests: TestsGate | None = field(default_factory=TestsGate)
    """Your own test suite; asked when the contract names one."""
    replay: ReplayGate | None = field(default_factory=ReplayGate)
    """Real or simulated traffic against a server of its own."""
    plugins: Mapping[str, Mapping[str, Scalar]] = field(default_factory=dict)
    """Settings of gates that other packages bring, by name."""
