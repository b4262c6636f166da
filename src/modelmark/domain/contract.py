"""The contract: what a model is for, what it takes, what it promises, and who agreed.

Field docstrings become the descriptions of the published JSON Schema. Values that only a person can supply may be
empty here; `unfilled` names them and a release is refused while any is left.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, fields
from enum import StrEnum
from typing import Any

from modelmark.domain.catalogue.behaviour import Behaviour
from modelmark.domain.catalogue.condition import Condition
from modelmark.domain.catalogue.gate_settings import Gates
from modelmark.domain.catalogue.monitor_settings import Monitors
from modelmark.domain.later import later
from modelmark.domain.metrics import LOSSES, Direction, Metric, Task
from modelmark.domain.people import Person, Role
from modelmark.domain.rollouts.settings import Rollout
from modelmark.domain.strict import Scalar, part


class DataType(StrEnum):
    """The type of an input. Integers and numbers are sent as JSON numbers, categories as strings."""

    NUMBER = "number"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    CATEGORY = "category"
    STRING = "string"


class Policy(StrEnum):
    """What an input outside the contract gets: refused, noted on the record, or replaced by `impute`."""

    REJECT = "reject"
    FLAG = "flag"
    IMPUTE = "impute"


class Mutability(StrEnum):
    """Which way the person described by a row could move this input."""

    FIXED = "fixed"
    FREE = "free"
    INCREASE = "increase"
    DECREASE = "decrease"


class Availability(StrEnum):
    """When an input's value is known: before the event that the target speaks of, only after it, or nobody said."""

    BEFORE = "before"
    AFTER = "after"
    UNKNOWN = "unknown"


class FallbackKind(StrEnum):
    """What answers when the model cannot: the version that served before, a fixed answer, or a person."""

    PREVIOUS_VERSION = "previous_version"
    CONSTANT = "constant"
    REVIEW = "review"


class HowItRuns(StrEnum):
    """What answers: a graph that the trained object was converted to, or the object itself in a process of its own."""

    CONVERTED = "converted"
    ISOLATED = "isolated"


class Strategy(StrEnum):
    """What training code gets: everything, or what is recent."""

    EXTEND = "extend"
    WINDOW = "window"


@part
class ModelSource:
    """Where the trained model comes from."""

    source: str
    """A file beside this contract (joblib, pickle, ONNX, a booster's or network's own, Python, or one that names an upstream), a
    folder with a model and the code it needs, or in MLflow: runs:/RUN/path or models:/NAME/VERSION. `FILE.py:NAME` names one of
    several objects."""
    task: Task
    """What it answers."""
    run: HowItRuns = later(default=HowItRuns.CONVERTED)
    """`converted`: to an ONNX graph, which is quick. `isolated`: as itself, in a process with walls, where no conversion
    answers alike. An ONNX file is served as it is, either way."""


@part
class Csv:
    """How the CSV tables are written."""

    separator: str = ","
    """Between two fields: a comma, semicolon, tab or `|`."""
    decimal: str = "."
    """Before a number's fraction: a point or a comma."""
    thousands: str | None = None
    """Between three digits of a number: a comma, point, apostrophe or space. Null: nothing."""
    encoding: str = "utf-8"
    """The file's encoding, as Python calls it: `utf-8` (a byte order mark is no part of it), `utf-16`, `windows-1252` …"""


@part
class Data:
    """What the model learned from and is judged on."""

    train: str
    """Training table: CSV (also .gz) or Parquet, beside this contract."""
    holdout: str
    """Rows the model has never seen."""
    target: str
    """The column to predict."""
    time: str | None = None
    """The column that orders rows in time, or `row_order` where the order of rows is the order of time."""
    group: str | None = None
    """Rows of one group must not stand on both sides of the split."""
    entity_key: str | None = None
    """The column that names whom a row is about; routing is sticky by it."""
    sensitive: tuple[str, ...] = ()
    """Columns whose groups must be treated fairly."""
    validation: str | None = None
    """Rows to choose a threshold and to recalibrate on: neither trained on nor judged on."""
    csv: Csv | None = later(default=None)
    """How the CSV tables are written, where that is not with commas, decimal points and UTF-8."""


