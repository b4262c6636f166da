"""Seeded problems with nothing wrong in them: tables, a contract as `init` drafts it, and a soundly chosen model.

Binary, several classes or a value; 300 to 5,000 rows in both tables; numbers and categories, nulls in some; rows that
are independent, in time, or of groups; a sensitive column without effect in some. The model is the better of a linear
one and a boosted one by cross-validation on train, as a careful person chooses. That it is worth releasing is no
matter of luck: on twenty thousand further rows that no gate sees it must gain a fifth over the best fixed answer and
its probabilities must be right to 0.05; else the next model of the same seed is taken.
"""

from __future__ import annotations

import dataclasses
import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.signal import lfilter
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import cases
import models
from endpoint import onnx_of
from modelmark.contract.infer import Facts, infer
from modelmark.domain.contract import Contract, Costs, Data, ModelSource, Objective, Outputs
from modelmark.domain.metrics import LOSSES, Metric, Task
from modelmark.domain.version import ARTIFACT, CONTRACT, DESCRIPTION, LOCK, PARITY, SIGNATURE, Components, Parity
from modelmark.gates.case import truth_of
from modelmark.gates.common import baselines
from modelmark.registry import compare
from modelmark.registry.convert import request_of, signature_bytes
from modelmark.registry.estimators import original_scores
from modelmark.registry.register import lock
from modelmark.seal.digests import canonical, digest_bytes, digest_file, digest_value, plain
from modelmark.serving.predictor import LocalPredictor
from modelmark.serving.staging import LocalStaging
from modelmark.stats.calibration import calibration_error
from modelmark.stats.metrics import judged, measure

