"""What the contract may say of each gate: its limits. A gate measures; these decide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from typing import ClassVar

from modelmark.domain.later import later
from modelmark.domain.strict import Scalar, part


@part
class DataContractGate:
    """Do the tables keep the contract, and are train and holdout strangers to each other?"""

    max_violation_rate: float = 0.0
    """Largest share of rows that may break the contract."""
    max_duplicate_rate: float = 0.0
    """Largest share of holdout rows that also stand in train, beyond the share of train's own rows that have a twin
    there; surely more than this fails."""
    max_shift: float = 0.2
    """Largest Jensen-Shannon distance between train and holdout of any input."""


@part
class HoldoutGate:
    """Is the model good enough on rows it has never seen, and better than what costs less?"""

    confidence: float = 0.95
    """Confidence of every interval; of what decides more, the more versions were judged on the same holdout before."""
    minimum: float | None = None
    """The objective's interval must lie wholly on the good side of this."""
    champion_margin: float = 0.01
    """How much worse than the champion is still tolerable: in units of the metric, or a share of the champion's loss where
    that is in units of the target or of money (mae, rmse, pinball, expected_cost)."""
    suspicious: float = 0.9999
    """A score this good means a leak until someone explains it; for metrics that end at 1."""
    max_flattery: float = 0.01
    """How much a random split over a column that looks like time may surely flatter: in units of the metric, or a share of
    such a loss."""
    max_label_gap: float = 0.05
    """How far apart a quick model's scores inside train and on the holdout may be before their labels disagree."""
    worn_after: int = 20
    """After this many other versions judged on the same holdout, its figures are said to be worn."""


@part
class EdgeCasesGate:
    """Does every odd input get the outcome the contract promises?"""

    max_failures: int = 0
    """How many cases may fail."""
    tolerance: float = 1e-5
    """Largest difference between answers that should be the same; of the answer itself, where that is above 1."""


@part
class ParityGate:
    """Does the converted model decide as the original did?"""

    max_flipped_rate: float = 0.001
    """Largest share of holdout rows whose decision changed in conversion."""
    max_moved_rate: float = 0.01
    """Largest share of sampled rows whose served score is not the original model's; surely more than this fails."""
    moved: float = 0.01
    """A score that differs by more than this counts as moved; for regression, in standard deviations of the answers."""


@part
class LoadGate:
    """Does the real server keep its promises at the agreed rate?"""

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


@part
class BehaviourGate:
    """Do edits of a row move its score as people expect?"""

    rows: int = 1000
    """How many holdout rows are edited per test, drawn with a seed."""
    confidence: float = 0.95
    """Confidence of all failure rates together."""


@part
class TestsGate:
    """Does your own test suite pass?"""

    __test__: ClassVar[bool] = False  # not a test itself, whatever pytest makes of the name
    seconds: float = 300.0
    """Longest time the suite may take."""
    memory_mib: int = 4096
    """Most memory it may take, on top of the libraries."""
    modules: tuple[str, ...] = ()
    """Files beside the contract whose coverage counts; empty: every module there that the tests import."""
    min_coverage: float | None = None
    """Least share of the modules' statements that the tests must run; null: only shown."""


class ReplayFault(StrEnum):
    """What may be wrong with a request of a simulated day."""

    MISSING_VALUE = "missing_value"
    UNSEEN_CATEGORY = "unseen_category"
    OUT_OF_RANGE = "out_of_range"
    WRONG_TYPE = "wrong_type"
    MALFORMED_JSON = "malformed_json"

    @property
    def words(self) -> str:
        return self.value.replace("_", " ").replace("json", "JSON")


#: From a trough at 2:00 to a peak at 14:00, nine times as high: 1 + 0.8 sin(2 pi (hour - 8) / 24).
_DAY = (
    0.31, 0.23, 0.2, 0.23, 0.31, 0.43, 0.6, 0.79, 1.0, 1.21, 1.4, 1.57,
    1.69, 1.77, 1.8, 1.77, 1.69, 1.57, 1.4, 1.21, 1.0, 0.79, 0.6, 0.43,
)  # fmt: skip