@part
class Input:
    """One named column of a request."""

    name: str
    """As in the training table."""
    type: DataType
    """What may be sent."""
    unit: str | None = None
    """The unit of measure, such as `mm` or `EUR/month`."""
    minimum: float | None = None
    """Smallest allowed value."""
    maximum: float | None = None
    """Largest allowed value."""
    categories: tuple[str, ...] | None = None
    """Known categories: texts for type `category`; for type `integer` the whole numbers that are codes, each as text."""
    nullable: bool = False
    """Whether null may be sent."""
    on_out_of_range: Policy = Policy.REJECT
    """What a value outside minimum and maximum gets."""
    on_unseen: Policy = Policy.FLAG
    """What a category outside `categories` gets."""
    impute: float | str | None = None
    """What stands in where a policy says impute."""
    mutability: Mutability = Mutability.FREE
    """Which way an attacker could move this value."""
    known: Availability = Availability.UNKNOWN
    """Whether the value is there before the event to predict. Only a person can fill this."""

    @property
    def coded(self) -> bool:
        """Whole numbers that stand for categories: sent as numbers, without order or distance."""
        return self.type is DataType.INTEGER and self.categories is not None

    @property
    def nominal(self) -> bool:
        """Without order: texts and codes."""
        return self.type in (DataType.CATEGORY, DataType.STRING) or self.coded

    @property
    def quantity(self) -> bool:
        """A number of which more is more."""
        return self.type in (DataType.NUMBER, DataType.INTEGER) and not self.coded

    @property
    def known_values(self) -> tuple[int | str, ...]:
        """The categories as a request sends them."""
        known = self.categories or ()
        return tuple(map(int, known)) if self.coded else known


@part
class Outputs:
    """What the model answers."""

    classes: tuple[bool | int | str, ...] = ()
    """Every class, in the model's order. Empty for regression."""
    positive: bool | int | str | None = None
    """The class whose probability is the score, for binary tasks."""
    threshold: float = 0.5
    """A score at or above this decides for the positive class."""
    minimum: float | None = None
    """Smallest answer that makes sense, for regression."""
    maximum: float | None = None
    """Largest answer that makes sense, for regression."""
    unit: str | None = None
    """The unit of the answer, for regression."""


@part
class Costs:
    """What mistakes cost, per row, for binary tasks; any one currency."""

    false_positive: float
    """Cost of deciding for the positive class in error."""
    false_negative: float
    """Cost of missing the positive class."""
    true_positive: float = 0.0
    """Cost of a right positive decision (negative: a gain)."""
    true_negative: float = 0.0
    """Cost of a right negative decision (negative: a gain)."""


@part
class Objective:
    """The one number the release is judged by."""

    metric: Metric
    """What is measured on the holdout and on live labels."""
    costs: Costs | None = None
    """Needed for the metric `expected_cost`; with any other metric the value is guarded beside it."""
    quantile: float = 0.5
    """The quantile that `pinball` judges an answer as."""

    @property
    def direction(self) -> Direction:
        return Direction.MINIMISE if self.metric in LOSSES else Direction.MAXIMISE


@part
class Guardrail:
    """A metric that must not be traded away for the objective."""

    metric: Metric
    """What is measured."""
    limit: float
    """At least this for scores, at most this for losses; the interval's worse end must hold it."""


@part
class Slice:
    """Rows that people care about on their own."""

    name: str
    """As people call it."""
    where: tuple[Condition, ...]
    """All of these hold for its rows."""


@part
class Fallback:
    """One step of the chain that answers when the model cannot."""

    kind: FallbackKind
    """What answers."""
    value: Scalar | None = None
    """The answer of a `constant`: a class or a number."""


