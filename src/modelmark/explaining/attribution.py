"""Which way a model can be explained, and the Shapley values that it gives for some rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from modelmark.contract.dtypes import with_columns
from modelmark.domain.catalogue.gate_settings import ExplanationGate
from modelmark.explaining.encoder import RowEncoder
from modelmark.explaining.graph_parts import GraphPart, Linear, part_of
from modelmark.explaining.shap_values import exact
from modelmark.stats.shapley import Explained, enumerated, sampled

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]

_COLUMNS: Final = 12  # as many as coalitions are enumerated for
_ENOUGH: Final = 20  # rows and background rows without which enumeration says too little
_ENUMERATED: Final = "every coalition of columns"
_SAMPLED: Final = "sampled permutations and their reverses"
_REPRODUCED: Final = 1e-4  # how well a graph's part must give the endpoint's own scores to be believed


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is explained: one output of the endpoint on some rows, against a versioned background."""

    encoder: RowEncoder
    ask: Any
    output: int
    rows: Array
    frame: pd.DataFrame
    background: Array
    background_frame: pd.DataFrame
    scores: Array
    spread: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way to explain. link: from what the values add up to, to the score. scale: what they add up to."""

    words: str
    exact: bool
    explain: Callable[[Subject, int], Explained]
    link: Callable[[Array], Array] = field(default=lambda x: x)
    part: GraphPart | None = None
    scale: str = "score"


def way_of(folder: Path, subject: Subject, settings: ExplanationGate, *, rows: int | None = None) -> Way:
    """The exact way that the model allows, else sampling. A graph is only read where it gives the endpoint's own scores.

    rows: how many are explained, once each, where all evaluations may go into them; None: a sample, by several seeds.
    """
    found = _graph_path(folder, subject)
    if found is not None:
        return found
    columns, budget = subject.rows.shape[1], settings.max_evaluations
    if rows is not None:
        if columns <= _COLUMNS and budget // (rows * 2**columns) >= _ENOUGH:
            return Way(words=_ENUMERATED, exact=True, explain=lambda s, seed: _enumerate_all(s, budget, seed))
        return Way(words=_SAMPLED, exact=False, explain=lambda s, seed: _sample_all(s, budget, seed))
    each = budget // (3 * _ENOUGH * 2**columns) if columns <= _COLUMNS else 0
    if each >= _ENOUGH:
        return Way(words=_ENUMERATED, exact=True, explain=lambda s, seed: _enumerate(s, settings, seed))
    return Way(words=_SAMPLED, exact=False, explain=lambda s, seed: _sample(s, settings, seed))


def _graph_path(folder: Path, subject: Subject) -> Way | None:
    part = part_of(folder, subject.output)
    if part is None:
        return None
    features, back = part.features(subject.frame), part.features(subject.background_frame)
    owner = owners(part, subject, features.shape[1])
    if owner is None or not np.isfinite(back).all():
        return None
    mine = exact(part.model, features[:_ENOUGH], back)
    total = mine.phi.sum(axis=1) + mine.base
    links: tuple[Callable[[Array], Array], ...] = (lambda x: x, lambda x: 1 / (1 + np.exp(-x)))
    for link in links:
        if np.abs(link(total) - subject.scores[:_ENOUGH]).max() <= _REPRODUCED * max(1.0, subject.spread):
            kind = (
                "the graph's linear model"
                if isinstance(part.model, Linear)
                else "the graph's trees, by shap's TreeExplainer"
            )
            scale = " (on the log-odds)" if link is links[1] else ""
            explain = _grouped(part, owner, features)
            return Way(
                words=kind + scale,
                exact=True,
                explain=explain,
                link=link,
                part=part,
                scale="log-odds" if scale else "score",
            )
    return None


def _grouped(part: GraphPart, owner: NDArray[np.int64], features: Array) -> Callable[[Subject, int], Explained]:
    def explain(subject: Subject, seed: int) -> Explained:
        back = part.features(_background(subject, seed, len(subject.background))[1])
        found = exact(part.model, features, back)
        phi = np.zeros(subject.rows.shape)
        for feature, column in enumerate(owner):
            if column >= 0:
                phi[:, column] += found.phi[:, feature]
        return Explained(phi=phi, base=found.base, error=np.zeros(phi.shape))

    return explain


def owners(part: GraphPart, subject: Subject, width: int) -> NDArray[np.int64] | None:
    """The column behind each feature, by changing one column at a time; -1: none moves it.

    None where a feature mixes columns, or where trees see one column as several features: the sum of their values is
    then not the column's Shapley value.
    """
    import pandas as pd

    # The rows explained, too: a column that is the same in the whole background may differ from it in them.
    names = list(subject.encoder.names)
    frame = pd.concat([subject.background_frame[names], subject.frame[names]], ignore_index=True)
    usual, owner = part.features(frame), np.full(width, -1, dtype=np.int64)
    for place, name in enumerate(names):
        turned = part.features(with_columns(frame, {name: np.roll(frame[name].to_numpy(), 1)}))
        same = (turned == usual) | (np.isnan(turned) & np.isnan(usual))
        moved = np.flatnonzero(~same.all(axis=0))
        if (owner[moved] >= 0).any() or (len(moved) > 1 and not isinstance(part.model, Linear)):
            return None
        owner[moved] = place
    return owner


def _background(subject: Subject, seed: int, size: int) -> tuple[Array, pd.DataFrame]:
    """The versioned background for seed 0; bootstrap copies of it, cut to size, for others: how much it matters."""
    count = len(subject.background)
    rng = np.random.default_rng(seed)
    rows = np.arange(count)[:size] if seed == 0 else rng.integers(0, count, min(size, count))
    return subject.background[rows], subject.background_frame.iloc[rows]


def _enumerate(subject: Subject, settings: ExplanationGate, seed: int) -> Explained:
    """Both rows and background shrink until three seeds fit the budget."""
    coalitions = 2 ** subject.rows.shape[1]
    size = int(
        np.clip(settings.max_evaluations // (3 * coalitions * len(subject.rows)), _ENOUGH, len(subject.background))
    )
    rows = max(1, settings.max_evaluations // (3 * coalitions * size))
    return enumerated(subject.ask, subject.rows[:rows], _background(subject, seed, size)[0])


def _sample(subject: Subject, settings: ExplanationGate, seed: int) -> Explained:
    columns, permutations = subject.rows.shape[1], 2
    size = min(_ENOUGH, len(subject.background))
    rows = max(5, settings.max_evaluations // (3 * 2 * permutations * columns * size))
    background = _background(subject, seed, size)[0]
    return sampled(subject.ask, subject.rows[:rows], background, permutations=permutations, seed=seed)


def _enumerate_all(subject: Subject, budget: int, seed: int) -> Explained:
    """Every row, against as much of the background as the budget allows."""
    size = int(np.clip(budget // (2 ** subject.rows.shape[1] * len(subject.rows)), _ENOUGH, len(subject.background)))
    return enumerated(subject.ask, subject.rows, _background(subject, seed, size)[0])


def _sample_all(subject: Subject, budget: int, seed: int) -> Explained:
    """Every row, with as many permutations as the budget allows, two at the least."""
    size = min(_ENOUGH, len(subject.background))
    permutations = max(2, budget // (2 * len(subject.rows) * (subject.rows.shape[1] + 1) * size))
    background = _background(subject, seed, size)[0]
    return sampled(subject.ask, subject.rows, background, permutations=permutations, seed=seed)
