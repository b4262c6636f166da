"""Does the model learn from what it cannot know, or from the rows it is judged on?"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np

from modelmark.contract.table import as_numbers, as_texts
from modelmark.domain.catalogue.gate_settings import LeakageGate
from modelmark.domain.contract import Availability, Contract
from modelmark.domain.evidence import Bound, Check, Limit, Table
from modelmark.gates.case import Case
from modelmark.gates.common.clocks import ROW_ORDER
from modelmark.gates.common.evaluation_set import evaluation_set_of
from modelmark.gates.common.giveaway import alone, giveaway_check
from modelmark.gates.gate import GateProgress, Measurement
from modelmark.gates.leakage.standing_out import StandingOut, standing_out
from modelmark.stats.near_duplicates import near_duplicates, places
from modelmark.stats.rates import wilson

if TYPE_CHECKING:
    import pandas as pd

#: Rows searched for near duplicates, and the rows they are looked for among; more are sampled.
_ASKED: Final = 20_000
_AMONG: Final = 200_000
#: Words of things that are settled only when the outcome is.
_AFTER: Final = re.compile(
    r"(^|[^a-z])(outcome|result|resolved|resolution|closed|closure|final|cancel\w*|refund\w*|chargeback|recover\w*|collection\w*"
    r"|churn\w*|default\w*|settled|paid|payoff|discharge\w*|death|exit|termination|label|target|after|post)([^a-z]|$)"
)
#: An input that alone predicts this well is shown to people, where nobody said that it is known beforehand.
_STRONG: Final = 0.95


@dataclass(frozen=True, slots=True)
class Leakage:
    """Near duplicates across the split, entities on both sides, inputs that are the target or come after it."""

    settings: LeakageGate
    name: ClassVar[str] = "leakage"
    alone: ClassVar[bool] = False
    quick: ClassVar[bool] = True
    settled: ClassVar[bool] = True

    def measure(self, case: Case, progress: GateProgress) -> Measurement:
        contract = case.contract
        twins, notes = self._near_copies(case)
        checks = [twins]
        progress(1, 4)
        checks += list(self._entities(case.train, case.holdout, contract))
        progress(2, 4)
        evaluation = evaluation_set_of(case)
        found = alone(case, evaluation)
        checks.append(giveaway_check(found, evaluation, self.settings.suspicious))
        progress(3, 4)
        checks += [_declared_after(contract), *_doubtful(contract, found.values, standing_out(case, evaluation, found))]
        rows = tuple(
            (name, "cannot tell" if value is None else f"{value:.4g}", _known(contract, name))
            for name, value in list(found.values.items())[:15]
        )
        shown = Table(title="Inputs that predict best alone", columns=("input", found.probe.title, "known"), rows=rows)
        return Measurement(checks=tuple(checks), notes=tuple(notes), tables=(shown,))

    def _near_copies(self, case: Case) -> tuple[Check, list[str]]:
        """Near duplicates of holdout rows in train, beyond those that train's own rows have there."""
        rng = np.random.default_rng(0)
        train, holdout = (frame.iloc[rng.permutation(len(frame))] for frame in (case.train, case.holdout))
        train, holdout = train.head(_AMONG), holdout.head(_ASKED)
        among, asked = _points(case.contract, train, holdout)
        across = near_duplicates(asked, among, self.settings.nearness)
        within = near_duplicates(among[:_ASKED], among, self.settings.nearness, own=True)
        a, b = float(across.mean()), float(within.mean())
        (la, ha), (lb, hb) = wilson(int(across.sum()), len(across)), wilson(int(within.sum()), len(within))
        excess = a - b
        low, high = excess - ((a - la) ** 2 + (hb - b) ** 2) ** 0.5, excess + ((ha - a) ** 2 + (b - lb) ** 2) ** 0.5
        limit = Limit(bound=Bound.AT_MOST, value=self.settings.max_near_duplicate_rate)
        tail = "" if limit.holds(low) else ": rows were copied across the split and changed a little"
        sentence = (
            f"Excess rate of near duplicates over the base rate: {excess:+.2%} [{low:+.2%}, {high:+.2%}]{tail}. "
            f"{across.sum():,} of {len(across):,} holdout rows ({a:.2%}) have a near duplicate in train; the base rate among "
            f"train's own rows is {b:.2%}."
        )
        check = Check(
            name="no near copies across the split", measured=max(0.0, low), limit=limit, sentence=sentence,
            estimate=excess, low=low, high=high, n=len(across), confidence=0.95,
        )  # fmt: skip
        whole = len(case.train) <= _AMONG and len(case.holdout) <= _ASKED
        return check, [] if whole else [
            f"Near duplicates are looked for on {len(across):,} rows among {len(among):,}, drawn by seed 0."
        ]

    def _entities(self, train: pd.DataFrame, holdout: pd.DataFrame, contract: Contract) -> Iterator[Check]:
        """`data.group` on both sides is the data contract's to refuse; here it is whom a row is about."""
        key = contract.data.entity_key
        if key is None or key == contract.data.group:
            return
        limit = Limit(bound=Bound.AT_MOST, value=self.settings.max_shared_entity_rate)
        name = "entities stay on one side"
        if key not in train or key not in holdout:
            sentence = f"Could not measure: the column {key!r} of data.entity_key is not in both tables."
            yield Check(name=name, measured=None, limit=limit, sentence=sentence)
            return
        known = set(as_texts(train[key]).dropna())
        both = as_texts(holdout[key]).dropna()
        shared = both[both.isin(known)]
        rate = len(shared) / len(holdout)
        in_time = contract.data.time is not None
        tail = _returning(contract.data.time) if len(shared) else ""
        sentence = (
            f"{len(shared):,} of {len(holdout):,} holdout rows ({rate:.2%}) are about {shared.nunique():,} of "
            f"{both.nunique():,} entities of {key} that train knows already{tail}."
        )
        # Where the split is in time an entity may return, and does in production; elsewhere it is learned by heart.
        yield Check(
            name=name, measured=rate, estimate=rate, n=len(holdout), limit=limit, sentence=sentence, decides=not in_time
        )


