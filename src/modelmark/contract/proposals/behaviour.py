"""Behavioural tests that the data suggest, for a person to accept or delete."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from modelmark.domain.catalogue.behaviour import Behaviour, BehaviourKind, Effect
from modelmark.domain.contract import DataType, Input
from modelmark.domain.metrics import Task

if TYPE_CHECKING:
    import pandas as pd

_STRONG: Final = 0.3  # rank correlation with the target
_MOST: Final = 3
_ROWS: Final = 100_000
_BINS: Final = 10


def propose(
    train: pd.DataFrame,
    target: str,
    task: Task,
    inputs: Sequence[Input],
    *,
    positive: bool | int | str | None = None,
    sensitive: Sequence[str],
    guesses: dict[str, str],
) -> tuple[Behaviour, ...]:
    """None of them accepted. guesses: gets the reason of each under `behaviour.NAME`."""
    proposed = []
    for test, reason in (*_monotone(train, target, task, inputs, positive), *_invariant(inputs, sensitive)):
        guesses[f"behaviour.{test.name}"] = reason
        proposed.append(test)
    return tuple(proposed)


def _monotone(
    train: pd.DataFrame, target: str, task: Task, inputs: Sequence[Input], positive: bool | int | str | None
) -> Iterator[tuple[Behaviour, str]]:
    """Numbers whose rank correlation with the target is strong and whose mean target goes one way over ten bins."""
    if task is Task.MULTICLASS:
        return
    sample = train if len(train) <= _ROWS else train.sample(_ROWS, random_state=0)
    truth = sample[target] if task is Task.REGRESSION else (sample[target] == positive)
    truth = truth.astype(float)
    found = []
    for item in inputs:
        if item.quantity:
            strength = float(sample[item.name].rank().corr(truth.rank()))
            if abs(strength) >= _STRONG and _one_way(sample[item.name], truth):
                found.append((item.name, strength))
    for name, strength in sorted(found, key=lambda pair: -abs(pair[1]))[:_MOST]:
        direction = Effect.INCREASE if strength > 0 else Effect.DECREASE
        more = "more" if strength > 0 else "less"
        yield (
            Behaviour(
                name=f"more {name}, {more} score",
                kind=BehaviourKind.MONOTONE,
                column=name,
                direction=direction,
                max_failure_rate=0.05,
            ),
            f"rank correlation with the target {strength:+.2f} in training; must it hold for every row?",
        )


def _one_way(values: pd.Series, truth: pd.Series) -> bool:
    """Whether the bins' means go one way, but for what two standard errors explain."""
    import pandas as pd

    bins = truth.groupby(pd.qcut(values, _BINS, duplicates="drop"), observed=True)
    means, errors = bins.mean(), bins.sem().fillna(0.0)
    steps, doubt = means.diff()[1:], 2 * (errors**2 + errors.shift() ** 2)[1:] ** 0.5
    return len(steps) > 1 and (bool((steps >= -doubt).all()) or bool((steps <= doubt).all()))


def _invariant(inputs: Sequence[Input], sensitive: Sequence[str]) -> Iterator[tuple[Behaviour, str]]:
    for item in inputs:
        if item.name in sensitive and (item.categories is not None or item.type is DataType.BOOLEAN):
            yield (
                Behaviour(
                    name=f"{item.name} changes nothing",
                    kind=BehaviourKind.INVARIANT,
                    column=item.name,
                    tolerance=0.05,
                    max_failure_rate=0.05,
                ),
                "named like a protected characteristic; must the same person get the same score?",
            )
