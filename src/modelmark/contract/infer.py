"""Draft a contract from the data: what can be guessed is guessed and said, what only a person knows is left empty."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import MAX_EMAX, MIN_EMIN, ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from typing import TYPE_CHECKING, Any, Final

from modelmark.contract.dtypes import EXACT
from modelmark.contract.names import require_input_name
from modelmark.contract.proposals.behaviour import propose
from modelmark.contract.proposals.keys import Keys, keys
from modelmark.contract.proposals.sensitive import sensitive as named_sensitive
from modelmark.contract.table import text_of
from modelmark.domain.catalogue.behaviour import Behaviour
from modelmark.domain.classes import class_index
from modelmark.domain.contract import DataType, HowItRuns, Input, Policy
from modelmark.domain.errors import Rejected
from modelmark.domain.metrics import Metric, Task

if TYPE_CHECKING:
    import pandas as pd

#: Where the reason for `Draft.tolerance` stands among the guesses.
TOLERANCE: Final = "monitors.performance.tolerance"
_HALF: Final = 0.5
#: Models of few votes, which are equal now and then.
_TIES: Final = frozenset({
    "BaggingClassifier", "DecisionTreeClassifier", "ExtraTreeClassifier", "ExtraTreesClassifier", "KNeighborsClassifier",
    "RandomForestClassifier", "VotingClassifier",
})  # fmt: skip
#: More distinct texts than this are free text, not categories.
_MOST_CATEGORIES: Final = 200
#: More distinct numbers than this as target, or fractions, make it a regression.
_MOST_CLASSES: Final = 20
_LARGEST: Final = Decimal("1.7976931348623157e308")
#: More digits than any float64 has.
_EXACTLY: Final = Context(prec=1100, Emin=MIN_EMIN, Emax=MAX_EMAX)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the model itself knows, where it could be asked. None: it does not say.

    cutoff: the probability of the second class from which on it decides for that. width: how many columns it takes.
    kinds: `text` or `number` by column, as it learned them. categories: by column, as its encoder knows them: texts or
    whole numbers. regressor: it learned a number and no class. taken: the key it stands under in a file that holds more.
    """

    estimator: str | None = None
    features: tuple[str, ...] | None = None
    classes: tuple[bool | int | str, ...] | None = None
    cutoff: float | None = None
    width: int | None = None
    kinds: Mapping[str, str] = field(default_factory=dict)
    categories: Mapping[str, tuple[int | str, ...]] = field(default_factory=dict)
    regressor: bool = False
    taken: str = ""

    def types(self) -> tuple[Input, ...]:
        """How the columns are to be read from a table, as far as the model says."""
        types = {"text": DataType.STRING, "number": DataType.NUMBER}
        return tuple(Input(name=name, type=types[kind]) for name, kind in self.kinds.items() if kind in types)

    def takes(self, columns: int) -> bool:
        """Whether it could be asked with so many, as far as it says."""
        return self.features is not None or self.width in (None, columns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """The parts of a contract that data can tell. guesses: field -> why, for the person who reviews it."""

    task: Task
    classes: tuple[bool | int | str, ...]
    positive: bool | int | str | None
    threshold: float
    metric: Metric
    inputs: tuple[Input, ...]
    left_out: tuple[str, ...]
    target_range: tuple[float, float] | None
    sensitive: tuple[str, ...]
    keys: Keys
    behaviour: tuple[Behaviour, ...]
    guesses: dict[str, str]
    tolerance: float = 0.1
    """How much larger a loss without a natural scale may surely get after release, as a share of it."""
    run: HowItRuns = HowItRuns.CONVERTED


def infer(
    train: pd.DataFrame, *, target: str, facts: Facts | None = None, holdout: pd.DataFrame | None = None
) -> Draft:
    """holdout: so that what stands on both sides can be counted.

    Raises Rejected when the target or a feature the model wants is not in the table, or has a name no input can have.
    """
    facts = facts or Facts()
    if target not in train.columns:
        raise Rejected(
            f"the training table has no column {target!r}",
            code="MISSING_COLUMN",
            field="target",
            limit="it has " + ", ".join(map(str, train.columns)),
        )
    guesses: dict[str, str] = {}
    if facts.taken:
        guesses["model.source"] = f"the file holds more; the only estimator in it, at {facts.taken!r}, was taken"
    task, classes, positive = _answer(train[target], facts, guesses)
    names = _features(train, target, facts, guesses)
    for name in names:
        require_input_name(name)
    inputs = tuple(_input(name, train[name], guesses, facts) for name in names)
    metric = Metric.RMSE if task is Task.REGRESSION else Metric.ROC_AUC if task is Task.BINARY else Metric.ACCURACY
    guesses["objective.metric"] = f"the usual one for {task}; name the one your decision depends on"
    sensitive = named_sensitive(str(name) for name in train.columns if name != target)
    if sensitive:
        guesses["data.sensitive"] = "named like a protected characteristic, be it an input or not"
    found = keys(train, holdout, target=target)
    guesses |= found.reasons
    numbers = train[target].astype(float) if task is Task.REGRESSION else None
    return Draft(
        task=task,
        classes=classes,
        positive=positive,
        threshold=_threshold(task, classes, positive, facts, guesses),
        metric=metric,
        inputs=inputs,
        left_out=tuple(str(c) for c in train.columns if c != target and c not in names),
        target_range=(float(numbers.min()), float(numbers.max())) if numbers is not None else None,
        sensitive=sensitive,
        keys=found,
        behaviour=propose(train, target, task, inputs, positive=positive, sensitive=sensitive, guesses=guesses),
        guesses=guesses,
    )


def _answer(
    target: pd.Series, facts: Facts, guesses: dict[str, str]
) -> tuple[Task, tuple[bool | int | str, ...], bool | int | str | None]:
    import numpy as np

    present = target.dropna()
    if present.empty:
        raise Rejected("the target column is empty", code="EMPTY_TARGET", field=str(target.name))
    if _is_number(present) and not np.isfinite(present.to_numpy(np.float64)).all():
        raise Rejected(
            "the target column holds infinities", code="NON_FINITE", field=str(target.name), limit="finite numbers",
            hint="take these rows out of the table, or give them their value",
        )  # fmt: skip
    if facts.regressor:
        return _regression(target, present, guesses)
    classes = facts.classes or tuple(_scalar(value) for value in sorted(present.drop_duplicates().tolist()))
    fractions = _is_number(present) and not bool((present == present.round()).all())
    if facts.classes is None and (fractions or (_is_number(present) and len(classes) > _MOST_CLASSES)):
        guesses["model.task"] = f"{target.name!r} holds {len(classes)} different numbers"
        return Task.REGRESSION, (), None
    if len(classes) == 1:
        raise Rejected(f"the target holds one value only, {classes[0]!r}", code="ONE_CLASS", field=str(target.name))
    guesses["model.task"] = f"{target.name!r} holds {len(classes)} different values"
    if len(classes) > 2:
        return Task.MULTICLASS, classes, None
    counts = present.value_counts().to_dict()
    positive: bool | int | str | None = next((c for c in classes if c in (1, True) and not isinstance(c, str)), None)
    reason = "the class 1"
    if positive is None:
        many = {
            c: sum(n for value, n in counts.items() if class_index(classes, value) == at)
            for at, c in enumerate(classes)
        }
        positive = min(many, key=many.__getitem__)
        reason = "the rarer class"
    guesses["outputs.positive"] = f"{reason}; the score is its probability"
    return Task.BINARY, classes, positive


def _regression(target: pd.Series, present: pd.Series, guesses: dict[str, str]) -> tuple[Task, tuple[()], None]:
    """Whatever the numbers look like: the model learned them as numbers."""
    if not _is_number(present):
        raise Rejected(
            f"the model answers numbers, and {target.name!r} holds none", code="WRONG_TASK", field=str(target.name),
            limit="a column of numbers", hint="name the column that the model was fitted to with --target",
        )  # fmt: skip
    guesses["model.task"] = "the model is a regressor"
    return Task.REGRESSION, (), None


def _threshold(task: Task, classes: Sequence[Any], positive: Any, facts: Facts, guesses: dict[str, str]) -> float:
    """Where the model's own `predict` decides: at a cut-off it keeps; else at one half, where a tie goes to the first class."""
    if task is not Task.BINARY:
        return _HALF
    second = positive == classes[1]
    if facts.cutoff is not None:
        guesses["outputs.threshold"] = "the cut-off that the model itself keeps"
        return facts.cutoff if second else 1 - facts.cutoff
    if second and (facts.estimator or "").rpartition(" → ")[2] in _TIES:
        guesses["outputs.threshold"] = "just above one half: the model's own predict decides a tie for the other class"
        return math.nextafter(_HALF, 1)
    return _HALF


def _features(train: pd.DataFrame, target: str, facts: Facts, guesses: dict[str, str]) -> list[str]:
    if facts.features is None:
        every = [str(name) for name in train.columns if name != target]
        guesses["inputs"] = _counted(facts.width, len(every))
        return every
    absent = [name for name in facts.features if name not in train.columns]
    if absent:
        raise Rejected(
            f"the model was trained with the column {absent[0]!r}, which the training table lacks",
            code="MISSING_COLUMN",
            field=absent[0],
        )
    guesses["inputs"] = "the columns the model says it was trained with, in its order"
    return list(facts.features)


def _counted(takes: int | None, columns: int) -> str:
    """What to do about every column being an input. Raises Rejected where they are too few."""
    if takes is None:
        return "every column but the target; delete those the model does not take"
    if takes > columns:
        raise Rejected(
            f"the model takes {takes} columns, the training table has {columns} beside the target",
            code="COLUMNS_DIFFER", field="inputs", limit=f"{takes} columns",
            hint="give the table as the model takes it: after what was done before the model, such as one-hot columns",
        )  # fmt: skip
    if takes < columns:
        return (
            f"the model takes {takes} columns, here are {columns}: delete {columns - takes}, and keep the model's order"
        )
    return f"every column but the target, as many as the model takes ({takes}); check that their order is the model's"


def _input(name: str, values: pd.Series, guesses: dict[str, str], facts: Facts) -> Input:
    present, learned = values.dropna(), facts.kinds.get(name)
    nullable = len(present) < len(values)
    categories = facts.categories.get(name, ())
    if categories and all(isinstance(value, str) for value in categories) and learned == "text":
        return _encoded(name, present, nullable, tuple(map(str, categories)), guesses)
    if _are_codes(present, categories) and learned != "text":
        return _coded(name, present, nullable, categories, guesses)
    if _is_bool(present) and learned != "text":
        return Input(name=name, type=DataType.BOOLEAN, nullable=nullable)
    ids = values.dtype.kind in "iu" and max(-float(present.min()), float(present.max())) >= EXACT
    if _is_number(present) and learned != "text" and (learned == "number" or not ids):
        # Fractions may come where 1.0 was written, or where a null made floats of all; no integer of 2^53 may be sent.
        kind = DataType.INTEGER if values.dtype.kind in "iu" and not ids else DataType.NUMBER
        low, high = _range(name, present, guesses)
        return Input(name=name, type=kind, minimum=low, maximum=high, nullable=nullable, on_out_of_range=Policy.FLAG)
    texts = sorted({text_of(value) for value in present.unique()})
    known = (
        "; text, as the model learned it"
        if learned == "text"
        else "; of 2^53 and more, no exact numbers"
        if ids
        else ""
    )
    if len(texts) > _MOST_CATEGORIES or not texts:
        guesses[f"inputs.{name}"] = f"{len(texts)} different texts: taken as free text{known}"
        return Input(name=name, type=DataType.STRING, nullable=nullable)
    guesses[f"inputs.{name}"] = f"{len(texts)} categories seen in training{known}"
    return Input(name=name, type=DataType.CATEGORY, categories=tuple(texts), nullable=nullable, on_unseen=Policy.FLAG)


def _encoded(
    name: str, present: pd.Series, nullable: bool, categories: tuple[str, ...], guesses: dict[str, str]
) -> Input:
    """A category column as the model's encoder knows it; others of the table get what `on_unseen` says."""
    others = len({text_of(value) for value in present.unique()} - {*categories})
    more = f"; {others} more in the training table that it does not know" if others else ""
    guesses[f"inputs.{name}"] = f"{len(categories)} categories that the model's encoder knows{more}"
    return Input(name=name, type=DataType.CATEGORY, categories=categories, nullable=nullable, on_unseen=Policy.FLAG)


def _are_codes(present: pd.Series, categories: Sequence[int | str]) -> bool:
    """Whether a column of whole numbers meets an encoder that knows whole numbers."""
    known = bool(categories) and all(isinstance(code, int) for code in categories)
    return known and _is_number(present) and bool((present == present.round()).all())


def _coded(name: str, present: pd.Series, nullable: bool, codes: Sequence[int | str], guesses: dict[str, str]) -> Input:
    """Whole numbers that the model's encoder takes for categories; others of the table get what `on_unseen` says."""
    others = len(set(present.astype(int).tolist()) - {*codes})
    more = f"; {others} more in the training table that it does not know" if others else ""
    guesses[f"inputs.{name}"] = f"{len(codes)} codes of categories, as the model's encoder knows them{more}"
    texts = tuple(map(str, codes))
    return Input(name=name, type=DataType.INTEGER, categories=texts, nullable=nullable, on_unseen=Policy.FLAG)


def _range(name: str, present: pd.Series, guesses: dict[str, str]) -> tuple[float | None, float | None]:
    """The seen range and half of it again on each side, rounded outward; a quantity never seen below zero stays above it.
    Of 0 and 1 alone nothing is widened."""
    import numpy as np

    values = present.to_numpy(np.float64)
    finite = values[np.isfinite(values)]
    if not len(finite):
        guesses[f"inputs.{name}"] = "no finite number seen"
        return None, None
    if np.isin(finite, (0, 1)).all():
        guesses[f"inputs.{name}"] = "no number but 0 and 1 seen, as yes and no are coded"
        return 0.0, 1.0
    low, high = (Decimal(repr(float(value))) for value in (finite.min(), finite.max()))
    room = (high - low) / 2 or abs(high) / 2 or Decimal(1)
    step = Decimal(1).scaleb((2 * room).adjusted() - 3)  # four digits of the spread, however large the numbers are
    seen = [f"{float(value.quantize(step, context=_EXACTLY)):.15g}" for value in (low, high)]
    guesses[f"inputs.{name}"] = f"seen {seen[0]} to {seen[1]}, widened by half"
    widened = max(Decimal(0), low - room) if low >= 0 else low - room
    return _float(widened.quantize(step, ROUND_FLOOR, _EXACTLY)), _float(
        (high + room).quantize(step, ROUND_CEILING, _EXACTLY)
    )


def _float(value: Decimal) -> float:
    return float(min(max(value, -_LARGEST), _LARGEST))


def _is_number(values: pd.Series) -> bool:
    return values.dtype.kind in "iuf"


def _is_bool(values: pd.Series) -> bool:
    return values.dtype.kind == "b" or (len(values) > 0 and all(isinstance(v, bool) for v in values.head(100)))


def _scalar(value: Any) -> bool | int | str:
    return value if isinstance(value, bool) else int(value) if isinstance(value, int | float) else str(value)