@part
class Serving:
    """What callers may expect and what they may send."""

    deadline_ms: int = 500
    """An answer later than this is a failure."""
    p99_ms: float = 100.0
    """99 of 100 answers must be faster than this at the agreed rate."""
    rate_per_s: float = 50.0
    """Agreed peak traffic in requests a second."""
    max_rows: int = 1000
    """Most rows in one request."""
    max_body_bytes: int = 8_388_608
    """Largest request body."""


@part
class Labels:
    """How the truth comes back."""

    expected_delay_hours: float | None = None
    """Usual time from prediction to label. Only a person can fill this."""


@part
class Retraining:
    """When to train again."""

    owner: Role = Role.DATA_SCIENCE
    """Who is told."""
    max_age_days: float | None = None
    """A champion older than this is a finding."""
    entry: str | None = later(default=None)
    """Your training code: `FILE.py:FUNCTION` beside this contract, called with the table and a seed and returning the model,
    or a command with {train}, {out} and {seed}. Null: people train."""
    strategy: Strategy = later(default=Strategy.EXTEND)
    """What it learns from: the training table and what was labelled since, or what was labelled lately alone."""
    window_days: float | None = later(default=None)
    """How long back `window` reaches."""
    later_share: float = later(default=0.3)
    """This share of the labelled rows, the newest, is kept back: there the new model must surely be better than the champion."""
    every_days: float | None = later(default=None)
    """Train this long after the last time, or after the champion was made."""
    new_labels: int | None = later(default=None)
    """Train when so many rows have been labelled since."""
    on_loss: bool = later(default=False)
    """Train when live performance alerts."""
    seed: int = later(default=1)
    """Passed to your code, which must draw from it alone."""
    minutes: float = later(default=60.0)
    """Longest time it may take."""
    memory_mib: int = later(default=8192)
    """Most memory it may take, on top of its libraries."""
    source_share: float = later(default=1.0)
    """Of the rows that it learns from, one source of labels may give at most this share."""
    unattended: bool = later(default=False)
    """True: whoever signs this contract agrees beforehand to a model that the agreed code makes of production's labels, under
    these very promises, once every gate has passed without a waiver and it is surely better."""
    code: str | None = later(default=None)
    """For `unattended`: the digest of the training code that was agreed; `modelmark register` says it."""


@part
class Goal:
    """What the business wants from the model: how it is measured, where it stands, where it should be, by when."""

    name: str
    """What should get better. Only a person can fill this."""
    measure: str = ""
    """How it is measured, outside the model, and by whom. Only a person can fill this."""
    now: float | None = None
    """Where it stands without the model."""
    target: float | None = None
    """Where it should be. Only a person can fill this."""
    unit: str = ""
    """The unit of both."""
    by: str = ""
    """By when, such as 2027-06-30. Only a person can fill this."""
    owner: Role = Role.PRODUCT
    """Who answers for it."""

    def gaps(self) -> tuple[str, ...]:
        """The fields that only a person can fill and nobody has."""
        found = {"name": self.name, "measure": self.measure, "by": self.by}
        empty = [name for name, value in found.items() if not value.strip()]
        return (*empty, *(("target",) if self.target is None else ()))


@part
class Question:
    """What one team has to ask another before a model goes live, and the answer."""

    ask: Role
    """Who needs to know."""
    of: Role
    """Who can say."""
    question: str
    """What is asked."""
    answer: str = ""
    """What was agreed. Only a person can fill this."""