@part
class ReplayGate:
    """Does the real server answer real traffic, and what changes against the champion?"""

    requests: int = 2000
    """How many of the latest logged requests are sent again; without traffic, how many make up a simulated day at most:
    fewer where its busiest hour would else exceed the agreed serving.rate_per_s."""
    seconds: float = 15.0
    """Into how much time they are compressed."""
    fault_rate: float = 0.01
    """Share of a simulated day's requests that carry each declared fault."""
    hours: tuple[float, ...] = later(default=_DAY)
    """How traffic is spread over a simulated day: 24 relative rates, from midnight; the highest is the agreed
    serving.rate_per_s."""
    faults: tuple[ReplayFault, ...] = later(default=tuple(ReplayFault))
    """Faults that real callers send, and a simulated day with them; none: an empty list."""
    max_refused_rate: float = 0.01
    """Largest share of requests that the champion answers and the candidate refuses; surely more than this fails."""
    max_flipped_rate: float | None = None
    """Largest share of rows whose decision may differ from the champion's; null: only shown."""


@part
class ExplanationGate:
    """Are the model's explanations exact and stable, and does its opacity buy anything?"""

    tolerance: float = 1e-3
    """Largest difference between a score and what its Shapley values add up to; of the answers' spread, for regression."""
    rows: int = 100
    """How many holdout rows are explained."""
    background: int = 100
    """How many training rows stand for an input that is not known."""
    max_evaluations: int = 300_000
    """Most answers asked of the model for its explanations; the number of rows yields first."""
    glass_box_rows: int = 20_000
    """Most training rows the glass-box challengers learn from."""
    confidence: float = 0.95
    """Confidence of every interval."""


class FairnessDefinition(StrEnum):
    """What is compared between groups."""

    SELECTION_RATE = "selection_rate"
    TRUE_POSITIVE_RATE = "true_positive_rate"
    FALSE_POSITIVE_RATE = "false_positive_rate"
    PRECISION = "precision"
    CALIBRATION = "calibration"

    @property
    def words(self) -> str:
        """As people write it."""
        return self.value.replace("_", " ")


@part
class FairnessGate:
    """Are the groups of the sensitive columns treated alike?"""

    definitions: tuple[FairnessDefinition, ...] = (FairnessDefinition.SELECTION_RATE,)
    """What must be alike; all are shown, these decide. They cannot all hold together where base rates differ."""
    min_ratio: float = 0.8
    """Smallest ratio of two groups' rates; a release fails when the whole simultaneous interval lies below."""
    max_difference: float | None = None
    """Largest difference of two groups' rates; null: the ratio decides (calibration, which has none, is held to 0.1)."""
    max_error_gap: float = 0.25
    """For regression: largest difference of two groups' mean errors, in standard deviations of the truth."""
    favourable: bool | int | str | None = None
    """The class people hope for; null: the positive class."""
    boundaries: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Where a numeric column is cut, such as {age: [25]}: up to and including 25, and above. Default: train's quartiles."""
    min_rows: int = 30
    """A group with fewer known rows than this is shown and not judged."""
    confidence: float = 0.95
    """Confidence that all intervals together hold."""


class Attack(StrEnum):
    """Black-box attacks of the adversarial-robustness-toolbox."""

    HOP_SKIP_JUMP = "hop_skip_jump"
    BOUNDARY = "boundary"
    ZOO = "zoo"


@part
class RobustnessGate:
    """Do small changes, missing values, wrong units or an adversary change the answers?"""

    noise: float = 0.01
    """Size of the noise, as a share of each numeric column's spread."""
    max_noise_flips: float = 0.05
    """Largest share of rows whose decision noise may flip; fails when the interval lies wholly above."""
    champion_margin: float = 0.05
    """How much lower than the champion's the share of rows right under noise may be; fails when that is sure."""
    max_one_field_flips: float | None = None
    """Largest share of decisions against the positive class that editing one field may flip; null: shown, not judged."""
    rows: int = 500
    """How many holdout rows are tried."""
    attacks: tuple[Attack, ...] = (Attack.HOP_SKIP_JUMP,)
    """Attacks to run on classifiers with inputs that may change; none: an empty list."""
    attacked_rows: int = 20
    """How many rows each attack gets."""
    radius: float = 0.25
    """An attack counts when it changes every column by at most this share of its spread."""
    max_queries: int = 200_000
    """Most answers asked of the candidate; rows yield first."""
    max_seconds: float = 45.0
    """No new attack starts after this long."""


class Vulnerabilities(StrEnum):
    """Where known vulnerabilities are looked up."""

    OFF = "off"
    OSV = "osv"
    PIP_AUDIT = "pip_audit"


