"""The models that `bench/serving.py` serves, each as our version on disk, as an ONNX file and as the scikit-learn object."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np

from modelmark.domain.contract import DataType, Input
from modelmark.domain.version import Feed, Signature

CATEGORIES = 12


@dataclass(frozen=True)
class Kind:
    """So many numbers, then so many texts, in each row."""

    name: str
    numbers: int
    texts: int

    @property
    def columns(self) -> list[tuple[str, bool]]:
        """(name, whether it is text), in the order of a row."""
        return [*((f"f{i}", False) for i in range(self.numbers)), *((f"t{i}", True) for i in range(self.texts))]

    def inputs(self) -> tuple[Input, ...]:
        names = tuple(f"category {c} of {CATEGORIES}" for c in range(CATEGORIES))
        numbers = (Input(name=f"f{i}", type=DataType.NUMBER, minimum=-100, maximum=100) for i in range(self.numbers))
        texts = (Input(name=f"t{i}", type=DataType.CATEGORY, categories=names) for i in range(self.texts))
        return (*numbers, *texts)

    def rows(self, count: int, draw: np.random.Generator) -> list[list[Any]]:
        """Rows as people send them: numbers of one to six places, so that no two bodies are equally long."""
        places = draw.integers(1, 7, (count, self.numbers))
        numbers = draw.normal(0, 3, (count, self.numbers))
        texts = draw.integers(0, CATEGORIES, (count, self.texts))
        return [
            [
                *(round(float(v), int(p)) for v, p in zip(numbers[r], places[r], strict=True)),
                *(f"category {c} of {CATEGORIES}" for c in texts[r]),
            ]
            for r in range(count)
        ]

    def signature(self) -> Signature:
        names = [name for name, _ in self.columns]
        numeric = Feed(graph_input="X", columns=tuple(names[: self.numbers]), dtype="float32")
        textual = Feed(graph_input="T", columns=tuple(names[self.numbers :]), dtype="string")
        return Signature(feeds=(numeric, textual) if self.texts else (numeric,), score_output="probabilities")

    def make(self, folder: Path) -> tuple[bytes, Path]:
        """(the graph, where the estimator lies)."""
        from skl2onnx import convert_sklearn
        from skl2onnx.common.data_types import FloatTensorType, StringTensorType

        draw = np.random.default_rng(7)
        rows = self.rows(1000, draw)
        estimator = _estimator(self).fit(np.array(rows, object if self.texts else float), draw.integers(0, 2, 1000))
        estimator[-1]._rng = None  # nobody asks for random numbers again, and another numpy cannot read what makes them
        for tree in estimator[-1].estimators_.ravel():
            tree.random_state = 0
        path = folder / f"{self.name.replace(' ', '-')}.joblib"
        joblib.dump(estimator, path)
        types = [("X", FloatTensorType([None, self.numbers]))]
        types += [("T", StringTensorType([None, self.texts]))] if self.texts else []
        options = {id(estimator): {"zipmap": False}}
        return convert_sklearn(
            estimator, initial_types=types, options=options, target_opset=17
        ).SerializeToString(), path


def _estimator(kind: Kind) -> Any:
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import GradientBoostingClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    at = list(range(kind.numbers + kind.texts))
    numeric = ("numbers", StandardScaler(), at[: kind.numbers])
    textual = ("texts", OneHotEncoder(handle_unknown="ignore", sparse_output=False), at[kind.numbers :])
    prepared = ColumnTransformer([numeric, textual]) if kind.texts else StandardScaler()
    return make_pipeline(prepared, GradientBoostingClassifier(n_estimators=100, max_depth=3, random_state=7))


def bodies(kind: Kind, rows: int, count: int) -> tuple[Sequence[bytes], Sequence[bytes]]:
    """(with names, as lists): the same values in both."""
    draw = np.random.default_rng(rows)
    names = [name for name, _ in kind.columns]
    made = [kind.rows(rows, draw) for _ in range(count)]
    named = [json.dumps({"rows": [dict(zip(names, row, strict=True)) for row in rows]}).encode() for rows in made]
    return named, [json.dumps({"rows": rows}).encode() for rows in made]