def _returning(time: str | None) -> str:
    if time is None:
        return ""
    word = "; that the order of rows is time is the contract's word" if time == ROW_ORDER else ""
    return f"; in time that is natural: they come back{word}"


def _points(contract: Contract, train: pd.DataFrame, holdout: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    inputs = [item for item in contract.inputs if item.name in train and item.name in holdout]
    numbers = {i.name: [as_numbers(t[i.name]) for t in (train, holdout)] for i in inputs if not i.nominal}
    texts = {i.name: [as_texts(t[i.name]).tolist() for t in (train, holdout)] for i in inputs if i.nominal}
    first, second = places(numbers, texts)
    return first, second


def _declared_after(contract: Contract) -> Check:
    late = [item.name for item in contract.inputs if item.known is Availability.AFTER]
    said = sum(item.known is not Availability.UNKNOWN for item in contract.inputs)
    words = (
        f"{', '.join(late)} {'is' if len(late) == 1 else 'are'} known only after the event" if late else "none is late"
    )
    return Check(
        name="inputs are known before the event",
        measured=float(len(late)),
        n=len(contract.inputs),
        limit=Limit(bound=Bound.AT_MOST, value=0),
        sentence=f"{said:,} of {len(contract.inputs):,} inputs say when they are known; {words}.",
    )


def _known(contract: Contract, name: str) -> str:
    return next(item.known.value for item in contract.inputs if item.name == name)


def _doubtful(
    contract: Contract, values: Mapping[str, float | None], stands_out: StandingOut | None
) -> Iterator[Check]:
    """Inputs that sound like, or predict like, something settled later. A hint: only a person knows."""
    unsaid = [item.name for item in contract.inputs if item.known is Availability.UNKNOWN]
    named = [name for name in unsaid if _AFTER.search(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower())]
    strong = [name for name in unsaid if (values.get(name) or 0.0) >= _STRONG and name not in named]
    doubtful = [*(f"{n} (by its name)" for n in named), *(f"{n} (alone {values[n]:.3g})" for n in strong)]
    if stands_out is not None and stands_out.name in unsaid:
        doubtful = [str(stands_out), *(said for said in doubtful if not said.startswith(f"{stands_out.name} ("))]
    if doubtful:
        yield Check(
            name="inputs that may come after the event",
            measured=float(len(doubtful)),
            n=len(contract.inputs),
            limit=Limit(bound=Bound.AT_MOST, value=0),
            sentence=f"Somebody should say whether these are known before the event (known: before, or after): "
            f"{', '.join(doubtful[:8])}.",
            decides=False,
        )