_FRESH = 20_000  # rows that tell whether the model is sound, and that no gate sees
METRICS = {
    Task.BINARY: (Metric.ROC_AUC, Metric.LOG_LOSS, Metric.BRIER, Metric.AVERAGE_PRECISION, Metric.EXPECTED_COST),
    Task.MULTICLASS: (Metric.ACCURACY, Metric.LOG_LOSS, Metric.BALANCED_ACCURACY),
    Task.REGRESSION: (Metric.RMSE, Metric.MAE, Metric.R2),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What is drawn of a problem. rows: of both tables. inputs: numeric ones, 0 for two to six. rare: share of the rare class,
    0 for whatever comes. noise: of a value: normal, growing (with the signal), heavy (t with three degrees). follows: how
    much of an input, and of what is not known, stays from one row to the next.
    """

    tasks: tuple[str, ...] = ("binary", "binary", "multiclass", "regression")
    shapes: tuple[str, ...] = ("independent", "independent", "in time", "in groups")
    rows: tuple[int, int] = (300, 5000)
    inputs: int = 0
    rare: float = 0.0
    noise: str = "normal"
    follows: float = 0.0


KINDS = {
    "usual": Kind(),
    "wide and short": Kind(tasks=("binary", "regression"), shapes=("independent",), rows=(60, 150), inputs=40),
    "heteroscedastic": Kind(tasks=("regression",), noise="growing"),
    "autoregressive": Kind(tasks=("binary", "regression"), shapes=("in time",), follows=0.9),
    "heavy tails": Kind(tasks=("regression",), noise="heavy"),
    "one in a hundred": Kind(tasks=("binary",), rows=(2000, 5000), rare=0.01),
    "rare class": Kind(tasks=("multiclass",), rows=(500, 5000), rare=0.03),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """words: what it is, for a person."""

    words: str
    contract: Contract
    train: pd.DataFrame
    holdout: pd.DataFrame
    model: object


def problem(seed: int, rows: tuple[int, int] | None = None, kind: str = "usual") -> Problem:
    """The first sound one of this seed and kind. rows: other than its kind's."""
    drawn = KINDS[kind] if rows is None else dataclasses.replace(KINDS[kind], rows=rows)
    return next(found for again in range(200) if (found := _drawn(seed, again, drawn, kind)) is not None)


def _drawn(seed: int, again: int, drawn: Kind, called: str) -> Problem | None:
    rng = np.random.default_rng([seed, again, 2026])
    size = int(np.exp(rng.uniform(*np.log(drawn.rows))))
    task = Task(rng.choice(list(drawn.tasks)))
    shape = str(rng.choice(list(drawn.shapes)))
    whole, signal = _inputs(rng, size + _FRESH, drawn)
    whole["y"] = _target(rng, task, signal, _grouped(rng, whole, shape, size), drawn)
    features = [name for name in whole if name not in ("happened", "customer", "y")]
    table, fresh = whole[:size].copy(), whole[size:]
    if rng.random() < 0.4:
        kinds = list("ABCD")[: rng.integers(2, 5)]
        table["ethnicity"] = rng.choice(kinds, size, p=rng.dirichlet(np.full(len(kinds), 4.0)))
    numbers = [name for name in features if table[name].dtype.kind == "f"]
    if rng.random() < 0.35 and numbers:
        table.loc[rng.random(size) < rng.uniform(0.01, 0.1), numbers[0]] = np.nan
    train, holdout = _split(rng, table, shape)
    model, kind = _chosen(train, features, task, train["customer"] if shape == "in groups" else None)
    contract = _contract(rng, task, shape, train, (features, model))
    if not _worth_it(contract, model, train, fresh) or (
        drawn.follows and not _worth_asking(contract, model, train, fresh)
    ):
        return None
    name = "" if called == "usual" else f" ({called})"
    words = (
        f"problem {seed}: {task.value}{name}, {shape}, {len(train)} + {len(holdout)} rows, {len(features)} inputs, {kind} "
        f"model, judged by {contract.objective.metric.value}{', sensitive column' if 'ethnicity' in table else ''}"
    )
    return Problem(words=words, contract=contract, train=train, holdout=holdout, model=model)


def _worth_it(contract: Contract, model: object, train: pd.DataFrame, fresh: pd.DataFrame) -> bool:
    """By what nobody knows in practice: a fifth better than the best fixed answer, and calibrated, on fresh rows."""
    metric, y_true = contract.objective.metric, truth_of(fresh, contract)
    said = original_scores(model, fresh, plain(request_of(contract)))
    fixed = baselines.constant(contract, truth_of(train, contract), len(fresh))[1]
    ours, theirs = (measure(metric, judged(contract, y_true, scores)) for scores in (said, fixed))
    if metric in LOSSES:
        return ours <= 0.8 * theirs and _calibrated(contract, y_true, said)
    return ours >= theirs + 0.2 * (1 - theirs) and _calibrated(contract, y_true, said)


def _worth_asking(contract: Contract, model: object, train: pd.DataFrame, fresh: pd.DataFrame) -> bool:
    """Where rows follow from one another: whether it is a tenth better than saying what the row before was."""
    metric, y_true = contract.objective.metric, truth_of(fresh, contract)
    said = original_scores(model, fresh, plain(request_of(contract)))
    before = baselines.no_change(contract, truth_of(train, contract), y_true)
    ours, theirs = (measure(metric, judged(contract, y_true, scores)) for scores in (said, before))
    return ours <= 0.9 * theirs if metric in LOSSES else ours >= theirs + 0.1 * (1 - theirs)


def _calibrated(contract: Contract, y_true: np.ndarray, said: np.ndarray) -> bool:
    if contract.model.task is Task.REGRESSION:
        return True
    binary = contract.model.task is Task.BINARY
    score = said[:, 1] if binary else said.max(axis=1)
    outcome = y_true == 1 if binary else y_true == said.argmax(axis=1)
    return calibration_error(score, outcome.astype(float)).estimate <= 0.05


def _inputs(rng: np.random.Generator, size: int, drawn: Kind) -> tuple[pd.DataFrame, np.ndarray]:
    """Inputs and three standardised signals, linear in them; half of the time curved and with an interaction."""
    table, parts = {}, []
    for k in range(drawn.inputs or rng.integers(2, 7)):
        z = _following(rng, size, drawn.follows)
        name, values = {
            0: (f"amount_{k}", np.exp(0.6 * z + 3).round(2)),
            1: (f"score_{k}", (10 * z + 50).round(3)),
            2: (f"count_{k}", np.floor(np.exp(0.5 * z + 1.5)).astype(int)),
            3: (f"share_{k}", (1 / (1 + np.exp(-z))).round(4)),
        }[int(rng.integers(4))]
        table[name] = values
        parts.append(z)
    curved = rng.random() < 0.5
    if curved:
        parts += [np.sin(2 * parts[0]), parts[0] * parts[1]]
    for k in range(rng.integers(0, 4)):
        levels = [f"level_{c}" for c in "abcdef"[: rng.integers(2, 7)]]
        code = rng.choice(len(levels), size, p=rng.dirichlet(np.full(len(levels), 3.0)))
        table[f"kind_{k}"] = np.array(levels)[code]
        parts.append(rng.normal(size=len(levels))[code])
    parts = parts[: 3 if drawn.inputs else None]  # of many inputs few say something
    signals = np.column_stack(parts) @ rng.normal(size=(len(parts), 3))
    return pd.DataFrame(table), (signals - signals.mean(axis=0)) / signals.std(axis=0)


def _following(rng: np.random.Generator, size: int, follows: float) -> np.ndarray:
    """Normal values with variance 1, each a share of the one before and something new."""
    new = rng.normal(size=size)
    return lfilter([(1 - follows**2) ** 0.5], [1, -follows], new) if follows else new


def _grouped(rng: np.random.Generator, table: pd.DataFrame, shape: str, size: int) -> np.ndarray:
    """What a row's group adds to its signal; puts the columns of groups and time, and of what is the same in all rows
    of a group, into the table."""
    if shape == "in time":
        days = np.sort(rng.integers(0, 400, size))
        start = np.datetime64("2025-01-01") + np.r_[days, np.full(_FRESH, 400)].astype("timedelta64[D]")
        table["happened"] = start.astype(str)
    if shape != "in groups":
        return np.zeros(size + _FRESH)
    many = max(size // int(rng.choice([5, 20])), 40)
    group = np.r_[rng.integers(0, many, size), many + rng.integers(0, _FRESH // 5, _FRESH)]
    table["customer"] = [f"c{g:05d}" for g in group]
    usual = rng.normal(size=(many + _FRESH // 5, rng.integers(1, 4)))
    table[[f"usual_{k}" for k in range(usual.shape[1])]] = (10 * usual + 50).round(3)[group]
    return (rng.normal(0, 0.3, len(usual)) + usual @ rng.normal(0, 0.5, usual.shape[1]))[group]


def _target(rng: np.random.Generator, task: Task, signal: np.ndarray, extra: np.ndarray, drawn: Kind) -> np.ndarray:
    strength, size = rng.uniform(1.5, 3), len(signal)
    if task is Task.REGRESSION:
        noise = rng.standard_t(3, size) / 3**0.5 if drawn.noise == "heavy" else _following(rng, size, drawn.follows)
        noise *= np.exp(0.5 * signal[:, 0] - 0.25) if drawn.noise == "growing" else 1.0
        return ((signal[:, 0] + extra) * 20 + 100 + 20 / strength * noise).round(3)
    if task is Task.BINARY:
        logit = strength * (signal[:, 0] + extra) + rng.uniform(-1.5, 0.5)
        if drawn.rare:
            logit = 1.5 * logit
            logit -= brentq(lambda at: (1 / (1 + np.exp(at - logit))).mean() - drawn.rare, -50, 50)
        return np.where(rng.random(size) < 1 / (1 + np.exp(-logit)), "yes", "no")
    likely = 2 * strength * signal + rng.gumbel(size=signal.shape) + extra[:, None] * [1, 0, -1]
    if drawn.rare:
        likely[:, 1] -= np.quantile(likely[:, 1] - np.maximum(likely[:, 0], likely[:, 2]), 1 - drawn.rare)
    return np.array(["bronze", "gold", "silver"])[likely.argmax(axis=1)]


def _split(rng: np.random.Generator, table: pd.DataFrame, shape: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Three fifths to learn from; in time the first, in groups whole groups."""
    if shape == "in time":
        border = sorted(table["happened"])[int(0.6 * len(table))]
        first = (table["happened"] < border).to_numpy()
    elif shape == "in groups":
        names = np.unique(table["customer"])
        first = table["customer"].isin(rng.permutation(names)[: int(0.6 * len(names))]).to_numpy()
    else:
        first = rng.permutation(len(table)) < 0.6 * len(table)
    return table[first].reset_index(drop=True), table[~first].reset_index(drop=True)


def _chosen(train: pd.DataFrame, features: list[str], task: Task, groups: pd.Series | None) -> tuple[object, str]:
    text = [name for name in features if name.startswith("kind_")]
    numbers = [name for name in features if name not in text]
    encoded = (OneHotEncoder(handle_unknown="ignore", sparse_output=False), text)
    scaled = make_column_transformer(
        (make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numbers), encoded
    )
    plain_numbers = make_column_transformer(encoded, remainder="passthrough")
    regression = task is Task.REGRESSION
    boost = HistGradientBoostingRegressor if regression else HistGradientBoostingClassifier
    boosted = boost(max_iter=80, learning_rate=0.07, max_leaf_nodes=8, min_samples_leaf=15, random_state=0)
    known = {
        "linear": make_pipeline(scaled, Ridge() if regression else LogisticRegression(max_iter=500)),
        "boosted": make_pipeline(plain_numbers, boosted),
    }
    folds = (KFold if regression else StratifiedKFold)(4, shuffle=True, random_state=0)
    if groups is not None:
        folds = GroupKFold(4)  # as the split into train and holdout is
    how = "neg_root_mean_squared_error" if regression else "neg_log_loss"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        worth = {
            name: cross_val_score(m, train[features], train["y"], cv=folds, groups=groups, scoring=how).mean()
            for name, m in known.items()
        }
        best = max(worth, key=worth.__getitem__)
        return known[best].fit(train[features], train["y"]), best


def _contract(
    rng: np.random.Generator, task: Task, shape: str, train: pd.DataFrame, made: tuple[list[str], object]
) -> Contract:
    """As `init` drafts it, with a metric that somebody chose and costs in half of the binary problems."""
    features, model = made
    classes = () if task is Task.REGRESSION else tuple(map(str, model.classes_))
    draft = infer(train, target="y", facts=Facts(features=tuple(features), classes=classes or None))
    metric = Metric(rng.choice([m.value for m in METRICS[task]]))
    priced = task is Task.BINARY and (metric is Metric.EXPECTED_COST or rng.random() < 0.5)
    dear = float(rng.integers(2, 6))
    return Contract(
        modelmark=1,
        name="clean",
        model=ModelSource(source="model.joblib", task=task),
        data=Data(
            train="train.csv",
            holdout="holdout.csv",
            target="y",
            time="happened" if shape == "in time" else None,
            group="customer" if shape == "in groups" else None,
            sensitive=("ethnicity",) if "ethnicity" in train else (),
        ),
        inputs=draft.inputs,
        outputs=Outputs(
            classes=classes,
            positive="yes" if task is Task.BINARY else None,
            threshold=1 / (1 + dear) if priced else 0.5,  # the cheapest, where scores are probabilities
        ),
        objective=Objective(metric=metric, costs=Costs(false_positive=1.0, false_negative=dear) if priced else None),
    )


def _written(base, contract: Contract, graph: bytes, signature: bytes) -> dict[str, object]:
    """The files that a server loads, and the identity they give."""
    files = {ARTIFACT: graph, CONTRACT: canonical(contract), SIGNATURE: signature, LOCK: lock()}
    for name, content in files.items():
        (base / name).write_bytes(content)
    artifact, agreed, preprocessing, locked = map(digest_bytes, files.values())
    parts = Components(artifact=artifact, contract=agreed, preprocessing=preprocessing, lock=locked)
    return {"id": digest_value(parts), "components": parts}


def case(base, given: Problem):
    """Written to disk, converted, loaded as serving loads it, parity measured; staged on the real server."""
    contract = given.contract
    models.write_tables(base, given.train, given.holdout)
    models.save(given.model, base, contract.model.source)
    graph, signature = onnx_of(given.model, contract, given.holdout)
    version = cases.version(base, contract, **_written(base, contract, graph, signature_bytes(signature)))
    (base / DESCRIPTION).write_bytes(canonical(version))
    found = cases.Case(
        version=version, contract=contract, base=base, folder=base,
        predictor=LocalPredictor.of_candidate(base, version.id), staging=LocalStaging(), clock=lambda: cases.NOW,
    )  # fmt: skip
    request = plain(request_of(contract))
    original = original_scores(given.model, found.holdout, request)
    flipped, largest = compare.parity(original, found.scores, request)
    (base / PARITY).write_bytes(canonical(compare.sample(original, found.scores)))
    compared = dataclasses.replace(
        version,
        parity=Parity(rows=len(original), flipped=flipped, max_difference=largest),
        parity_sample=digest_file(base / PARITY),
    )
    return dataclasses.replace(found, version=compared)