@part
class SupplyChainGate:
    """Is what we received and what it runs on what it claims to be, and known to be harmless?"""

    scanners: tuple[str, ...] = ("picklescan", "modelscan", "fickling")
    """Tripwires run over a pickle; each must be able to run."""
    scan_seconds: float = 60.0
    """Longest time for one scanner."""
    vulnerabilities: Vulnerabilities = Vulnerabilities.OSV
    """osv: our matcher over the file named below; pip_audit: over the network, where a package that was skipped is one
    nobody looked up; off."""
    osv: str | None = None
    """A file of OSV records beside the contract: PyPI's all.zip, .json or .jsonl. Null: not looked up, and said so."""
    accepted: tuple[str, ...] = ()
    """Vulnerabilities (ids or aliases) that somebody looked at and accepted."""


@part
class LeakageGate:
    """Does the model learn from what it cannot know, or from the rows it is judged on?"""

    max_near_duplicate_rate: float = 0.01
    """Largest share of holdout rows with a near duplicate in train, beyond the share that train itself has."""
    nearness: float = 0.01
    """Near duplicates have equal texts, and numbers at most this many standard deviations apart."""
    max_shared_entity_rate: float = 0.0
    """Largest share of holdout rows whose entity also stands in train."""
    suspicious: float = 0.995
    """One input that alone predicts this well is the target in disguise (ROC AUC, balanced accuracy or R²)."""


@part
class SlicesGate:
    """Is the model much worse on a part of the rows than on the whole?"""

    max_gap: float = 0.2
    """How much larger a slice's Brier score may surely be than the whole's (for classes; 0 to 1)."""
    max_rank_gap: float = 0.35
    """How much higher a slice's errors may surely rank than the whole's (for values; 0.5 is the most there is)."""
    confidence: float = 0.95
    """Confidence, all slices together."""
    min_rows: int = 10
    """Fewer rows than this: cannot tell."""


@part
class CalibrationGate:
    """Do things happen as often as the model says?"""

    max_error: float = 0.08
    """Largest calibration error (root mean square, a probability) that is tolerated; more must be sure to fail."""
    max_group_error: float = 0.12
    """The same within each group of a sensitive column, all groups together."""
    confidence: float = 0.95
    """Confidence of every interval."""


@part
class ObjectiveGate:
    """Is what the release is worth kept, and nothing traded away for the metric?"""

    confidence: float = 0.95
    """Confidence of every interval."""
    harm_confidence: float = 0.99
    """How sure a loss against the champion must be, all guardrails together."""
    harm_margin: float = 0.0
    """How much worse than the champion a guardrail or the value may be: in units of the metric, or a share of the
    champion's loss where that is in units of the target or of money."""
    max_regret: float = 0.1
    """How much dearer than the cheapest threshold the contract's may surely be on validation, as a share of its cost."""


@part
class Gates:
    """The checks a version must pass. A gate set to null is not asked."""

    data_contract: DataContractGate | None = field(default_factory=DataContractGate)
    """Tables against the contract and each other."""
    leakage: LeakageGate | None = field(default_factory=LeakageGate)
    """What the model cannot know."""
    holdout: HoldoutGate | None = field(default_factory=HoldoutGate)
    """Quality on unseen rows."""
    slices: SlicesGate | None = field(default_factory=SlicesGate)
    """Weak parts of the whole."""
    calibration: CalibrationGate | None = field(default_factory=CalibrationGate)
    """Probabilities that mean what they say."""
    objective: ObjectiveGate | None = field(default_factory=ObjectiveGate)
    """Value and guardrails."""
    fairness: FairnessGate | None = field(default_factory=FairnessGate)
    """Groups of the sensitive columns."""
    explanation: ExplanationGate | None = field(default_factory=ExplanationGate)
    """What the answers rest on, and whether a glass box does as well."""
    behaviour: BehaviourGate | None = field(default_factory=BehaviourGate)
    """Behavioural tests; asked when the contract has accepted some."""
    robustness: RobustnessGate | None = field(default_factory=RobustnessGate)
    """Noise, faults and attacks."""
    edge_cases: EdgeCasesGate | None = field(default_factory=EdgeCasesGate)
    """Odd inputs."""
    tests: TestsGate | None = field(default_factory=TestsGate)
    """Your own test suite; asked when the contract names one."""
    parity: ParityGate | None = field(default_factory=ParityGate)
    """The conversion to ONNX."""
    supply_chain: SupplyChainGate | None = field(default_factory=SupplyChainGate)
    """The model file, the graph and the packages."""
    replay: ReplayGate | None = field(default_factory=ReplayGate)
    """Real or simulated traffic against a server of its own."""
    load: LoadGate | None = field(default_factory=LoadGate)
    """The server at the agreed rate."""
    plugins: Mapping[str, Mapping[str, Scalar]] = field(default_factory=dict)
    """Settings of gates that other packages bring, by name."""