@part
class Contract:
    """Everything agreed about one model."""

    modelmark: int
    """Version of this format; 1."""
    name: str
    """The model's name in addresses: lower-case letters, digits and hyphens."""
    model: ModelSource
    """The trained model."""
    data: Data
    """Its tables."""
    inputs: tuple[Input, ...]
    """Its columns, in order."""
    outputs: Outputs
    """Its answers."""
    objective: Objective
    """The metric that decides."""
    purpose: str = ""
    """What decision the model helps with. Only a person can fill this."""
    intended_uses: tuple[str, ...] = ()
    """What it is for. Only a person can fill this."""
    forbidden_uses: tuple[str, ...] = ()
    """What it must not be used for. Only a person can fill this."""
    ethical_considerations: str = ""
    """Whom the model may harm, and what is done about it. Only a person can say; the model card shows it once signed."""
    caveats: str = ""
    """What a user should keep in mind. Only a person can say; the model card shows it once signed."""
    claims: Mapping[str, str] = field(default_factory=dict)
    """What people state of a scorecard's tile that no receipt proves, by its id (`modelmark score`); half a point once signed."""
    people: tuple[Person, ...] = ()
    """Who has a say, and who must sign."""
    goals: tuple[Goal, ...] = ()
    """What the business wants from it, agreed before it was built."""
    questions: tuple[Question, ...] = ()
    """What teams asked each other, and agreed."""
    guardrails: tuple[Guardrail, ...] = ()
    """Metrics that must hold whatever the objective does."""
    slices: tuple[Slice, ...] = ()
    """Parts of the holdout that must not be much worse than the whole."""
    gates: Gates = field(default_factory=Gates)
    """Checks before release."""
    serving: Serving = field(default_factory=Serving)
    """Limits of the endpoint."""
    fallback: tuple[Fallback, ...] = ()
    """What answers when the model cannot, in order."""
    monitors: Monitors = field(default_factory=Monitors)
    """What is watched after release."""
    labels: Labels = field(default_factory=Labels)
    """What is known about coming labels."""
    retraining: Retraining = field(default_factory=Retraining)
    """What calls for a new version."""
    behaviour: tuple[Behaviour, ...] = later(default=())
    """How an edit of a row must move its score; only accepted tests are run."""
    tests: str | None = later(default=None)
    """Your own pytest suite for preprocessing and model: a folder or a file beside this contract."""
    regulated: bool = later(default=False)
    """True: answers must be explicable, so a model that is no glass box must surely be better than one."""
    rollout: Rollout | None = later(default=None)
    """How a version gets its traffic, step by step. Null: people move it by hand."""

    def unfilled(self) -> tuple[str, ...]:
        """The fields that only a person can fill and nobody has."""
        empty = [
            name
            for name, value in (
                ("purpose", self.purpose.strip()),
                ("intended_uses", self.intended_uses),
                ("forbidden_uses", self.forbidden_uses),
                ("people", any(person.signs for person in self.people)),
                ("labels.expected_delay_hours", self.labels.expected_delay_hours is not None),
            )
            if not value
        ]
        empty += [f"people[{i}].name" for i, person in enumerate(self.people) if not person.name.strip()]
        empty += [f"goals[{i}].{name}" for i, goal in enumerate(self.goals) for name in goal.gaps()]
        empty += [f"questions[{i}].answer" for i, asked in enumerate(self.questions) if not asked.answer.strip()]
        return tuple(empty)

    def signers(self) -> tuple[Person, ...]:
        return tuple(person for person in self.people if person.signs)

    def numeric(self) -> tuple[Input, ...]:
        """Inputs that travel as numbers (number, integer, boolean), in contract order."""
        return tuple(i for i in self.inputs if i.type not in (DataType.CATEGORY, DataType.STRING))

    def textual(self) -> tuple[Input, ...]:
        """Inputs that travel as text (category, string), in contract order."""
        return tuple(i for i in self.inputs if i.type in (DataType.CATEGORY, DataType.STRING))


def as_registered(stored: Mapping[str, Any]) -> dict[str, Any]:
    """The plain values of a stored contract, saying of each gate whether it was asked.

    A stored contract names every gate it knew. One that came later was never asked of it, so it is null, not its default.
    """
    known = {f.name: None for f in fields(Gates) if f.name != "plugins"}
    return {**stored, "gates": {**known, **dict(stored.get("gates", {}))}}
