"""A stage's evidence from the journal's tables, as the contract asks for it."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from itertools import accumulate
from math import ceil, exp
from typing import Final

from modelmark.domain.classes import class_text, positive_of
from modelmark.domain.contract import Contract, DataType, Input
from modelmark.domain.digest import Digest
from modelmark.domain.metrics import UNSCALED, Metric, Task
from modelmark.domain.rollouts.settings import Margins, StageKind
from modelmark.domain.routes import ArmRole
from modelmark.domain.workspace import Workspace
from modelmark.journal.tables.schema import input_columns
from modelmark.journal.tables.stages import STEPS, ArmSums, StageQuestion, StageSums, stage_sums
from modelmark.rollouts.evidence import Failures, Latency, Pair, StageEvidence

#: A group is compared from this share of the requests on.
LEAST_GROUP: Final = 0.02
_HOURS_MOST: Final = 87_600.0
#: Which loss of a row stands for an objective that is none of single rows.
_LOSS: Final[Mapping[Metric, str]] = {
    Metric.ROC_AUC: "brier",
    Metric.AVERAGE_PRECISION: "brier",
    Metric.BRIER: "brier",
    Metric.LOG_LOSS: "log_loss",
    Metric.EXPECTED_COST: "cost",
    Metric.MAE: "absolute",
    Metric.RMSE: "squared",
    Metric.R2: "squared",
    Metric.PINBALL: "pinball",
}


def read_stage(
    workspace: Workspace,
    contract: Contract,
    version: Digest,
    *,
    kind: StageKind,
    margins: Margins,
    since: datetime,
    now: datetime,
) -> StageEvidence:
    """Everything that came since the stage began, the log's last seconds excepted. May raise what reading tables raises."""
    asked = question(contract, version, kind=kind, since=since, now=now)
    found = stage_sums(workspace, asked, far=margins.score or 0.0)
    names = {column: name for name, column in columns_of(contract).items()}
    canary = kind is StageKind.CANARY
    return StageEvidence(
        seconds=max((now - since).total_seconds(), 0.0),
        champion=Failures(requests=found.champion.requests, failed=found.champion.failed),
        candidate=Failures(requests=found.candidate.requests, failed=found.candidate.failed),
        latency=(_latency(found.champion), _latency(found.candidate)),
        disagreement=found.paired.differs if found.paired is not None else None,
        score=_canary_pair(found, "score") if canary else Pair(paired=found.paired.score if found.paired else None),
        score_unit=_spread(found) if contract.model.task is Task.REGRESSION else 1.0,
        quality=_canary_pair(found, "loss") if canary else Pair(paired=found.paired.loss if found.paired else None),
        quality_unit=_loss_unit(found) if contract.objective.metric in {*UNSCALED, Metric.R2} else 1.0,
        matured=found.candidate.matured,
        fairness=_fairness(found, names, canary=canary),
    )  # fmt: skip


def question(contract: Contract, version: Digest, *, kind: StageKind, since: datetime, now: datetime) -> StageQuestion:
    loss, parts = loss_of(contract)
    binary = contract.model.task is Task.BINARY
    delay = timedelta(hours=min(max(contract.labels.expected_delay_hours or 0.0, 0.0), _HOURS_MOST))
    columns = columns_of(contract)
    return StageQuestion(
        model=contract.name, version=version.hex, since=since, loss=loss, parts=parts, labelled_until=now - delay,
        arm=ArmRole.CANARY.value if kind is StageKind.CANARY else None,
        positive=class_text(contract.outputs.classes[positive_of(contract)]) if binary else None,
        groups=[columns[item.name] for item in _compared(contract)],
    )  # fmt: skip


def columns_of(contract: Contract) -> dict[str, str]:
    return input_columns([i.name for i in contract.numeric()], [i.name for i in contract.textual()])


def _compared(contract: Contract) -> list[Input]:
    """Sensitive inputs that have groups: categories, codes, yes or no."""
    return [
        item
        for item in contract.inputs
        if item.name in contract.data.sensitive and (item.categories or item.type is DataType.BOOLEAN)
    ]


def loss_of(contract: Contract) -> tuple[str, dict[str, float | str]]:
    metric, costs = contract.objective.metric, contract.objective.costs
    loss = _LOSS.get(metric, "error")
    if contract.model.task is Task.MULTICLASS or (loss == "cost" and costs is None):
        loss = "error"
    if loss == "cost" and costs is not None:
        return loss, {
            "tp": costs.true_positive, "fp": costs.false_positive, "fn": costs.false_negative, "tn": costs.true_negative,
        }  # fmt: skip
    return loss, {"quantile": contract.objective.quantile} if loss == "pinball" else {}


def _latency(arm: ArmSums) -> Latency:
    """Times are read a hundredth too long at most."""
    steps = sorted(arm.times)
    counts = list(accumulate(arm.times[step] for step in steps))
    n = counts[-1] if counts else 0

    def quantile(share: float) -> float:
        at = bisect_left(counts, max(ceil(share * n - 1e-9), 1))
        return exp(steps[min(at, len(steps) - 1)] / STEPS) / 1000

    return Latency(n=n, quantile=quantile)


def _canary_pair(found: StageSums, what: str) -> Pair:
    return Pair(champion=getattr(found.champion, what), candidate=getattr(found.candidate, what))


def _spread(found: StageSums) -> float:
    """The standard deviation of the champion's values; 0 while there are too few."""
    variance = found.champion.score.variance
    return variance**0.5 if variance > 0 else 0.0


def _loss_unit(found: StageSums) -> float | None:
    sums = found.champion.loss if found.paired is None else found.paired.champion_loss
    return sums.mean if sums.n else None


def _fairness(found: StageSums, names: Mapping[str, str], *, canary: bool) -> dict[str, Pair]:
    """By `column = group`, of groups that are no rarity."""
    groups = found.candidate.groups if canary else (found.paired.groups if found.paired else {})
    total: Counter[str] = Counter()
    for (column, _), sums in groups.items():
        total[column] += sums.n
    kept = {key: sums for key, sums in groups.items() if sums.n >= LEAST_GROUP * total[key[0]]}
    if not canary:
        return {f"{names[column]} = {group}": Pair(paired=sums) for (column, group), sums in kept.items()}
    before = found.champion.groups
    return {
        f"{names[column]} = {group}": Pair(champion=before[column, group], candidate=sums)
        for (column, group), sums in kept.items()
        if (column, group) in before
    }
